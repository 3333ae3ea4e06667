#include "model/scripted_world.h"

#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

BlockActions Keys(std::initializer_list<int> keys) {
  BlockActions actions;
  for (int key : keys) actions.keys.set(key);
  return actions;
}

// Runs what the session has to do until it wants a block; returns the last block that came.
Output RunToBoundary(Model& model, Session& session, absl::Status* failed = nullptr) {
  Output block;
  while (session.work().any()) {
    const Work work = session.work();
    const Stage stage = work.prefill             ? Stage::kPrefill
                        : work.generate          ? Stage::kGenerate
                        : work.decode_frames > 0 ? Stage::kDecode
                                                 : Stage::kCommit;
    Session* batch[] = {&session};
    StepReport report;
    EXPECT_TRUE(model.Wait(model.Submit(stage, batch, 0), &report).ok());
    if (!report.session_status[0].ok()) {
      if (failed != nullptr) *failed = report.session_status[0];
      return block;
    }
    if (Output output = session.Take(); output.block >= 0) block = std::move(output);
  }
  return block;
}

Output Play(Model& model, Session& session, const BlockActions& actions) {
  EXPECT_TRUE(session.Push(actions).ok());
  return RunToBoundary(model, session);
}

TEST(ScriptedWorld, BlocksAreThoseOfTheReplay) {
  const ScriptedWorldOptions options;
  auto model = MakeScriptedWorld(options);
  auto session = *model->Open({.seed = 7});
  RunToBoundary(*model, *session);
  ScriptedWorldReplay replay(options, 7);
  for (int block = 0; block < 3; ++block) {
    const Output got = Play(*model, *session, Keys({block})), want = replay.Next(Keys({block}));
    EXPECT_EQ(got.block, block);
    EXPECT_EQ(got.frames, want.frames);
    EXPECT_EQ(got.samples, want.samples);
    EXPECT_EQ(got.start_sample, block * 1600);
    EXPECT_EQ(got.frames.size(), 2u * 8 * 6 * 3);
  }
}

TEST(ScriptedWorld, EveryInputLeavesATrace) {
  const ScriptedWorldOptions options;
  auto last = [&](const RawInput& scene, uint64_t seed, int key, bool prompt, bool reset) {
    ScriptedWorldReplay replay(options, seed, scene);
    replay.Next(Keys({key}));
    if (prompt) replay.Prompt({.text = "night"});
    if (reset) replay.Reset();
    return replay.Next({}).frames;
  };
  const auto plain = last({}, 1, 0, false, false);
  EXPECT_EQ(plain, last({}, 1, 0, false, false));
  EXPECT_NE(plain, last({.text = "day"}, 1, 0, false, false));
  EXPECT_NE(plain, last({}, 2, 0, false, false));
  EXPECT_NE(plain, last({}, 1, 1, false, false));
  EXPECT_NE(plain, last({}, 1, 0, true, false));
  EXPECT_NE(plain, last({}, 1, 0, false, true));
}

TEST(ScriptedWorld, SavedSessionGoesOnElsewhere) {
  const ScriptedWorldOptions options;
  auto here = MakeScriptedWorld(options), there = MakeScriptedWorld(options);
  auto session = *here->Open({.seed = 3});
  RunToBoundary(*here, *session);
  Play(*here, *session, Keys({1}));
  auto state = session->Save();
  ASSERT_TRUE(state.ok());
  auto resumed = *there->Open({.state = std::make_shared<const std::string>(*state)});
  EXPECT_TRUE(resumed->work().wants_block);
  EXPECT_EQ(Play(*there, *resumed, Keys({2})).frames, Play(*here, *session, Keys({2})).frames);

  state->pop_back();
  auto bad = there->Open({.state = std::make_shared<const std::string>(*state)});
  EXPECT_TRUE(absl::IsDataLoss(bad.status()));
}

TEST(ScriptedWorld, NothingCanBePushedInsideABlock) {
  auto model = MakeScriptedWorld();
  auto session = *model->Open({});
  RunToBoundary(*model, *session);
  ASSERT_TRUE(session->Push(BlockActions{}).ok());
  EXPECT_FALSE(session->work().wants_block);
  EXPECT_FALSE(session->Push(BlockActions{}).ok());
  EXPECT_FALSE(session->Save().ok());
}

TEST(ScriptedWorld, PoisonIsReportedForItsSession) {
  auto model = MakeScriptedWorld({.poison_key = "A"});
  auto session = *model->Open({});
  RunToBoundary(*model, *session);
  ASSERT_TRUE(session->Push(Keys({1})).ok());
  absl::Status failed;
  RunToBoundary(*model, *session, &failed);
  EXPECT_EQ(DetailOf(failed).reason, "SCRIPTED_FAILURE");
}

TEST(ScriptedWorld, SlotsAreGivenBack) {
  auto model = MakeScriptedWorld({.slots = 1});
  {
    auto session = *model->Open({});
    EXPECT_TRUE(absl::IsResourceExhausted(model->Open({}).status()));
  }
  EXPECT_TRUE(model->Open({}).ok());
}

}  // namespace
}  // namespace firstbyte
