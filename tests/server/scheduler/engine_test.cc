#include "server/scheduler/engine.h"

#include <atomic>
#include <thread>

#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/scripted.h"

namespace firstbyte {
namespace {

// Places in the ledger: the lazy one comes last.
enum { kHere = 0, kHome = 1, kLater = 2 };

using Copies = std::vector<std::unique_ptr<Model>>;

class Port : public StreamPort {
 public:
  State state(absl::Time) override { return {.room_frames = 16}; }
  void Reserve(int) override {}
  void Deliver(Output output, absl::Time) override {
    samples += static_cast<int>(output.samples.size());
  }
  void ClauseBegun() override {}
  void Ended(absl::Status status, const StageTimes&) override { good = status.ok(), ended = true; }
  std::atomic<int> samples = 0;
  std::atomic<bool> ended = false, good = false;
};

// Two lanes with the voice "here", which has no source, "home", which has one, and "later", which
// is loaded when asked for.
class EngineTest : public testing::Test {
 protected:
  EngineTest() {
    std::vector<Copies> lanes(2);
    for (Copies& models : lanes) {
      models.push_back(MakeScriptedModel({.name = "here"}));
      models.push_back(MakeScriptedModel({.name = "home"}));
    }
    std::vector<LazyModel> lazy;
    lazy.push_back({MakeScriptedModel({.name = "later"})->info(), {Source("later")}});
    lazy.back().info.version = "";
    engine_ = *Engine::Create(std::move(lanes), {}, {}, std::move(lazy), {{}, {Source("home")}});
  }

  std::function<absl::StatusOr<Copies>()> Source(const std::string& name) {
    return [this, name]() -> absl::StatusOr<Copies> {
      ++loads_;
      while (held_) std::this_thread::yield();
      if (fails_) return absl::NotFoundError("no weights");
      Copies copies;
      for (int i = 0; i < 2; ++i) copies.push_back(MakeLiving(name));
      return copies;
    };
  }

  // Holds on to life_ for as long as it exists.
  std::unique_ptr<Model> MakeLiving(const std::string& name) {
    return MakeScriptedModel(
        {.name = name, .on_step = [life = life_](Stage, int) { return absl::OkStatus(); }});
  }
  // Models that a source made and that still exist.
  int64_t Living() const { return life_.use_count() - 1; }

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

  struct Unloading {
    std::atomic<bool> told = false;
    absl::Status answer;
    absl::Status Wait() {
      while (!told) std::this_thread::yield();
      return answer;
    }
  };
  std::shared_ptr<Unloading> Unload(int index) {
    auto unloading = std::make_shared<Unloading>();
    engine_->Unload(index, [unloading](const absl::Status& status) {
      unloading->answer = status;
      unloading->told = true;
    });
    return unloading;
  }
  std::string UnloadNow(int index) {
    const absl::Status status = Unload(index)->Wait();
    return status.ok() ? "OK" : DetailOf(status).reason;
  }
  ModelStanding::State State(int index) { return engine_->standing(index).state; }

  // One stream from its seat to its end: "OK", or why not.
  std::string Speak(int index) {
    auto seat = engine_->admission().Admit({.model = index});
    if (!seat.ok()) return DetailOf(seat.status()).reason;
    if (absl::Status loaded = Await(index); !loaded.ok()) return DetailOf(loaded).reason;
    auto prepared = engine_->Prepare(index, {"hello"});
    if (!prepared.ok()) return DetailOf(prepared.status()).reason;
    auto port = std::make_shared<Port>();
    Lane& lane = engine_->lane(seat->lane());
    const auto id = lane.Open({.port = port, .seat = *std::move(seat)});
    lane.Push(id, *std::move(prepared));
    lane.Push(id, EndOfInput{});
    while (!port->ended) std::this_thread::yield();
    return port->good && port->samples == 5 * 640 ? "OK" : "broken";
  }

