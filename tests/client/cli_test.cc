// The `firstbyte` program against a fake server.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "codec/pcm.h"
#include "codec/wav.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/command.h"
#include "tests/fake/fake_speech_service.h"
#include "tests/read_file.h"

namespace firstbyte {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string ToneBytes(int bytes) {
  std::string pcm16;
  AppendPcm16(FakeSpeechService::Tone(bytes), &pcm16);
  return pcm16;
}

class CliTest : public testing::Test {
 protected:
  std::vector<std::string> Argv(std::vector<std::string> words) {
    words.insert(words.begin(), FIRSTBYTE_PROGRAM);
    words.insert(words.end(), {"--target", server_.target()});
    return words;
  }
  CommandResult Run(const std::vector<std::string>& words) { return Command(Argv(words)).Wait(); }
  std::string Temp(const std::string& name) {
    std::string path = testing::TempDir() + "cli_" + name;
    unlink(path.c_str());
    return path;
  }

  FakeSpeechServer server_;
};

TEST_F(CliTest, SayWritesAWavFileAndAClosingLine) {
  std::string path = Temp("say.wav");
  CommandResult result = Run({"say", "Hello there.", "--out", path});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err,
              HasSubstr("firstbyte: 0.12 s of audio in " + path + "; first byte after"));
  EXPECT_THAT(result.err, HasSubstr("RTF 0.250"));
  EXPECT_EQ(ReadFile(path), WavHeader(16000, 1, 12 * 320) + ToneBytes(12));
}

TEST_F(CliTest, AnOpusFileHoldsExactlyTheAudio) {
  std::string path = Temp("say.opus");
  CommandResult result = Run({"say", "Hello there.", "--out", path});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(server_.service().last_config().audio().encoding(), v1::AUDIO_ENCODING_OPUS);
  ASSERT_THAT(ReadFile(path), StartsWith("OggS"));
  if (std::system("command -v opusinfo >/dev/null") != 0) GTEST_SKIP() << "no opus-tools";
  ASSERT_EQ(std::system(("opusinfo " + path + " >" + path + ".txt").c_str()), 0);
  EXPECT_THAT(ReadFile(path + ".txt"), HasSubstr("Playback length: 0m:00.120s"));
}

TEST_F(CliTest, AnOpusStreamCanBecomeAWavFile) {
  std::string path = Temp("decoded.wav");
  CommandResult result = Run({"say", "Hello there.", "--encoding", "opus", "--out", path});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  auto audio = ParseWav(ReadFile(path));
  ASSERT_TRUE(audio.ok()) << audio.status();
  EXPECT_EQ(audio->pcm16.size(), 12u * 320);
}

TEST_F(CliTest, StandardOutputGetsAStreamableWav) {
  CommandResult result = Run({"say", "Hi.", "--out", "-"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, WavHeader(16000, 1, kUnknownWavSize) + ToneBytes(3));
  EXPECT_EQ(Run({"say", "Hi.", "--out", "-", "--encoding", "pcm16"}).out, ToneBytes(3));
  EXPECT_THAT(Run({"say", "Hi.", "--out", "-", "--encoding", "opus"}).out, StartsWith("OggS"));
}

TEST_F(CliTest, OptionsReachTheServer) {
  Run({"say", "Hi.", "--out", "-", "--voice", "tone", "--model", "m", "--rate", "1.25", "--seed",
       "42", "--language", "en-US", "--encoding", "opus", "--bitrate", "16000"});
  v1::SynthesizeConfig config = server_.service().last_config();
  EXPECT_EQ(config.voice(), "tone");
  EXPECT_EQ(config.model(), "m");
  EXPECT_EQ(config.speaking_rate(), 1.25f);
  EXPECT_EQ(config.sampling().seed(), 42u);
  EXPECT_EQ(config.language_code(), "en-US");
  EXPECT_EQ(config.audio().bitrate_bps(), 16000);
}

TEST_F(CliTest, StandardInputIsSpokenAsItArrives) {
  Command command(Argv({"say", "-", "--out", "-", "--encoding", "pcm16"}));
  command.Type("One. ");
  while (server_.service().texts().empty()) std::this_thread::yield();  // before the input ends
  EXPECT_EQ(server_.service().texts()[0], "One. ");
  command.Type("caf\xc3");  // half of a letter
  command.Type("\xa9");
  CommandResult result = command.Wait();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  std::string all;
  for (const std::string& text : server_.service().texts()) all += text;
  EXPECT_EQ(all, "One. caf\xc3\xa9");
  EXPECT_EQ(result.out, ToneBytes(10));
}

TEST_F(CliTest, InputThatIsNotUtf8IsSaidSo) {
  Command command(Argv({"say", "-", "--out", "-"}));
  command.Type("\xff\xfe");
  CommandResult result = command.Wait();
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err, "firstbyte: the text is not UTF-8\n");
  EXPECT_EQ(Run({"say", "\xff", "--out", "-"}).exit_code, 2);
}

