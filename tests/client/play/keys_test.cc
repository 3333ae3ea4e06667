#include "client/play/keys.h"

#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Names(const std::vector<Keystroke>& strokes) {
  std::vector<std::string> names;
  for (const Keystroke& stroke : strokes) names.push_back(stroke.key);
  return names;
}

v1::ActionVocabulary Vocabulary(const std::vector<std::string>& keys, bool pointer = false) {
  v1::ActionVocabulary vocabulary;
  for (const std::string& key : keys) vocabulary.add_keys(key);
  vocabulary.set_pointer(pointer);
  return vocabulary;
}

TEST(KeyReader, CharactersArrowsAndSpecialKeys) {
  KeyReader keys;
  EXPECT_THAT(Names(keys.Read("wQ \r\x7f")), ElementsAre("w", "Q", " ", "enter", "backspace"));
  EXPECT_THAT(Names(keys.Read("\033[A\033[B\033OC\033[D")),
              ElementsAre("up", "down", "right", "left"));
  EXPECT_THAT(Names(keys.Read("\033")), ElementsAre("escape"));
  EXPECT_THAT(Names(keys.Read("\xc3\xa9")), ElementsAre("\xc3\xa9"));
  EXPECT_THAT(Names(keys.Read("\033[5~\x01x")), ElementsAre("x")) << "unknown ones are skipped";
}

TEST(KeyReader, SequencesMayBeCutAnywhere) {
  KeyReader keys;
  EXPECT_THAT(Names(keys.Read("a\033[")), ElementsAre("a"));
  EXPECT_THAT(Names(keys.Read("Ab\xe2\x82")), ElementsAre("up", "b"));
  EXPECT_THAT(Names(keys.Read("\xac")), ElementsAre("\xe2\x82\xac"));
}

TEST(KeyReader, KittysProtocolTellsReleases) {
  KeyReader keys;
  auto strokes = keys.Read("\033[119u\033[119;1:3u\033[1;1:3A\033[113;2u");
  ASSERT_THAT(Names(strokes), ElementsAre("w", "w", "up", "Q"));
  EXPECT_TRUE(strokes[0].exact);
  EXPECT_FALSE(strokes[0].released);
  EXPECT_TRUE(strokes[1].released);
  EXPECT_TRUE(strokes[2].released);
}

TEST(BindKeys, TheFirstNameThatTheWorldKnowsWins) {
  auto bindings = BindKeys(Vocabulary({"forward", "left", "turn_left", "jump", "E"}));
  EXPECT_THAT(bindings["w"].keys, ElementsAre("forward"));
  EXPECT_THAT(bindings["up"].keys, ElementsAre("forward"));
  EXPECT_THAT(bindings["a"].keys, ElementsAre("left"));
  EXPECT_THAT(bindings["left"].keys, ElementsAre("turn_left"));
  EXPECT_THAT(bindings[" "].keys, ElementsAre("jump"));
  EXPECT_THAT(bindings["e"].keys, ElementsAre("E"));
  EXPECT_FALSE(bindings.contains("s"));
}

TEST(BindKeys, AWorldThatTurnsByPointerTurnsByArrowsToo) {
  auto bindings = BindKeys(Vocabulary({"W"}, /*pointer=*/true));
  EXPECT_LT(bindings["left"].pointer_dx, 0);
  EXPECT_GT(bindings["right"].pointer_dx, 0);
  EXPECT_THAT(bindings["w"].keys, ElementsAre("W"));
}

// Waypoint's keys are those of a keyboard, in capitals.
TEST(BindKeys, AWorldOfKeyboardKeysIsWalkedAsUsual) {
  auto bindings =
      BindKeys(Vocabulary({"SPACE", "LEFT", "UP", "A", "D", "S", "W"}, /*pointer=*/true));
  for (const char* key : {"w", "a", "s", "d"}) {
    EXPECT_THAT(bindings[key].keys, ElementsAre(absl::AsciiStrToUpper(key)));
  }
  EXPECT_THAT(bindings["up"].keys, ElementsAre("W"));
  EXPECT_THAT(bindings["down"].keys, ElementsAre("S"));
  EXPECT_THAT(bindings[" "].keys, ElementsAre("SPACE"));
}

TEST(HeldKeys, AKeyIsHeldUntilAWhileAfterItsLastRepeat) {
  HeldKeys held(BindKeys(Vocabulary({"forward", "back"})));
  const absl::Time start = absl::UnixEpoch();
  EXPECT_TRUE(held.Feed({"w"}, start));
  EXPECT_FALSE(held.Feed({"z"}, start));
  EXPECT_THAT(held.Actions(start + absl::Milliseconds(200)).keys(), ElementsAre("forward"));
  held.Feed({"w"}, start + absl::Milliseconds(200));
  EXPECT_EQ(held.NextChange(), start + absl::Milliseconds(450));
  EXPECT_THAT(held.Actions(start + absl::Milliseconds(449)).keys(), ElementsAre("forward"));
  EXPECT_THAT(held.Actions(start + absl::Milliseconds(450)).keys(), IsEmpty());
  EXPECT_EQ(held.NextChange(), absl::InfiniteFuture());
}

TEST(HeldKeys, AReleaseThatIsReportedCounts) {
  HeldKeys held(BindKeys(Vocabulary({"forward", "back"})));
  const absl::Time start = absl::UnixEpoch();
  held.Feed({"w", false, true}, start);
  held.Feed({"s", false, true}, start);
  EXPECT_THAT(held.Actions(start + absl::Hours(1)).keys(), ElementsAre("back", "forward"));
  held.Feed({"w", true, true}, start);
  EXPECT_THAT(held.Actions(start).keys(), ElementsAre("back"));
}

}  // namespace
}  // namespace firstbyte
