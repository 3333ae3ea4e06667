// The contract of model/model.h, and what bad input gets.
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "gtest/gtest.h"
#include "tests/model/world/waypoint/world_fixture.h"

namespace firstbyte::waypoint {
namespace {

class SessionTest : public WorldTest {
 protected:
  std::string ReasonOfState(Model* model, std::string state) {
    SessionSpec spec;
    spec.state = std::make_shared<const std::string>(std::move(state));
    auto session = model->Open(spec);
    return session.ok() ? "OK" : DetailOf(session.status()).reason;
  }
};

// A state whose hash is right, as somebody who wants to do harm would send it.
std::string Rehashed(std::string state) {
  uint64_t hash = 0xcbf29ce484222325;
  const size_t size = state.size() - 8;
  for (size_t i = 0; i < size; i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, state.data() + i, std::min<size_t>(8, size - i));
    hash = (hash ^ word) * 0x100000001b3;
    hash ^= hash >> 32;
  }
  std::memcpy(state.data() + size, &hash, 8);
  return state;
}

std::string WithNumber(std::string state, int which, uint64_t number) {
  std::memcpy(state.data() + 40 + 8 * which, &number, 8);
  return Rehashed(std::move(state));
}

TEST_P(SessionTest, ABlockGoesThroughItsStages) {
  auto model = NewModel();
  auto session = Open(model.get(), 1);
  EXPECT_TRUE(session->work().wants_block);
  EXPECT_FALSE(session->work().any());
  ASSERT_TRUE(session->Push(BlockActions{}).ok());
  for (int pass = 0; pass < 4; ++pass) {
    EXPECT_TRUE(session->work().generate);
    EXPECT_FALSE(session->work().wants_block);
    EXPECT_EQ(session->work().decode_frames, 0);
    Step(model.get(), Stage::kGenerate, {session.get()});
  }
  EXPECT_FALSE(session->work().generate);
  EXPECT_EQ(session->work().decode_frames, 4);
  Step(model.get(), Stage::kDecode, {session.get()});
  EXPECT_TRUE(session->work().commit);
  const Output block = session->Take();
  EXPECT_EQ(block.block, 0);
  EXPECT_EQ(block.frames.size(), 4u * 256 * 128 * 3);
  EXPECT_FALSE(session->work().wants_block);
  Step(model.get(), Stage::kCommit, {session.get()});
  EXPECT_TRUE(session->work().wants_block);
  ASSERT_TRUE(session->Push(EndOfInput{}).ok());
  EXPECT_TRUE(session->work().closed && session->work().done);
  EXPECT_EQ(DetailOf(session->Push(BlockActions{})).reason, "INPUT_AFTER_END");
}

TEST_P(SessionTest, AnUntakenBlockIsNotLost) {
  auto model = NewModel();
  auto session = Open(model.get(), 1);
  ASSERT_TRUE(session->Push(BlockActions{}).ok());
  while (auto stage = NextStage(*session)) Step(model.get(), *stage, {session.get()});
  EXPECT_FALSE(session->work().wants_block);
  ASSERT_TRUE(session->Push(EndOfInput{}).ok());
  EXPECT_FALSE(session->work().done);
  EXPECT_EQ(session->Take().block, 0);
  EXPECT_TRUE(session->work().done);
}

TEST_P(SessionTest, InputsComeAtBoundariesOnly) {
  auto model = NewModel();
  auto session = Open(model.get(), 1);
  ASSERT_TRUE(session->Push(BlockActions{}).ok());
  EXPECT_EQ(DetailOf(session->Push(BlockActions{})).reason, "BLOCK_UNDER_WAY");
  EXPECT_EQ(DetailOf(session->Push(ResetWorld{})).reason, "BLOCK_UNDER_WAY");
  EXPECT_EQ(DetailOf(session->Save().status()).reason, "BLOCK_UNDER_WAY");
}

TEST_P(SessionTest, APictureIsPrefilledInSlices) {
  auto model = NewModel();
  auto session = Open(model.get(), 1, /*with_picture=*/true);
  int slices = 0;
  for (; session->work().prefill; ++slices) {
    EXPECT_FALSE(session->work().wants_block);
    Step(model.get(), Stage::kPrefill, {session.get()});
  }
  EXPECT_EQ(slices, 5);
  EXPECT_TRUE(session->work().wants_block);
}

TEST_P(SessionTest, ResetAndActionsMayComeAtOneBoundary) {
  auto model = NewModel();
  for (bool with_picture : {false, true}) {
    auto reset = Open(model.get(), 1, with_picture), fresh = Open(model.get(), 1, with_picture);
    RunAlone(model.get(), fresh.get());
    RunAlone(model.get(), reset.get());
    ASSERT_TRUE(reset->Push(BlockActions{.scroll = 1}).ok());
    RunAlone(model.get(), reset.get());
    ASSERT_TRUE(reset->Push(ResetWorld{}).ok());
    for (auto* session : {reset.get(), fresh.get()}) {
      ASSERT_TRUE(session->Push(BlockActions{}).ok());
      EXPECT_EQ(DetailOf(session->Push(BlockActions{})).reason, "BLOCK_UNDER_WAY");
    }
    EXPECT_EQ(RunAlone(model.get(), reset.get()).frames, RunAlone(model.get(), fresh.get()).frames);
  }
}

TEST_P(SessionTest, WhatIsNoNumberIsRefused) {
  auto model = NewModel();
  auto session = Open(model.get(), 1);
  for (float value : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    BlockActions actions;
    actions.pointer_dx = value;
    EXPECT_EQ(DetailOf(session->Push(actions)).reason, "NOT_FINITE");
    actions = {};
    actions.scroll = value;
    EXPECT_EQ(DetailOf(session->Push(actions)).reason, "NOT_FINITE");
  }
  EXPECT_TRUE(session->work().wants_block);
}

TEST_P(SessionTest, ItTakesNoPrompts) {
  auto model = NewModel();
  EXPECT_EQ(DetailOf(model->Prepare({.text = "a lagoon"}).status()).reason, "NOT_SUPPORTED");
  EXPECT_EQ(DetailOf(model->Prepare({.embedding = {1}}).status()).reason, "NOT_SUPPORTED");
  auto session = Open(model.get(), 1);
  auto scene = model->Prepare({});
  ASSERT_TRUE(scene.ok()) << scene.status();
  ASSERT_NE(*scene, nullptr);
  EXPECT_EQ(DetailOf(session->Push(*std::move(scene))).reason, "NOT_SUPPORTED");
  EXPECT_EQ(DetailOf(session->Push(Marker{"m"})).reason, "NOT_FOR_WORLDS");
}

TEST_P(SessionTest, APictureWithoutPixelsIsRefused) {
  auto model = NewModel();
  for (RgbImage image :
       {RgbImage{0, 0, {}}, RgbImage{2, 2, {1, 2, 3}}, RgbImage{-1, -1, {1, 2, 3}}}) {
    EXPECT_EQ(DetailOf(model->Prepare({.image = image}).status()).reason, "BAD_IMAGE");
  }
  EXPECT_TRUE(model->Prepare({.image = RgbImage{1, 1, {1, 2, 3}}}).ok());
}

TEST_P(SessionTest, SlotsEndAndComeBack) {
  auto model = NewModel({.slots = 2, .max_batch = 1});
  auto first = Open(model.get(), 1), second = Open(model.get(), 2);
  EXPECT_EQ(DetailOf(model->Open({}).status()).reason, "NO_SLOT");
  second.reset();
  EXPECT_TRUE(model->Open({}).ok());
  second = Open(model.get(), 2);
  ASSERT_TRUE(first->Push(BlockActions{}).ok() && second->Push(BlockActions{}).ok());
  StepReport report;
  std::vector<Session*> both = {first.get(), second.get()};
  absl::Status status = model->Wait(model->Submit(Stage::kGenerate, both, 1), &report);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(model->info().slots, 2);
}

TEST_P(SessionTest, ADamagedStateIsDataLoss) {
  auto model = NewModel();
  auto session = Open(model.get(), 1);
  Play(model.get(), session.get(), 0, 3);
  const std::string good = *session->Save();
  EXPECT_EQ(ReasonOfState(model.get(), good), "OK");
  EXPECT_LE(static_cast<int64_t>(good.size()), model->info().world->state_bytes);
  for (size_t at : {size_t{0}, size_t{50}, good.size() / 2, good.size() - 1}) {
    std::string bad = good;
    bad[at] ^= 1;
    EXPECT_EQ(ReasonOfState(model.get(), bad), "BAD_STATE") << at;
  }
  for (size_t size : {size_t{0}, size_t{8}, size_t{79}, good.size() - 1}) {
    EXPECT_EQ(ReasonOfState(model.get(), good.substr(0, size)), "BAD_STATE") << size;
  }
  EXPECT_EQ(ReasonOfState(model.get(), good + "x"), "BAD_STATE");
}

TEST_P(SessionTest, AStateMadeToDoHarmIsDataLoss) {
  auto model = NewModel();
  auto session = Open(model.get(), 1);
  Play(model.get(), session.get(), 0, 3);
  const std::string good = *session->Save();
  ASSERT_EQ(Rehashed(good), good);
  for (uint64_t number : {uint64_t{1000}, uint64_t{1} << 62, ~uint64_t{0}}) {
    EXPECT_EQ(ReasonOfState(model.get(), WithNumber(good, 1, number)), "BAD_STATE") << number;
  }
  EXPECT_EQ(ReasonOfState(model.get(), WithNumber(good, 2, ~uint64_t{0})), "BAD_STATE");
  EXPECT_EQ(ReasonOfState(model.get(), WithNumber(good, 3, 3)), "BAD_STATE");
  EXPECT_EQ(ReasonOfState(model.get(), WithNumber(good, 3, 4)), "BAD_STATE");
  std::string infinite = good;
  std::memcpy(infinite.data() + 2000, "\x00\x00\x80\x7F", 4);
  EXPECT_EQ(ReasonOfState(model.get(), Rehashed(infinite)), "BAD_STATE");
  std::string other = good;
  other[20] ^= 1;
  EXPECT_EQ(ReasonOfState(model.get(), Rehashed(other)), "OTHER_WEIGHTS");
}

INSTANTIATE_TEST_SUITE_P(Isas, SessionTest, AllIsas(), NameOfIsa);

}  // namespace
}  // namespace firstbyte::waypoint
