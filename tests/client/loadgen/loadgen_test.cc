// The `loadgen` program against a fake server.
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/client/command.h"
#include "tests/fake/fake_speech_service.h"
#include "tests/fake/fake_world_service.h"

namespace firstbyte {
namespace {

using ::testing::HasSubstr;

class LoadgenTest : public testing::Test {
 protected:
  CommandResult Run(std::vector<std::string> words) {
    words.insert(words.begin(), LOADGEN_PROGRAM);
    return Command(WithTarget(std::move(words))).Wait();
  }
  // A target of minutes: how late a busy machine sends is nothing to fail a test for.
  std::vector<std::string> WithTarget(std::vector<std::string> words) {
    words.insert(words.end(), {"--target", server_.target(), "--ttfb-target", "10m"});
    return words;
  }

  FakeSpeechServer server_;
};

TEST_F(LoadgenTest, ListenersPlayForTheWholeRun) {
  std::string path = testing::TempDir() + "loadgen.json";
  CommandResult result = Run({"--listeners", "3", "--duration", "1.5", "--warmup", "0.1", "--json",
                              path, "--slo", "errors=0,underruns=0"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("3 listeners"));
  nlohmann::json json = nlohmann::json::parse(std::ifstream(path));
  EXPECT_EQ(json["failed"], 0);
  EXPECT_GE(json["calls"].get<int>(), 3);
  EXPECT_EQ(json["calls"], json["ttfb_s"]["n"]);
  EXPECT_EQ(json["ttfa_s"]["n"], json["ttfb_s"]["n"]) << "the tone is audible";
  EXPECT_EQ(json["stream_rtf"]["max"], 0.25);
}

TEST_F(LoadgenTest, AClosedLoopIsNotHeldToRealTime) {
  CommandResult result = Run({"--concurrency", "2", "--duration", "0.3", "--warmup", "0",
                              "--encoding", "opus", "--json", "-"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  nlohmann::json json = nlohmann::json::parse(result.out);
  EXPECT_GT(json["audio_s"].get<double>(), 2 * 0.3);
  EXPECT_EQ(server_.service().last_config().chunking().max_lead_duration().seconds(), 3600);
  EXPECT_EQ(server_.service().last_config().audio().encoding(), v1::AUDIO_ENCODING_OPUS);
}

TEST_F(LoadgenTest, EndsAfterTheNumberOfCallsAskedFor) {
  CommandResult result = Run(
      {"--concurrency", "1", "--duration", "100", "--warmup", "0", "--calls", "25", "--json", "-"});
  EXPECT_EQ(nlohmann::json::parse(result.out)["calls"], 25);
}

TEST_F(LoadgenTest, NothingButRefusalsIsAnInvalidRun) {
  CommandResult result = Run({"--listeners", "1", "--duration", "0.3", "--warmup", "0", "--voice",
                              "full", "--slo", "underruns=0"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.out, HasSubstr("RESOURCE_EXHAUSTED/NO_SLOT"));
  EXPECT_THAT(result.out, HasSubstr("to be tried again after 0.25 s"));
  EXPECT_THAT(result.out, HasSubstr("INVALID: every request was refused"));
  EXPECT_THAT(result.err, Not(HasSubstr("INVALID"))) << "said once";
}

TEST_F(LoadgenTest, AnInvalidRunWithoutATableSaysSo) {
  CommandResult result =
      Run({"--quiet", "--listeners", "1", "--duration", "0.3", "--warmup", "0", "--voice", "full"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, HasSubstr("loadgen: INVALID: every request was refused"));
}

TEST_F(LoadgenTest, FailuresBreakAnySlo) {
  std::string path = testing::TempDir() + "half_broken.yaml";
  std::ofstream(path) << "speech: {voices: [tone, broken]}";
  CommandResult result = Run({"--concurrency", "1", "--duration", "100", "--calls", "30",
                              "--warmup", "0", "--workload", path, "--slo", "underruns=0"});
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_THAT(result.err, HasSubstr("loadgen: errors is"));
}

TEST_F(LoadgenTest, AnOpenLoopFollowsItsTraceAndWritesEachRequest) {
  std::string trace = testing::TempDir() + "trace", jsonl = testing::TempDir() + "requests.jsonl";
  std::ofstream(trace) << "0\n0\n0.01\n0.02\n";
  CommandResult result = Run({"--arrival", "trace", trace, "--warmup", "0", "--jsonl", jsonl});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  std::ifstream file(jsonl);
  std::vector<double> scheduled;
  for (std::string line; std::getline(file, line);) {
    nlohmann::json json = nlohmann::json::parse(line);
    EXPECT_EQ(json["status"], "OK");
    EXPECT_GE(json["first_byte_s"], json["sent_s"]);
    EXPECT_EQ(json["timing"]["first_byte_s"], 0.001);
    scheduled.push_back(json["scheduled_s"]);
  }
  EXPECT_THAT(scheduled, testing::UnorderedElementsAre(0, 0, 0.01, 0.02));
}

TEST_F(LoadgenTest, ClientsThatLeaveAreNoFailures) {
  for (const char* rate : {"--cancel-rate", "--disconnect-rate"}) {
    CommandResult result = Run({"--concurrency", "2", "--duration", "100", "--calls", "6",
                                "--warmup", "0", rate, "1", "--voice", "endless", "--json", "-"});
    EXPECT_EQ(result.exit_code, 0) << rate << result.err;
    nlohmann::json json = nlohmann::json::parse(result.out);
    EXPECT_EQ(json["left_early"], json["calls"]) << rate;
    EXPECT_EQ(json["failed"], 0) << rate;
  }
}

TEST_F(LoadgenTest, WhatDoesNotEndIsCutAtTheDrainTimeout) {
  CommandResult result =
      Run({"--concurrency", "1", "--duration", "0.05", "--warmup", "0", "--voice", "endless",
           "--slow-reader-rate", "1", "--drain-timeout", "10ms", "--json", "-"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(nlohmann::json::parse(result.out)["errors"]["DRAIN_TIMEOUT"], 1);
}

TEST_F(LoadgenTest, ASweepHasALineALevel) {
  CommandResult result = Run({"--sweep-concurrency", "1,2,3", "--duration", "100", "--calls", "5",
                              "--warmup", "0", "--json", testing::TempDir() + "sweep.json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("closed loop of 1 "));
  EXPECT_THAT(result.out, HasSubstr("closed loop of 3 "));
  EXPECT_THAT(result.out, HasSubstr("<- knee"));
  auto json = nlohmann::json::parse(std::ifstream(testing::TempDir() + "sweep.json"));
  EXPECT_EQ(json["levels"].size(), 3u);
  EXPECT_EQ(json["levels"][2]["streams"], 3);
}

TEST_F(LoadgenTest, TheMostThatKeepsTheBoundsIsFound) {
  CommandResult result = Run({"--concurrency", "2", "--find-max", "--most", "4", "--duration",
                              "100", "--calls", "5", "--warmup", "0", "--slo", "errors=0"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("most that keeps the bounds: 4"));
}

TEST_F(LoadgenTest, BadUsageIsExplained) {
  EXPECT_EQ(Run({}).exit_code, 2);
  EXPECT_THAT(Run({"--qps", "4", "--arrival", "often"}).err,
              HasSubstr("loadgen: --arrival: 'often' is not poisson, constant or trace FILE\n"));
  EXPECT_THAT(Run({"--find-max", "--qps", "1"}).err, HasSubstr("--find-max needs --slo"));
  EXPECT_THAT(Run({"--qps", "1", "--workload", "/nowhere"}).err, HasSubstr("cannot read /nowhere"));
  EXPECT_THAT(Run({"--qps", "1", "--tls-ca", "/nowhere"}).err, HasSubstr("cannot read /nowhere"));
  EXPECT_EQ(Run({"--listeners", "1", "--concurrency", "1"}).exit_code, 2);
  EXPECT_EQ(Run({"--listeners", "1", "--slo", "nonsense=1"}).exit_code, 2);
  EXPECT_EQ(Run({"--listeners", "0"}).exit_code, 2);
  EXPECT_EQ(Run({"--qps", "-1"}).err, "loadgen: --qps: -1 is not a number over 0\n");
  EXPECT_EQ(Run({"--qps", "1", "--pacing", "realtime"}).err,
            "loadgen: --pacing is of --worlds only\n");
  EXPECT_EQ(Run({"--qps", "1", "--worlds", "--voice", "rms"}).err,
            "loadgen: --voice is not of --worlds\n");
}

TEST_F(LoadgenTest, WhatCannotBeWrittenOrReadIsSaidBeforeTheRun) {
  for (const char* flag : {"--json", "--jsonl", "--html"}) {
    CommandResult result = Run({"--qps", "1", flag, "/nowhere/x"});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(result.err, "loadgen: cannot write /nowhere/x\n");
  }
  CommandResult result = Run({"--qps", "1", "--metrics", "127.0.0.1:1"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "loadgen: no metrics at http://127.0.0.1:1/metrics\n");
  EXPECT_TRUE(server_.service().texts().empty());
}

TEST_F(LoadgenTest, NobodyListeningIsSaid) {
  CommandResult result =
      Command({LOADGEN_PROGRAM, "--listeners", "1", "--target", "127.0.0.1:1"}).Wait();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(
      result.err,
      "loadgen: nothing answers at 127.0.0.1:1; is firstbyted running there, its models loaded? "
      "(--target HOST:PORT)\n");
}

TEST(LoadgenServer, ThatDiesLeavesWhatWasMeasured) {
  auto server = std::make_unique<FakeSpeechServer>();
  std::string jsonl = testing::TempDir() + "died.jsonl", path = testing::TempDir() + "died.json";
  Command command({LOADGEN_PROGRAM, "--concurrency", "1", "--duration", "1000", "--warmup", "0",
                   "--target", server->target(), "--jsonl", jsonl, "--json", path});
  while (server->service().texts().size() < 3) std::this_thread::yield();
  server.reset();
  CommandResult result = command.Wait();
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.err, "loadgen: the server went away; what was measured until then is kept\n");
  auto json = nlohmann::json::parse(std::ifstream(path));
  EXPECT_EQ(json["valid"], false);
  EXPECT_GE(json["ttfb_s"]["n"].get<int>(), 2);
}

class LoadgenWorldTest : public testing::Test {
 protected:
  CommandResult Run(std::vector<std::string> words) {
    words.insert(words.begin(), {LOADGEN_PROGRAM, "--worlds"});
    words.insert(words.end(), {"--target", server_.target(), "--ttfb-target", "10m", "--warmup",
                               "0", "--duration", "100"});
    return Command(words).Wait();
  }

  FakeWorldServer server_;
};

TEST_F(LoadgenWorldTest, EachPacingPlaysItsBlocks) {
  for (const char* pacing : {"lockstep", "realtime", "free_run"}) {
    CommandResult result = Run(
        {"--concurrency", "2", "--calls", "4", "--blocks", "5", "--pacing", pacing, "--json", "-"});
    EXPECT_EQ(result.exit_code, 0) << pacing << result.err;
    auto json = nlohmann::json::parse(result.out);
    EXPECT_EQ(json["failed"], 0) << pacing << json["errors"];
    EXPECT_GE(json["blocks"].get<int>(), 5 * json["calls"].get<int>()) << pacing;
    EXPECT_EQ(json["frames"], json["blocks"]) << pacing;
    EXPECT_GT(json["action_to_frame_s"]["n"], 0) << pacing;
  }
}

TEST_F(LoadgenWorldTest, TheScriptIsPlayedOverAndOver) {
  std::string path = testing::TempDir() + "script.yaml";
  std::ofstream(path) << "world: {prompt: rain, blocks: 5, actions: [{keys: forward}, {for: 2}]}";
  CommandResult result = Run({"--concurrency", "1", "--calls", "1", "--workload", path});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("action to frame"));
  std::vector<v1::StepWorldRequest> requests = server_.service().requests();
  ASSERT_GE(requests.size(), 6u);
  EXPECT_EQ(requests[0].open().create().prompt(), "rain");
  for (int i = 1; i <= 5; ++i) {
    EXPECT_EQ(requests[i].actions().keys_size(), i == 1 || i == 4) << i;
    EXPECT_EQ(requests[i].actions().sequence(), i);
  }
}

TEST_F(LoadgenWorldTest, PlayersThatLeaveAreNoFailures) {
  for (const char* rate : {"--cancel-rate", "--disconnect-rate"}) {
    CommandResult result = Run({"--concurrency", "2", "--calls", "4", rate, "1", "--json", "-"});
    EXPECT_EQ(result.exit_code, 0) << rate << result.err;
    auto json = nlohmann::json::parse(result.out);
    EXPECT_EQ(json["left_early"], json["calls"]) << rate;
  }
}

}  // namespace
}  // namespace firstbyte
