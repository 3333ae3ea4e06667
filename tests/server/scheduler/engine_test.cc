#include "server/scheduler/engine.h"

#include <atomic>
#include <thread>

#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/scripted.h"

namespace firstbyte {
namespace {

// A lane with the voice "here" and one that is loaded when asked for.
class EngineTest : public testing::Test {
 protected:
  EngineTest() {
    std::vector<std::vector<std::unique_ptr<Model>>> lanes(2);
    for (auto& models : lanes) models.push_back(MakeScriptedModel({.name = "here"}));
    std::vector<LazyModel> lazy;
    lazy.push_back({MakeScriptedModel({.name = "later"})->info(), [this] { return Open(); }});
    lazy.back().info.version = "";
    engine_ = *Engine::Create(std::move(lanes), {}, {}, std::move(lazy));
  }

  absl::StatusOr<std::vector<std::unique_ptr<Model>>> Open() {
    ++loads_;
    if (fails_) return absl::NotFoundError("no weights");
    std::vector<std::unique_ptr<Model>> copies;
    for (int i = 0; i < 2; ++i) copies.push_back(MakeScriptedModel({.name = "later"}));
    return copies;
  }

  // Waits until the model can be used, or not.
  absl::Status Await(int index) {
    std::atomic<bool> told = false;
    absl::Status answer;
    const bool resident = engine_->EnsureLoaded(index, [&](const absl::Status& status) {
      answer = status;
      told = true;
    });
    while (!resident && !told) std::this_thread::yield();
    return answer;
  }

  std::atomic<bool> fails_ = false;
  std::atomic<int> loads_ = 0;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, ALazyModelIsFoundBeforeItIsLoadedAndIsNoDefault) {
  EXPECT_EQ(*engine_->Find("later", ""), 1);
  EXPECT_EQ(*engine_->Find("", ""), 0);
  EXPECT_FALSE(engine_->resident(1));
  EXPECT_EQ(engine_->info(1).version, "");
  EXPECT_EQ(loads_, 0);
}

TEST_F(EngineTest, AResidentModelNeedsNoLoad) {
  EXPECT_TRUE(engine_->EnsureLoaded(0, [](const absl::Status&) { FAIL(); }));
}

TEST_F(EngineTest, AFailureIsToldAndTheNextTriesAgain) {
  fails_ = true;
  const absl::Status failed = Await(1);
  EXPECT_EQ(DetailOf(failed).reason, "MODEL_LOAD_FAILED");
  EXPECT_TRUE(DetailOf(failed).retry_after);
  EXPECT_FALSE(engine_->resident(1));
  fails_ = false;
  EXPECT_TRUE(Await(1).ok());
  EXPECT_EQ(loads_, 2);
}

TEST_F(EngineTest, ManyThreadsShareOneLoadAndFindTheModelOnEveryLane) {
  class Port : public StreamPort {
   public:
    State state(absl::Time) override { return {.room_frames = 16}; }
    void Reserve(int) override {}
    void Deliver(Output, absl::Time) override {}
    void ClauseBegun() override {}
    void Ended(absl::Status status, const StageTimes&) override {
      good = status.ok(), ended = true;
    }
    std::atomic<bool> ended = false, good = false;
  };
  std::atomic<int> spoke = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      auto seat = engine_->admission().Admit({.model = 1});
      ASSERT_TRUE(seat.ok() && Await(1).ok());
      auto port = std::make_shared<Port>();
      Lane& lane = engine_->lane(seat->lane());
      const auto id = lane.Open({.port = port, .seat = *std::move(seat)});
      lane.Push(id, *engine_->model(1).Prepare({"hello"}));
      lane.Push(id, EndOfInput{});
      while (!port->ended) std::this_thread::yield();
      spoke += port->good;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(spoke, 8);
  EXPECT_EQ(loads_, 1);
  EXPECT_NE(engine_->info(1).version, "");
  EXPECT_EQ(engine_->admission().usage(1).used, 0);
}

}  // namespace
}  // namespace firstbyte
