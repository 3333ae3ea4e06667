// The programs against the real server with the scripted model.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>

#include <sys/stat.h>

#include "codec/wav.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/client/command.h"
#include "tests/read_file.h"
#include "tests/rpc/fixture.h"

namespace firstbyte {
namespace {

using ::testing::HasSubstr;

class EndToEnd : public RpcTest {
 protected:
  CommandResult Run(std::vector<std::string> words) {
    words.insert(words.end(), {"--target", target()});
    return Command(words).Wait();
  }
  std::string Temp(const std::string& name) {
    std::string path = testing::TempDir() + "end_to_end_" + name;
    unlink(path.c_str());
    return path;
  }
};

TEST_F(EndToEnd, SayWritesExactlyWhatTheModelSaid) {
  Start();
  std::string path = Temp("say.wav");
  CommandResult result =
      Run({FIRSTBYTE_PROGRAM, "say", "Hello there.", "--seed", "7", "--out", path});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  auto audio = ParseWav(ReadFile(path));
  ASSERT_TRUE(audio.ok()) << audio.status();
  EXPECT_EQ(audio->pcm16, Pcm("Hellothere", 7));
  ExpectUnharmed();
}

TEST_F(EndToEnd, OpusAndStandardInputWork) {
  Start();
  std::string path = Temp("say.opus");
  std::vector<std::string> words = {FIRSTBYTE_PROGRAM, "say",   "-", "--out", path,
                                    "--target",        target()};
  Command command(words);
  command.Type("One two. ");
  command.Type("Three.");
  CommandResult result = command.Wait();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("0.44 s of audio"));  // 11 letters of 40 ms
  EXPECT_EQ(ReadFile(path).substr(0, 4), "OggS");
  ExpectUnharmed();
}

TEST_F(EndToEnd, RefusalsAreReadable) {
  Start();
  CommandResult result =
      Run({FIRSTBYTE_PROGRAM, "say", "Hi.", "--voice", "nobody", "--out", Temp("no.wav")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("'firstbyte voices' lists what the server has"));
  EXPECT_EQ(Run({FIRSTBYTE_PROGRAM, "say", "...", "--out", Temp("no.wav")}).exit_code, 1);
  EXPECT_THAT(Run({FIRSTBYTE_PROGRAM, "voices"}).out, HasSubstr("16 kHz"));
  ExpectUnharmed();
}

TEST_F(EndToEnd, AnInterruptFreesTheServer) {
  Start();
  std::string path = Temp("interrupted.wav");
  std::string text;
  for (int i = 0; i < 9000; ++i) text += "word ";
  Command command({FIRSTBYTE_PROGRAM, "say", text, "--out", path, "--target", target()});
  struct stat file = {};
  while (stat(path.c_str(), &file) != 0 || file.st_size < 100000) std::this_thread::yield();
  kill(command.pid(), SIGINT);
  EXPECT_EQ(command.Wait().exit_code, 130);
  EXPECT_TRUE(ParseWav(ReadFile(path)).ok());
  while (host_->live_calls().count() > 0) std::this_thread::yield();
  ExpectUnharmed();
}

TEST_F(EndToEnd, ListenersOfTheLoadGeneratorHearEverything) {
  Start();
  CommandResult result = Run({LOADGEN_PROGRAM, "--listeners", "8", "--duration", "1", "--warmup",
                              "0.5", "--json", "-", "--slo", "errors=0", "--ttfb-target", "10m"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  nlohmann::json json = nlohmann::json::parse(result.out);
  EXPECT_GT(json["calls"], 0);
  EXPECT_EQ(json["failed"], 0);
  EXPECT_EQ(json["ttfb_beyond_server_s"]["n"], json["calls"]);
  ExpectUnharmed();
}

TEST_F(EndToEnd, ThePythonExampleRuns) {
  Start();
  setenv("PYTHONPATH", PYTHON_STUBS, 1);
  std::string path = Temp("example.wav");
  CommandResult result = Command({PYTHON_PROGRAM, FIRSTBYTE_SOURCE_DIR "/client/examples/say.py",
                                  "Hello there.", path, target()})
                             .Wait();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "0.40 s\n");
  auto audio = ParseWav(ReadFile(path));
  ASSERT_TRUE(audio.ok()) << audio.status();
  EXPECT_EQ(audio->sample_rate_hertz, 16000);
  EXPECT_EQ(audio->pcm16.size(), 10u * 640 * 2);
}

}  // namespace
}  // namespace firstbyte
