// Models that are loaded when a request first names them.
#include <thread>

#include "gmock/gmock.h"
#include "tests/rpc/lazy_fixture.h"

namespace firstbyte {
namespace {

using grpc::StatusCode;

TEST_F(LazyModelTest, TheFirstRequestWaitsForTheLoadAndSaysSo) {
  Start();
  EXPECT_EQ(voice_.begun, 0);
  const std::string resident = R"(firstbyte_model_resident{model="late"})";
  EXPECT_EQ(Value(MetricsPage(*server_.host), resident), 0);
  const Spoken first = Speak("late");
  ASSERT_TRUE(first.status.ok()) << first.status.error_message();
  EXPECT_GT(first.model_load, 0);
  EXPECT_GT(LoadSum("Synthesize", "late"), 0);
  EXPECT_NE(first.started.model_digest(), "");
  const double sum = LoadSum("Synthesize", "late");
  EXPECT_EQ(Value(MetricsPage(*server_.host), resident), 1);
  const Spoken second = Speak("late");
  EXPECT_EQ(second.model_load, 0);
  EXPECT_EQ(LoadSum("Synthesize", "late"), sum);
  EXPECT_EQ(second.audio, first.audio);
  EXPECT_EQ(first.audio, Speak("scripted").audio);
  EXPECT_EQ(voice_.begun, 1);
}

TEST_F(LazyModelTest, IsListedBeforeItIsLoadedAndIsNotTheDefault) {
  Start();
  grpc::ClientContext context, worlds_context;
  v1::ListVoicesResponse voices;
  ASSERT_TRUE(server_.speech->ListVoices(&context, {}, &voices).ok());
  ASSERT_EQ(voices.voices_size(), 2);
  for (const v1::Voice& voice : voices.voices()) {
    EXPECT_EQ(voice.is_default(), voice.model() == "scripted");
  }
  v1::ListWorldsResponse worlds;
  ASSERT_TRUE(server_.stub->ListWorlds(&worlds_context, {}, &worlds).ok());
  ASSERT_EQ(worlds.worlds_size(), 1);
  EXPECT_EQ(worlds.worlds(0).model(), "scripted-world");
  EXPECT_EQ(Speak("").started.model(), "scripted");
  EXPECT_EQ(voice_.begun + world_.begun, 0);
  EXPECT_EQ(Value(MetricsPage(*server_.host), "firstbyte_ready"), 1);
}

TEST_F(LazyModelTest, AllWhoAskMeanwhileWaitForOneLoad) {
  Start();
  voice_.Hold();
  std::vector<std::future<Spoken>> waiting;
  for (int i = 0; i < 3; ++i) waiting.push_back(SpeakMeanwhile());
  WaitForSeats(kVoice, 3);
  EXPECT_TRUE(Speak("scripted").status.ok());  // who needs no load is not held up
  voice_.LetGo();
  for (auto& each : waiting) {
    const Spoken spoken = each.get();
    EXPECT_TRUE(spoken.status.ok()) << spoken.status.error_message();
    EXPECT_GT(spoken.model_load, 0);
  }
  EXPECT_EQ(voice_.begun, 1);
  EXPECT_EQ(Seats(kVoice), 0);
}

TEST_F(LazyModelTest, AFailedLoadIsUnavailableAndTriedAgain) {
  Start();
  voice_.fails = true;
  const Spoken failed = Speak("late");
  EXPECT_EQ(failed.status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(ErrorInfoOf(failed.status).reason(), "MODEL_LOAD_FAILED");
  EXPECT_GT(RetryInfoOf(failed.status).retry_delay().seconds(), 0);
  EXPECT_THAT(failed.status.error_message(), testing::Not(testing::HasSubstr("private")));
  EXPECT_EQ(Seats(kVoice), 0);
  voice_.fails = false;
  EXPECT_TRUE(Speak("late").status.ok());
  EXPECT_EQ(voice_.begun, 2);
}

TEST_F(LazyModelTest, AModelThatIsNoLongerWhatWasListedIsNotServed) {
  Start();
  frame_ = 320;
  EXPECT_EQ(ErrorInfoOf(Speak("late").status).reason(), "MODEL_LOAD_FAILED");
  frame_ = 640;
  EXPECT_TRUE(Speak("late").status.ok());
}

TEST_F(LazyModelTest, WhoGivesUpMeanwhileLeavesNothingBehind) {
  Start();
  voice_.Hold();
  world_.Hold();
  EXPECT_EQ(Speak("late", absl::Milliseconds(50)).status.error_code(),
            StatusCode::DEADLINE_EXCEEDED);
  WaitForSeats(kVoice, 0);
  {
    Player player(server_.stub.get());
    player.Send(OpenNew(1));
    WaitForSeats(kWorld, 1);
    player.Cancel();
    EXPECT_EQ(player.Finish().error_code(), StatusCode::CANCELLED);
  }
  WaitForSeats(kWorld, 0);
  server_.host->live_calls().WaitUntilNone();  // while both loads go on
  EXPECT_EQ(Value(MetricsPage(*server_.host),
                  R"(firstbyte_requests_cancelled_total{method="StepWorld",stage="before_block"})"),
            1);
  voice_.LetGo();
  world_.LetGo();
  EXPECT_TRUE(Speak("late").status.ok());
  EXPECT_EQ(voice_.begun, 1);
}

TEST_F(LazyModelTest, ADrainLetsALoadFinishInTime) {
  Start();
  voice_.Hold();
  std::future<Spoken> waiting = SpeakMeanwhile();
  WaitForSeats(kVoice, 1);
  std::thread drain([&] { server_.host->Drain(absl::ZeroDuration(), absl::Seconds(60)); });
  while (!server_.host->engine().admission().draining()) std::this_thread::yield();
  voice_.LetGo();
  EXPECT_TRUE(waiting.get().status.ok());
  drain.join();
}

TEST_F(LazyModelTest, ADrainDoesNotWaitForALoad) {
  Start();
  voice_.Hold();
  std::future<Spoken> waiting = SpeakMeanwhile();
  WaitForSeats(kVoice, 1);
  server_.host->Drain(absl::ZeroDuration(), absl::ZeroDuration());
  EXPECT_FALSE(waiting.get().status.ok());
  EXPECT_EQ(server_.host->live_calls().count(), 0);
}

TEST_F(LazyModelTest, AWorldIsLoadedByItsFirstPlayer) {
  Start();
  world_.fails = true;
  Player early(server_.stub.get());
  early.Send(OpenNew(1));
  EXPECT_EQ(ErrorInfoOf(early.Finish()).reason(), "MODEL_LOAD_FAILED");
  world_.fails = false;
  for (bool first : {true, false}) {
    Player player(server_.stub.get());
    player.Send(OpenNew(1));
    player.Play({"W", "A"});
    player.HalfClose();
    EXPECT_TRUE(player.Finish().ok()) << player.Finish().error_message();
    ExpectBlocks(player, 0, Frames(1, {"W", "A"}));
    const auto& load = player.last().summary().timing().model_load_duration();
    EXPECT_EQ(load.seconds() > 0 || load.nanos() > 0, first);
  }
  EXPECT_GT(LoadSum("StepWorld", "scripted-world"), 0);
  ExpectUnharmed(server_);
}

TEST_F(LazyModelTest, AResumeThatFailsForWantOfTheModelCanBeRepeated) {
  HostOptions shared;
  shared.worlds.snapshot_dir = folder_.string();
  shared.worlds.token_secret = "a secret that two servers share";
  v1::WorldOpened opened;
  {
    Server other = StartShared();
    Player player(other.stub.get());
    player.Send(OpenNew(3));
    player.Play({"W"});
    opened = player.opened();
    player.Cancel();
    player.Finish();
    EXPECT_TRUE(other.host->worlds().WaitUntilParked(absl::Seconds(30)));
  }
  Start(shared);
  world_.fails = true;
  Player failed(server_.stub.get());
  failed.Send(Resume(opened, 0));
  EXPECT_EQ(ErrorInfoOf(failed.Finish()).reason(), "MODEL_LOAD_FAILED");
  world_.fails = false;
  Player player(server_.stub.get());
  player.Send(Resume(opened, 0));
  player.Play({"A"}, 2);
  ExpectBlocks(player, 1, {Frames(3, {"W", "A"}).at(1)});
}

}  // namespace
}  // namespace firstbyte
