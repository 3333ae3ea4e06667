#include "client/loadgen/page.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(HtmlReport, HoldsTheReportAndLoadsNothing) {
  std::string page = HtmlReport({{"target", "127.0.0.1:1"}});
  EXPECT_THAT(page, HasSubstr("const report = {\"target\":\"127.0.0.1:1\"};"));
  for (const char* outside : {"http://", "https://", " src=", "@import", "url("}) {
    EXPECT_THAT(page, Not(HasSubstr(outside)));
  }
}

TEST(HtmlReport, ANameCannotEndTheScript) {
  std::string page = HtmlReport({{"target", "</script><b>"}});
  EXPECT_THAT(page, HasSubstr("\\u003c/script>\\u003cb>"));
}

TEST(HtmlReport, BytesThatAreNotUtf8AreReplaced) {
  EXPECT_THAT(HtmlReport({{"target", "a\xff"}}), HasSubstr("a\xEF\xBF\xBD"));
}

}  // namespace
}  // namespace firstbyte
