#include "model/io/front_end.h"

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/io/segmenter.h"

extern "C" {
#include <flite/flite.h>
}

namespace firstbyte {
namespace {

using ::testing::Each;

const std::vector<std::string>& PhoneNames() {
  static const auto* const names = new std::vector<std::string>{
      "<pad>", "pau", "aa", "r",  "y",  "uw", "dh", "eh", "hh", "iy", "p",  "uh", "t",  "ax",
      "s",     "n",   "ao", "ng", "ih", "l",  "b",  "g",  "ae", "jh", "ey", "sh", "w",  "z",
      "d",     "ay",  "f",  "zh", "er", "k",  "th", "m",  "aw", "v",  "ah", "ow", "ch", "oy"};
  return *names;
}

std::string Spell(const ClausePhones& clause) {
  std::string spelled;
  for (const int phone : clause.phones) {
    if (!spelled.empty()) spelled += ' ';
    spelled += PhoneNames()[phone];
  }
  return spelled;
}

TEST(FrontEndTest, SpellsWordsAndNumbers) {
  FrontEnd front_end(PhoneNames());
  EXPECT_EQ(Spell(*front_end.Process("Hello world.")), "pau hh ax l ow w er l d pau");
  EXPECT_EQ(Spell(*front_end.Process("It is $2.")),
            Spell(*front_end.Process("It is two dollars.")));
}

TEST(FrontEndTest, FlagsDescribeThePhones) {
  FrontEnd front_end(PhoneNames());
  const ClausePhones clause = *front_end.Process("Hello world?");
  ASSERT_EQ(clause.phones.size(), clause.flags.size());
  const auto& pause = clause.flags.front();
  EXPECT_EQ(pause[12], 1);  // part of speech "0"
  EXPECT_EQ(pause[27], 1);  // other punctuation
  EXPECT_EQ(pause[2], 0);
  const auto& hh = clause.flags[1];
  EXPECT_EQ(hh[0], 0);  // "hel" has no stress
  EXPECT_EQ(hh[2], 1);  // starts its word
  EXPECT_EQ(hh[3], 0);
  EXPECT_EQ(clause.flags[4][0], 1);  // "lo" has
  const auto& d = clause.flags[8];
  EXPECT_EQ(d[3], 1);   // ends its word
  EXPECT_EQ(d[13], 1);  // content word
  EXPECT_EQ(d[25], 1);  // question mark
}

TEST(FrontEndTest, EmptyAndOddTextIsHarmless) {
  FrontEnd front_end(PhoneNames());
  for (const char* text : {"", " ", ".", "\"'()", "%s%n%d", "<b>&amp;</b>", "a\tb\nc", "\x80\xff",
                           "-0", "$", "1e400", "99999999999999999999999999", "12:99", "#@!"}) {
    const auto result = front_end.Process(text);
    if (!result.ok()) continue;
    EXPECT_EQ(result->phones.size(), result->flags.size());
  }
}

TEST(FrontEndTest, TheWorstTextStaysWithinBounds) {
  FrontEnd front_end(PhoneNames());
  for (char c = '!'; c <= '~'; ++c) {
    Segmenter segmenter;
    const auto clauses = segmenter.Append(std::string(330, c) + " a");
    ASSERT_TRUE(clauses.ok());
    for (const Clause& clause : *clauses) {
      EXPECT_TRUE(front_end.Process(clause.text).ok()) << clause.text;
    }
  }
}

TEST(FrontEndTest, AnswersDoNotDependOnWhatCameBeforeOrOnThreads) {
  FrontEnd front_end(PhoneNames());
  const std::vector<std::string> texts = {"One two.", "The cat sat, alas.", "In 1999 we left!",
                                          "Ok"};
  std::map<std::string, std::string> alone;
  for (const std::string& text : texts) {
    FrontEnd fresh(PhoneNames());
    alone[text] = Spell(*fresh.Process(text));
  }
  std::vector<std::thread> threads;
  for (const std::string& text : texts) {
    threads.emplace_back([&front_end, &alone, text] {
      for (int i = 0; i < 20; ++i) EXPECT_EQ(Spell(*front_end.Process(text)), alone.at(text));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

void FailOnPurpose(const char* text) {
  if (std::string_view(text) == "Fail.") cst_error();
}

TEST(FrontEndTest, AFliteErrorFailsOneClauseOnly) {
  FrontEnd front_end(PhoneNames(), &FailOnPurpose);
  const std::string before = Spell(*front_end.Process("Hello world."));
  for (int i = 0; i < 3; ++i) {
    const auto failed = front_end.Process("Fail.");
    ASSERT_FALSE(failed.ok());
    EXPECT_EQ(failed.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(DetailOf(failed.status()).reason, "TEXT_NOT_PROCESSABLE");
    EXPECT_EQ(Spell(*front_end.Process("Hello world.")), before);
  }
}

TEST(FrontEndTest, APhoneTheModelLacksIsAnError) {
  FrontEnd front_end({"<pad>", "pau"});
  const auto result = front_end.Process("Hello.");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace firstbyte
