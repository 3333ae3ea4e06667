// The `loadgen` program against a fake server.
#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/client/command.h"
#include "tests/fake/fake_speech_service.h"

namespace firstbyte {
namespace {

using ::testing::HasSubstr;

class LoadgenTest : public testing::Test {
 protected:
  CommandResult Run(std::vector<std::string> words) {
    words.insert(words.begin(), LOADGEN_PROGRAM);
    words.insert(words.end(), {"--target", server_.target()});
    return Command(words).Wait();
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

TEST_F(LoadgenTest, RefusedCallsBreakAnySlo) {
  CommandResult result = Run({"--listeners", "1", "--duration", "0.3", "--warmup", "0", "--voice",
                              "full", "--slo", "underruns=0"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out, HasSubstr("RESOURCE_EXHAUSTED/NO_SLOT"));
  EXPECT_THAT(result.err, HasSubstr("loadgen: errors is"));
}

TEST_F(LoadgenTest, BadUsageIsExplained) {
  EXPECT_EQ(Run({}).exit_code, 2);
  EXPECT_THAT(Run({"--qps", "4"}).err, HasSubstr("--qps (open loop) is not implemented yet"));
  EXPECT_EQ(Run({"--listeners", "1", "--concurrency", "1"}).exit_code, 2);
  EXPECT_EQ(Run({"--listeners", "1", "--slo", "nonsense=1"}).exit_code, 2);
  EXPECT_EQ(Run({"--listeners", "0"}).exit_code, 2);
}

TEST_F(LoadgenTest, NobodyListeningIsSaid) {
  CommandResult result =
      Command({LOADGEN_PROGRAM, "--listeners", "1", "--target", "127.0.0.1:1"}).Wait();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "loadgen: nothing answers at 127.0.0.1:1\n");
}

}  // namespace
}  // namespace firstbyte
