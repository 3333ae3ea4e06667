#include "client/play/script.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Complaint(absl::string_view script) {
  return std::string(ParseScript(script).status().message());
}

TEST(Script, EveryKindOfStepIsRead) {
  auto steps = ParseScript(
      "# a walk\n"
      "forward 20\n"
      "\n"
      "  turn_left+forward 8   # round the corner\n"
      "back\n"
      "pointer 0.5 5\r\n"
      "pointer 0.5 -0.25 6\n"
      "scroll -1 3\n"
      "axis steer -0.5 10\n"
      "wait 4\n"
      "prompt \"a snowy night # 1\"\n"
      "snapshot\n"
      "reset\n");
  ASSERT_TRUE(steps.ok()) << steps.status();
  ASSERT_EQ(steps->size(), 11u);
  const auto& s = *steps;
  EXPECT_THAT(s[0].actions.keys(), ElementsAre("forward"));
  EXPECT_EQ(s[0].blocks, 20);
  EXPECT_EQ(s[0].line, 2);
  EXPECT_THAT(s[1].actions.keys(), ElementsAre("turn_left", "forward"));
  EXPECT_EQ(s[2].blocks, 1);
  EXPECT_EQ(s[3].actions.pointer_dx(), 0.5F);
  EXPECT_EQ(s[3].blocks, 5);
  EXPECT_EQ(s[4].actions.pointer_dy(), -0.25F);
  EXPECT_EQ(s[5].actions.scroll(), -1);
  EXPECT_EQ(s[6].actions.axes().at("steer"), -0.5F);
  EXPECT_TRUE(s[7].actions.keys().empty());
  EXPECT_EQ(s[7].blocks, 4);
  EXPECT_EQ(s[8].kind, ScriptStep::Kind::kPrompt);
  EXPECT_EQ(s[8].prompt, "a snowy night # 1");
  EXPECT_EQ(s[9].kind, ScriptStep::Kind::kSnapshot);
  EXPECT_EQ(s[10].kind, ScriptStep::Kind::kReset);
}

TEST(Script, MistakesNameTheirLine) {
  EXPECT_EQ(Complaint("forward 1\nforward many"),
            "line 2: 'many' is no number of blocks, 1 to 1000000");
  EXPECT_THAT(Complaint("forward 0"), HasSubstr("'0' is no number of blocks"));
  EXPECT_THAT(Complaint("forward 9999999"), HasSubstr("is no number of blocks"));
  EXPECT_THAT(Complaint("forward 1 2"), HasSubstr("a step is KEYS BLOCKS"));
  EXPECT_THAT(Complaint("forward+ 1"), HasSubstr("name is missing"));
  EXPECT_THAT(Complaint("prompt night"), HasSubstr("in quotes"));
  EXPECT_THAT(Complaint("prompt \""), HasSubstr("in quotes"));
  EXPECT_THAT(Complaint("prompt \"\xff\""), HasSubstr("UTF-8"));
  EXPECT_THAT(Complaint("pointer 5"), HasSubstr("pointer wants"));
  EXPECT_THAT(Complaint("pointer nan 5"), HasSubstr("pointer wants"));
  EXPECT_THAT(Complaint("scroll"), HasSubstr("scroll wants"));
  EXPECT_THAT(Complaint("axis steer 2 1"), HasSubstr("axis wants"));
  EXPECT_THAT(Complaint("snapshot 3"), HasSubstr("stands alone"));
}

TEST(Script, WhatAWorldDoesNotKnowIsFoundBeforeItIsSent) {
  v1::ActionVocabulary vocabulary;
  vocabulary.add_keys("forward");
  auto check = [&](absl::string_view script) {
    return std::string(CheckScript(*ParseScript(script), vocabulary).message());
  };
  EXPECT_EQ(check("forward 2\nwait\nprompt \"x\""), "");
  EXPECT_EQ(check("wait\njump"), "line 2: this world does not know 'jump'; it knows forward");
  EXPECT_EQ(check("axis steer 1"), "line 1: this world does not know 'steer'; it knows none");
  EXPECT_EQ(check("pointer 0.1 1"), "line 1: this world has no pointer");
  EXPECT_EQ(check("scroll 1"), "line 1: this world has no scroll wheel");
}

}  // namespace
}  // namespace firstbyte
