// Same seed, scene and actions give the same bytes: alone, beside worlds that are at other passes
// and frames, saved and opened again anywhere, in a slot that had another world before.
#include <algorithm>
#include <random>

#include "gtest/gtest.h"
#include "tests/model/world/waypoint/world_fixture.h"

namespace firstbyte::waypoint {
namespace {

// Past the wrap of both rings.
constexpr int kBlocks = 14;

class InvarianceTest : public WorldTest {
 protected:
  using Frames = std::vector<std::vector<uint8_t>>;

  Frames Alone(uint64_t seed, bool with_picture = false) {
    auto model = NewModel({.slots = 1, .max_batch = 1});
    auto session = Open(model.get(), seed, with_picture);
    Frames frames;
    for (Output& block : Play(model.get(), session.get(), 0, kBlocks)) {
      frames.push_back(std::move(block.frames));
    }
    return frames;
  }

  struct World {
    std::unique_ptr<Session> session;
    Frames frames;
  };

  // All stages of all worlds in random order and batches.
  void RunRandomly(Model* model, std::vector<World>* worlds, uint32_t seed, size_t blocks) {
    std::mt19937 random(seed);
    auto unfinished = [&](const World& world) { return world.frames.size() < blocks; };
    while (std::any_of(worlds->begin(), worlds->end(), unfinished)) {
      const Stage stage = static_cast<Stage>(random() % kStageCount);
      std::vector<Session*> batch;
      for (World& world : *worlds) {
        if (world.session->work().wants_block && unfinished(world) && random() % 2 == 0) {
          const int next = static_cast<int>(world.frames.size());
          ASSERT_TRUE(world.session->Push(Golden::Get().Actions(next)).ok());
        }
        if (NextStage(*world.session) == stage && random() % 3 != 0) {
          batch.push_back(world.session.get());
        }
      }
      std::shuffle(batch.begin(), batch.end(), random);
      if (batch.empty()) continue;
      Step(model, stage, batch);
      ASSERT_FALSE(HasFatalFailure());
      for (World& world : *worlds) {
        Output output = world.session->Take();
        if (output.block < 0) continue;
        EXPECT_EQ(output.block, static_cast<int64_t>(world.frames.size()));
        world.frames.push_back(std::move(output.frames));
      }
    }
  }
};

TEST_P(InvarianceTest, NeighboursDoNotChangeTheFrames) {
  auto model = NewModel();
  std::vector<World> worlds;
  std::vector<Frames> expected;
  for (uint64_t seed : {1, 2, 3, 4}) {
    expected.push_back(Alone(seed, seed % 2 == 0));
    worlds.push_back({Open(model.get(), seed, seed % 2 == 0), {}});
  }
  RunRandomly(model.get(), &worlds, 7, kBlocks);
  for (size_t i = 0; i < worlds.size(); ++i) EXPECT_EQ(worlds[i].frames, expected[i]) << i;
}

TEST_P(InvarianceTest, ASavedWorldGoesOnWithTheSameFrames) {
  for (bool with_picture : {false, true}) {
    const Frames expected = Alone(5, with_picture);
    auto model = NewModel({.slots = 1, .max_batch = 1});
    auto session = Open(model.get(), 5, with_picture);
    RunAlone(model.get(), session.get());
    for (int i = 0; i < kBlocks; ++i) {
      // Before anything, around the wrap of one ring, and past that of the other.
      if (i == 0 || i == 4 || i == 5 || i == 13) {
        // Into another model, whose slot is full of another world.
        auto state = session->Save();
        ASSERT_TRUE(state.ok()) << state.status();
        auto other = NewModel({.slots = 1, .max_batch = 1});
        Play(other.get(), Open(other.get(), 99).get(), 20, 9);
        session.reset();
        session = Restore(other.get(), *state);
        model = std::move(other);
        EXPECT_EQ(*session->Save(), *state);
      }
      Output block = PlayBlock(model.get(), session.get(), Golden::Get().Actions(i));
      EXPECT_EQ(block.block, i);
      EXPECT_EQ(block.frames, expected[i]) << i;
    }
    session.reset();
  }
}

TEST_P(InvarianceTest, AForkLeavesTheOriginalAlone) {
  const Frames expected = Alone(6);
  auto model = NewModel();
  auto session = Open(model.get(), 6);
  Play(model.get(), session.get(), 0, 5);
  auto fork = Restore(model.get(), *session->Save());
  Play(model.get(), fork.get(), 40, 5);
  const std::vector<Output> rest = Play(model.get(), session.get(), 5, kBlocks - 5);
  for (int i = 5; i < kBlocks; ++i) EXPECT_EQ(rest[i - 5].frames, expected[i]) << i;
}

TEST_P(InvarianceTest, ResetGoesBackToTheOrigin) {
  for (bool with_picture : {false, true}) {
    const Frames expected = Alone(8, with_picture);
    auto model = NewModel();
    auto session = Open(model.get(), 8, with_picture);
    Play(model.get(), session.get(), 30, 7);
    ASSERT_TRUE(session->Push(ResetWorld{}).ok());
    const std::vector<Output> again = Play(model.get(), session.get(), 0, kBlocks);
    for (int i = 0; i < kBlocks; ++i) {
      EXPECT_EQ(again[i].block, 7 + i);
      EXPECT_EQ(again[i].frames, expected[i]) << i;
    }
  }
}

TEST_P(InvarianceTest, SeedActionsAndSceneChangeTheFrames) {
  const Frames base = Alone(1);
  EXPECT_NE(Alone(2), base);
  EXPECT_NE(Alone(1, /*with_picture=*/true), base);
  auto first_block = [&](const BlockActions& actions) {
    auto model = NewModel();
    auto session = Open(model.get(), 1);
    return PlayBlock(model.get(), session.get(), actions).frames;
  };
  const std::vector<uint8_t> idle = first_block({});
  BlockActions actions;
  for (int key = 0; key < 8; ++key) {
    actions = {};
    actions.keys[key] = true;
    EXPECT_NE(first_block(actions), idle) << key;
  }
  actions = {};
  actions.pointer_dx = 0.5;
  EXPECT_NE(first_block(actions), idle);
  actions = {};
  actions.pointer_dy = 0.5;
  EXPECT_NE(first_block(actions), idle);
  actions = {};
  actions.scroll = 1;
  const std::vector<uint8_t> scrolled = first_block(actions);
  EXPECT_NE(scrolled, idle);
  actions.scroll = 7;  // only its direction counts
  EXPECT_EQ(first_block(actions), scrolled);
}

INSTANTIATE_TEST_SUITE_P(Isas, InvarianceTest, AllIsas(), NameOfIsa);

}  // namespace
}  // namespace firstbyte::waypoint
