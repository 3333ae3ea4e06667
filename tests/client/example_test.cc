// client/examples/say.py, run by the system's Python.
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "codec/pcm.h"
#include "codec/wav.h"
#include "gtest/gtest.h"
#include "tests/client/command.h"
#include "tests/fake/fake_speech_service.h"

namespace firstbyte {
namespace {

TEST(PythonExample, WritesWhatTheServerSaid) {
  setenv("PYTHONPATH", PYTHON_STUBS, 1);
  FakeSpeechServer server;
  std::string path = testing::TempDir() + "example.wav";
  CommandResult result = Command({PYTHON_PROGRAM, FIRSTBYTE_SOURCE_DIR "/client/examples/say.py",
                                  "Hello there.", path, server.target()})
                             .Wait();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "0.12 s\n");
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  auto audio = ParseWav(bytes.str());
  ASSERT_TRUE(audio.ok()) << audio.status();
  EXPECT_EQ(audio->sample_rate_hertz, 16000);
  std::string expected;
  AppendPcm16(FakeSpeechService::Tone(12), &expected);
  EXPECT_EQ(audio->pcm16, expected);
}

}  // namespace
}  // namespace firstbyte
