// The load generator against servers whose every delay is known: it reports exactly those.
#include <string>
#include <vector>

#include "client/loadgen/report_json.h"
#include "client/loadgen/runner.h"
#include "client/loadgen/speech_caller.h"
#include "client/loadgen/world_caller.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/loadgen/scripted_service.h"

namespace firstbyte {
namespace {

absl::Duration Ms(int64_t ms) { return absl::Milliseconds(ms); }

class ScriptedTest : public testing::Test {
 protected:
  // A closed loop of one, `calls` times.
  Tally Run(grpc::Service* service, int calls, bool worlds = false) {
    LoopbackServer server(service);
    auto connections = Connections::Open({.target = server.target()});
    CallerOptions options{.clock = &clock_};
    SpeechCaller speech(**connections, options);
    WorldCaller world(**connections, options);
    WorkloadSpec spec;
    spec.texts = {"Hello."};
    spec.world.blocks = 6;
    options_.level = {LoadMode::kConcurrency, 1};
    options_.duration = absl::Hours(1);
    options_.warmup = absl::ZeroDuration();
    options_.max_calls = calls;
    return RunLoad(options_, Workload(spec, 1),
                   worlds ? static_cast<Caller*>(&world) : static_cast<Caller*>(&speech), {});
  }

  SteppedClock clock_;
  LoadOptions options_;
};

TEST_F(ScriptedTest, FirstByteFirstSoundAndGapsAreThoseOfTheServer) {
  ScriptedSpeech service(&clock_,
                         {{Ms(12), Ms(40), true}, {Ms(7), Ms(40), false}, {Ms(30), Ms(40), false}});
  nlohmann::json json = LevelJson(options_, Run(&service, 25));
  EXPECT_EQ(json["calls"], 25);
  EXPECT_EQ(json["ttfb_s"]["p50"], 0.012);
  EXPECT_EQ(json["ttfb_s"]["max"], 0.012);
  EXPECT_DOUBLE_EQ(json["ttfa_s"]["p50"], 0.052) << "40 ms of silence come first";
  EXPECT_EQ(json["chunk_gap_s"]["n"], 50);
  EXPECT_EQ(json["chunk_gap_s"]["max"], 0.030);
  EXPECT_NEAR(json["chunk_gap_s"]["mean"].get<double>(), 0.0185, 1e-12);
  EXPECT_EQ(json["ttfb_beyond_server_s"]["max"], 0.0);
  EXPECT_EQ(json["stream_rtf"]["p50"], 0.5);
  EXPECT_EQ(json["underruns"], 0);
  EXPECT_NEAR(json["audio_s"].get<double>(), 25 * 0.12, 1e-9);
}

TEST_F(ScriptedTest, AServerThatStuttersIsHeardToStutter) {
  // 20 ms of jitter buffer: dry at 20 + 40; the second chunk is 15 ms late, the third 40 ms.
  ScriptedSpeech service(&clock_, {{Ms(5), Ms(40)}, {Ms(75), Ms(40)}, {Ms(100), Ms(200)}});
  Tally tally = Run(&service, 4);
  EXPECT_EQ(tally.underruns, 8);
  EXPECT_EQ(tally.calls_with_underruns, 4);
  // Dry from 60 to 75 + 20, then from 135 to 175 + 20, after the first byte.
  EXPECT_NEAR(tally.stalled_seconds, 4 * (0.035 + 0.060), 1e-9);
  EXPECT_EQ(tally.chunk_gap.max(), 0.1);
  EXPECT_EQ(tally.good, 0);
}

TEST_F(ScriptedTest, AMillisecondLessAndNothingIsHeard) {
  ScriptedSpeech service(&clock_, {{Ms(5), Ms(40)}, {Ms(60), Ms(40)}, {Ms(40), Ms(200)}});
  Tally tally = Run(&service, 4);
  EXPECT_EQ(tally.underruns, 0);
  EXPECT_EQ(tally.stalled_seconds, 0);
  EXPECT_EQ(tally.good, 4);
}

TEST_F(ScriptedTest, RefusalsAreCountedWithTheirDelay) {
  ScriptedSpeech service(&clock_, {{Ms(5), Ms(40)}});
  service.RefuseFirst(3, Ms(250));
  Tally tally = Run(&service, 5);
  EXPECT_EQ(tally.rejected, 3);
  EXPECT_EQ(tally.succeeded, 2);
  EXPECT_EQ(tally.retry_after.mean(), 0.25);
  EXPECT_EQ(tally.errors.at("RESOURCE_EXHAUSTED/NO_SLOT"), 3);
  EXPECT_EQ(tally.ttfb.size(), 2u) << "a refusal has no first byte";
}

TEST_F(ScriptedTest, WorldsAreTimedFromActionToFrame) {
  ScriptedWorld service(&clock_, Ms(30));
  nlohmann::json json = LevelJson(options_, Run(&service, 4, /*worlds=*/true));
  EXPECT_EQ(json["failed"], 0) << json["errors"];
  EXPECT_EQ(json["blocks"], 4 * 6);
  EXPECT_EQ(json["frames"], 4 * 6 * 2);
  EXPECT_EQ(json["late_blocks"], 4 * 2);
  EXPECT_EQ(json["action_to_frame_s"]["n"], 4 * 6);
  EXPECT_EQ(json["action_to_frame_s"]["max"], 0.03);
  EXPECT_EQ(json["action_to_frame_s"]["p50"], 0.03);
  EXPECT_EQ(json["ttfb_s"]["max"], 0.03);
  EXPECT_EQ(json["underruns"], 0) << "a block of 100 ms every 30";
}

}  // namespace
}  // namespace firstbyte