  std::atomic<bool> fails_ = false, held_ = false;
  std::atomic<int> loads_ = 0;
  std::shared_ptr<int> life_ = std::make_shared<int>();
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, ALazyModelIsFoundBeforeItIsLoadedAndIsNoDefault) {
  EXPECT_EQ(*engine_->Find("later", ""), kLater);
  EXPECT_EQ(*engine_->Find("", ""), kHere);
  EXPECT_FALSE(engine_->resident(kLater));
  EXPECT_EQ(engine_->info(kLater).version, "");
  EXPECT_EQ(loads_, 0);
}

TEST_F(EngineTest, AResidentModelNeedsNoLoad) {
  EXPECT_TRUE(engine_->EnsureLoaded(kHere, [](const absl::Status&) { FAIL(); }));
}

TEST_F(EngineTest, AFailureIsToldAndTheNextTriesAgain) {
  fails_ = true;
  const absl::Status failed = Await(kLater);
  EXPECT_EQ(DetailOf(failed).reason, "MODEL_LOAD_FAILED");
  EXPECT_TRUE(DetailOf(failed).retry_after);
  EXPECT_FALSE(engine_->resident(kLater));
  EXPECT_EQ(State(kLater), ModelStanding::State::kFailed);
  EXPECT_THAT(engine_->standing(kLater).why, testing::HasSubstr("no weights"));
  EXPECT_EQ(UnloadNow(kLater), "OK") << "there is nothing to unload";
  fails_ = false;
  EXPECT_TRUE(Await(kLater).ok());
  EXPECT_EQ(State(kLater), ModelStanding::State::kLoaded);
  EXPECT_EQ(loads_, 2);
}

TEST_F(EngineTest, ManyThreadsShareOneLoadAndFindTheModelOnEveryLane) {
  std::atomic<int> spoke = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) threads.emplace_back([&] { spoke += Speak(kLater) == "OK"; });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(spoke, 8);
  EXPECT_EQ(loads_, 1);
  EXPECT_NE(engine_->info(kLater).version, "");
  EXPECT_EQ(engine_->admission().usage(kLater).used, 0);
}

TEST_F(EngineTest, AnUnloadedModelIsGoneFromEveryLaneAndComesBack) {
  ASSERT_EQ(Speak(kLater), "OK");
  EXPECT_EQ(Living(), 2);
  const ModelInfo& info = engine_->info(kLater);
  EXPECT_EQ(UnloadNow(kLater), "OK");
  EXPECT_EQ(Living(), 0);
  EXPECT_FALSE(engine_->resident(kLater));
  EXPECT_EQ(State(kLater), ModelStanding::State::kUnloaded);
  EXPECT_EQ(info.name, "later") << "what it said of itself stays";
  EXPECT_EQ(DetailOf(engine_->Prepare(kLater, {"hello"}).status()).reason, "MODEL_UNLOADED");
  EXPECT_EQ(UnloadNow(kLater), "OK") << "again";
  EXPECT_EQ(Speak(kLater), "OK");
  EXPECT_EQ(Living(), 2);
  EXPECT_EQ(loads_, 2);
  EXPECT_EQ(&engine_->info(kLater), &info) << "nothing new was said";
}

TEST_F(EngineTest, OneThatWasResidentFromTheStartComesBackToo) {
  EXPECT_EQ(UnloadNow(kHome), "OK");
  EXPECT_FALSE(engine_->resident(kHome));
  EXPECT_EQ(Speak(kHome), "OK");
  EXPECT_EQ(loads_, 1);
  EXPECT_EQ(UnloadNow(kHome), "OK");
  EXPECT_EQ(Living(), 0);
}

TEST_F(EngineTest, AnUnloadWaitsForWhoHasASeatAndAdmitsNobody) {
  ASSERT_TRUE(Await(kLater).ok());
  absl::StatusOr<Seat> seat = engine_->admission().Admit({.model = kLater});
  ASSERT_TRUE(seat.ok());
  auto unloading = Unload(kLater);
  EXPECT_EQ(State(kLater), ModelStanding::State::kUnloading);
  const absl::Status newcomer = engine_->admission().Admit({.model = kLater}).status();
  EXPECT_EQ(DetailOf(newcomer).reason, "MODEL_UNLOADING");
  EXPECT_TRUE(DetailOf(newcomer).retry_after);
  EXPECT_EQ(Speak(kHere), "OK") << "others are not concerned";
  EXPECT_EQ(UnloadNow(kLater), "MODEL_UNLOADING") << "one at a time";
  EXPECT_TRUE(Await(kLater).ok());
  EXPECT_TRUE(engine_->Prepare(kLater, {"hello"}).ok()) << "for who is in";
  EXPECT_FALSE(unloading->told);
  *seat = Seat();
  EXPECT_TRUE(unloading->Wait().ok());
  EXPECT_EQ(Living(), 0);
  EXPECT_EQ(Speak(kLater), "OK");
}

TEST_F(EngineTest, AnUnloadCanBeGivenUp) {
  ASSERT_TRUE(Await(kLater).ok());
  absl::StatusOr<Seat> seat = engine_->admission().Admit({.model = kLater});
  auto unloading = Unload(kLater);
  engine_->Keep(kLater);
  EXPECT_EQ(DetailOf(unloading->Wait()).reason, "MODEL_KEPT");
  EXPECT_EQ(State(kLater), ModelStanding::State::kLoaded);
  *seat = Seat();
  EXPECT_EQ(Speak(kLater), "OK");
  EXPECT_EQ(Living(), 2);
  EXPECT_EQ(loads_, 1);
  engine_->Keep(kLater);  // nothing to give up
}

TEST_F(EngineTest, WhatIsBeingLoadedOrCouldNotComeBackIsNotUnloaded) {
  held_ = true;
  std::thread first([&] { EXPECT_EQ(Speak(kLater), "OK"); });
  while (loads_ == 0) std::this_thread::yield();
  EXPECT_EQ(State(kLater), ModelStanding::State::kLoading);
  EXPECT_EQ(UnloadNow(kLater), "MODEL_LOADING");
  held_ = false;
  first.join();
  EXPECT_EQ(UnloadNow(kHere), "MODEL_STAYS");
  EXPECT_EQ(Speak(kHere), "OK");
}

TEST_F(EngineTest, AnEngineThatEndsTellsWhoWaitsForAnUnload) {
  ASSERT_TRUE(Await(kLater).ok());
  auto port = std::make_shared<Port>();
  absl::StatusOr<Seat> seat = engine_->admission().Admit({.model = kLater});
  engine_->lane(seat->lane()).Open({.port = port, .seat = *std::move(seat)});
  auto unloading = Unload(kLater);
  engine_.reset();
  EXPECT_EQ(DetailOf(unloading->Wait()).reason, "MODEL_KEPT");
  EXPECT_TRUE(port->ended);
  EXPECT_EQ(Living(), 0);
}

TEST_F(EngineTest, StreamsThatComeWhileOthersUnloadSpeakOrAreRefused) {
  std::atomic<bool> over = false;
  std::atomic<int> spoke = 0, refused = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&] {
      while (!over) {
        const std::string how = Speak(kLater);
        if (how == "OK") ++spoke;
        if (how == "MODEL_UNLOADING") ++refused;
        EXPECT_TRUE(how == "OK" || how == "MODEL_UNLOADING") << how;
      }
    });
  }
  int unloads = 0;
  // Unloads of what nobody has asked for again yet are none.
  while (unloads < 8 || spoke < 8 || loads_ < 2) {
    const std::string how = UnloadNow(kLater);
    EXPECT_TRUE(how == "OK" || how == "MODEL_LOADING") << how;
    unloads += how == "OK";
  }
  over = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(UnloadNow(kLater), "OK");
  EXPECT_EQ(Living(), 0);
  EXPECT_EQ(engine_->admission().usage(kLater).used, 0);
}

}  // namespace
}  // namespace firstbyte