TEST_F(CliTest, InterruptLeavesAValidFileAndCancelsTheCall) {
  std::string path = Temp("interrupted.wav");
  Command command(Argv({"say", "Go on.", "--voice", "endless", "--out", path}));
  struct stat file = {};
  while (stat(path.c_str(), &file) != 0 || file.st_size < 100000) std::this_thread::yield();
  kill(command.pid(), SIGINT);
  CommandResult result = command.Wait();
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_THAT(result.err, HasSubstr("firstbyte: interrupted after"));
  std::string wav = ReadFile(path);
  auto audio = ParseWav(wav);
  ASSERT_TRUE(audio.ok()) << audio.status();
  EXPECT_EQ(wav.substr(0, 44), WavHeader(16000, 1, static_cast<uint32_t>(wav.size() - 44)));
  while (server_.service().cancelled() == 0) std::this_thread::yield();
}

TEST_F(CliTest, ErrorsAreOneLineThatSaysWhatToDo) {
  std::string path = Temp("none.wav");
  CommandResult result = Run({"say", "Hi.", "--voice", "nobody", "--out", path});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err,
            "firstbyte: there is no voice 'nobody'; 'firstbyte voices' lists what the server has "
            "[VOICE_NOT_FOUND]\n");
  EXPECT_NE(access(path.c_str(), F_OK), 0) << "a refused request leaves no file";
  EXPECT_EQ(Run({"say", "Hi.", "--voice", "full", "--out", path}).err,
            "firstbyte: all slots are taken; try again in 0.3 s [NO_SLOT]\n");
  EXPECT_EQ(Run({"say", "", "--out", path}).err,
            "firstbyte: nothing to speak; give it some words or numbers [NO_SPEAKABLE_TEXT]\n");
}

TEST_F(CliTest, AFailureMidwayKeepsWhatCame) {
  std::string path = Temp("broken.wav");
  CommandResult result = Run({"say", "Hello.", "--voice", "broken", "--out", path});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "firstbyte: it broke [DEVICE_LOST]\n");
  EXPECT_EQ(ReadFile(path), WavHeader(16000, 1, 6 * 320) + ToneBytes(6));
}

TEST_F(CliTest, NobodyListeningIsSaidInWords) {
  CommandResult result = Command({FIRSTBYTE_PROGRAM, "voices", "--target", "127.0.0.1:1"}).Wait();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err,
            "firstbyte: nothing answers at 127.0.0.1:1; is firstbyted running on 127.0.0.1:1? "
            "(--target names another) [UNAVAILABLE]\n");
}

TEST_F(CliTest, AFileThatCannotBeWrittenIsNamed) {
  CommandResult result = Run({"say", "Hi.", "--out", "/nowhere/x.wav"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("/nowhere/x.wav"));
}

TEST_F(CliTest, BadUsageExplainsItself) {
  EXPECT_EQ(Run({"say", "Hi.", "--out", "x.mp3"}).exit_code, 2);
  EXPECT_THAT(Run({"say", "Hi.", "--out", "x.mp3"}).err, HasSubstr("name a .wav or .opus file"));
  EXPECT_THAT(Run({"say", "Hi.", "--out", "-", "--encoding", "mp3"}).err,
              HasSubstr("pcm16, wav and opus"));
  EXPECT_EQ(Run({"say", "Hi.", "--encoding", "pcm16", "--out", Temp("x.opus")}).exit_code, 2);
  EXPECT_EQ(Run({"say"}).exit_code, 2);
  EXPECT_EQ(Run({"sing"}).exit_code, 2);
}

TEST_F(CliTest, HelpHasExamplesAndExitCodes) {
  CommandResult result = Command({FIRSTBYTE_PROGRAM, "--help"}).Wait();
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, HasSubstr("firstbyte say \"Hello there.\" --out hello.wav"));
  EXPECT_THAT(result.out, HasSubstr("Exit codes"));
}

TEST_F(CliTest, VoicesAreATable) {
  EXPECT_EQ(Run({"voices"}).out,
            "VOICE    MODEL  LANGUAGES  RATE    DESCRIPTION\n"
            "tone *   fake   en-US      16 kHz  a tone for tests\n"
            "broken   fake   en-US      16 kHz  a tone for tests\n"
            "endless  fake   en-US      16 kHz  a tone for tests\n"
            "full     fake   en-US      16 kHz  a tone for tests\n");
}

TEST_F(CliTest, PlayPipesPcmIntoThePlayerOfThePath) {
  std::string folder = testing::TempDir() + "players";
  mkdir(folder.c_str(), 0755);
  std::ofstream(folder + "/aplay")
      << "#!/bin/sh\necho \"$@\" >" << folder << "/args\ncat >" << folder << "/heard\n";
  chmod((folder + "/aplay").c_str(), 0755);
  std::string old = std::getenv("PATH");
  setenv("PATH", (folder + ":" + old).c_str(), 1);
  CommandResult result = Run({"say", "Hello.", "--play"});
  setenv("PATH", "/nowhere", 1);
  CommandResult silent = Run({"say", "Hello."});
  setenv("PATH", old.c_str(), 1);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(ReadFile(folder + "/heard"), ToneBytes(6));
  EXPECT_EQ(ReadFile(folder + "/args"), "-q -t raw -f S16_LE -r 16000 -c 1 -\n");
  EXPECT_EQ(silent.exit_code, 2);
  EXPECT_THAT(silent.err, HasSubstr("no audio player found"));
}

}  // namespace
}  // namespace firstbyte
