#include "client/utf8.h"

#include <string>

#include "gtest/gtest.h"

namespace firstbyte {
namespace {

TEST(Utf8, AcceptsEveryLengthOfCharacter) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"));
}

TEST(Utf8, RefusesWhatIsNot) {
  for (const char* bad : {"\x80", "\xc3", "\xc0\xaf", "\xe2\x82", "\xe0\x80\x80", "\xed\xa0\x80",
                          "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xff", "a\xfe"}) {
    EXPECT_FALSE(IsUtf8(bad)) << bad;
  }
}

TEST(Utf8, PrefixNeverEndsInsideACharacter) {
  std::string text =
      "ab\xf0\x9f\x98\x80"
      "c\xe2\x82\xac\xc3\xa9";
  for (size_t size = 0; size <= text.size(); ++size) {
    std::string received = text.substr(0, size);
    size_t whole = CompleteUtf8Prefix(received, received.size());
    EXPECT_TRUE(IsUtf8(received.substr(0, whole))) << size;
    EXPECT_LT(size - whole, 4u);
  }
  EXPECT_EQ(CompleteUtf8Prefix(text, 5), 2u);  // the limit counts too
  EXPECT_EQ(CompleteUtf8Prefix(text, 6), 6u);
}

TEST(Utf8, GarbageIsPassedOnNotHeldForEver) {
  EXPECT_EQ(CompleteUtf8Prefix("\x80\x80\x80\x80", 4), 4u);
  EXPECT_EQ(CompleteUtf8Prefix("a\xff", 4), 2u);
}

}  // namespace
}  // namespace firstbyte
