// `firstbyte play` and what belongs to it, against a fake server.
#include <pty.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <sys/wait.h>

#include "codec/image.h"
#include "codec/wav.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/command.h"
#include "tests/fake/fake_world_service.h"
#include "tests/read_file.h"

namespace firstbyte {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class WorldCliTest : public testing::Test {
 protected:
  std::vector<std::string> Argv(std::vector<std::string> words) {
    words.insert(words.begin(), FIRSTBYTE_PROGRAM);
    words.insert(words.end(), {"--target", server_.target()});
    return words;
  }
  CommandResult Run(const std::vector<std::string>& words) { return Command(Argv(words)).Wait(); }
  // Runs with `script` as its standard input.
  CommandResult Walk(const std::string& script, std::vector<std::string> words = {}) {
    words.insert(words.begin(), {"play", "--script", "-"});
    Command command(Argv(words));
    command.Type(script);
    return command.Wait();
  }
  std::string Temp(const std::string& name) {
    std::string path = testing::TempDir() + "world_cli_" + name;
    std::filesystem::remove_all(path);
    return path;
  }
  v1::OpenWorld LastOpen() {
    v1::OpenWorld open;
    for (const auto& request : server_.service().requests()) {
      if (request.has_open()) open = request.open();
    }
    return open;
  }

  FakeWorldServer server_;
};

TEST_F(WorldCliTest, AScriptWalksAndLeavesItsPicturesAndSound) {
  std::string folder = Temp("frames") + "/", strip = Temp("strip.png"), wav = Temp("walk.wav");
  CommandResult result = Walk("forward 3\nprompt \"night\"\nturn_left+forward 2\n",
                              {"--out", folder, "--out", strip, "--audio-out", wav, "--seed", "3"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, StartsWith("firstbyte: 5 blocks, 0.2 s of world"));
  EXPECT_THAT(result.err, HasSubstr("action to frame p50"));
  EXPECT_THAT(result.err, HasSubstr("; 0 late\n"));
  for (int i = 0; i < 5; ++i) {
    auto frame = DecodeImage(ReadFile(folder + "frame_00000" + std::to_string(i) + ".png"),
                             ImageFormat::kPng);
    ASSERT_TRUE(frame.ok()) << frame.status();
    const int keys = i < 3 ? 7 : 16;
    EXPECT_THAT(std::vector<int>(frame->data.begin(), frame->data.begin() + 3),
                ElementsAre(i, keys, i < 3 ? 0 : 5));
  }
  EXPECT_EQ(ParseWav(ReadFile(wav))->pcm16.size(), 5u * 2 * FakeWorldService::kSamplesPerBlock);
  EXPECT_TRUE(DecodeImage(ReadFile(strip), ImageFormat::kPng).ok());
  EXPECT_EQ(LastOpen().create().seed(), 3u);
}

TEST_F(WorldCliTest, EveryPacingPlaysAsManyBlocksAsWereAskedFor) {
  for (const char* pacing : {"realtime", "free"}) {
    CommandResult result = Walk("forward 9\npointer 0.5 4\nwait 2\n", {"--pacing", pacing});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.err, HasSubstr("action to frame"));
  }
}

TEST_F(WorldCliTest, OptionsReachTheServer) {
  std::string image = Temp("image.png");
  std::string png;
  std::vector<uint8_t> rgb(3 * 4 * 4, 9);
  ASSERT_TRUE(EncodeImage(rgb, 4, 4, ImageFormat::kPng, 0, &png).ok());
  std::ofstream(image, std::ios::binary) << png;
  Walk("wait", {"--model", "fake", "--prompt", "night", "--image", image, "--pacing", "realtime",
                "--fps", "12.5", "--video", "jpeg", "--quality", "70"});
  v1::OpenWorld open = LastOpen();
  EXPECT_EQ(open.model(), "fake");
  EXPECT_EQ(open.create().prompt(), "night");
  EXPECT_EQ(open.create().initial_image(), png);
  EXPECT_EQ(open.create().initial_image_format(), v1::VIDEO_FORMAT_PNG);
  EXPECT_EQ(open.pacing(), v1::PACING_REALTIME);
  EXPECT_EQ(open.target_fps(), 12.5F);
  EXPECT_EQ(open.video().format(), v1::VIDEO_FORMAT_JPEG);
  EXPECT_EQ(open.video().quality(), 70);
  EXPECT_TRUE(open.has_audio());
}

TEST_F(WorldCliTest, ABrokenConnectionLosesNoFrame) {
  std::string folder = Temp("fragile") + "/";
  CommandResult result = Walk("forward 8", {"--model", "fragile", "--out", folder});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(std::filesystem::exists(folder + "frame_000007.png"));
  EXPECT_FALSE(std::filesystem::exists(folder + "frame_000008.png"));
}

// A program on a terminal of its own.
class OnTerminal {
 public:
  explicit OnTerminal(const std::vector<std::string>& argv) {
    std::vector<char*> words;
    for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    winsize size = {.ws_row = 25, .ws_col = 120};
    pid_ = forkpty(&fd_, nullptr, nullptr, &size);
    if (pid_ == 0) {
      execv(words[0], words.data());
      _exit(127);
    }
  }
  ~OnTerminal() { close(fd_); }

  void Type(const std::string& keys) {
    EXPECT_EQ(write(fd_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  // Reads until the screen has said `text`; false: the program is gone, or has drawn a hundred
  // times without saying it.
  bool Shows(const std::string& text) {
    for (int reads = 0; screen_.find(text) == std::string::npos; ++reads) {
      if (reads == kPatience) return false;
      char bytes[4096];
      ssize_t size = read(fd_, bytes, sizeof(bytes));
      if (size <= 0) return false;
      screen_.append(bytes, static_cast<size_t>(size));
    }
    return true;
  }
  int Wait() {
    Shows("what is never shown");
    int status = 0;
    waitpid(pid_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  bool echoes() const {
    termios settings = {};
    tcgetattr(fd_, &settings);
    return (settings.c_lflag & ECHO) != 0;
  }
  pid_t pid() const { return pid_; }
  const std::string& screen() const { return screen_; }

 private:
  static constexpr int kPatience = 100;
  int fd_ = -1;
  pid_t pid_ = 0;
  std::string screen_;
};

TEST_F(WorldCliTest, ByHandAKeyMovesAndAPromptIsTyped) {
  OnTerminal play(
      Argv({"play", "--pacing", "lockstep", "--colors", "truecolor", "--video", "png", "--mute"}));
  ASSERT_TRUE(play.Shows("block 0"));
  EXPECT_FALSE(play.echoes());
  play.Type("w");
  ASSERT_TRUE(play.Shows("38;2;1;7;0m")) << "block 1, forward";
  play.Type("pnight");
  ASSERT_TRUE(play.Shows("prompt: night_"));
  play.Type("\r");
  ASSERT_TRUE(play.Shows("\"night\""));
  play.Type("c");
  ASSERT_TRUE(play.Shows("saved as s-"));
  play.Type("q");
  EXPECT_EQ(play.Wait(), 0);
  EXPECT_TRUE(play.echoes()) << "the terminal is as it was";
  EXPECT_THAT(play.screen(), HasSubstr("\033[?1049l"));
  EXPECT_THAT(play.screen(), HasSubstr("blocks, "));
}

TEST_F(WorldCliTest, TheTerminalIsGivenBackHoweverTheGameEnds) {
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT}) {
    OnTerminal play(Argv({"play", "--pacing", "lockstep", "--mute"}));
    ASSERT_TRUE(play.Shows("block 0"));
    kill(play.pid(), signal);
    const bool asked = signal == SIGINT || signal == SIGTERM;
    EXPECT_EQ(play.Wait(), asked ? 130 : 128 + signal);
    EXPECT_NE(play.screen().find("\033[?1049l"), std::string::npos) << signal;
    EXPECT_EQ(play.screen().find("the world waits") != std::string::npos, asked);
  }
}

TEST_F(WorldCliTest, SnapshotsAreForked) {
  CommandResult saved = Walk("wait 2\nsnapshot\nwait 1");
  ASSERT_EQ(saved.exit_code, 0) << saved.err;
  EXPECT_EQ(saved.out, "s-2\n");
  EXPECT_THAT(saved.err, HasSubstr("saved before block 2; firstbyte fork s-2"));
  std::string folder = Temp("fork") + "/";
  Command fork(Argv({"fork", "s-2", "--script", "-", "--out", folder}));
  fork.Type("wait 1");
  EXPECT_EQ(fork.Wait().exit_code, 0);
  auto frame = DecodeImage(ReadFile(folder + "frame_000000.png"), ImageFormat::kPng);
  ASSERT_TRUE(frame.ok());
  EXPECT_EQ(frame->data[0], 2);  // the block's index
}

TEST_F(WorldCliTest, ASessionThatWaitsIsListedSavedResumedAndDeleted) {
  CommandResult left = Walk("wait 2", {"--keep"});
  EXPECT_EQ(left.exit_code, 0) << left.err;
  EXPECT_THAT(left.err, HasSubstr("the world waits: firstbyte play --resume w-1 --token t-1 "
                                  "--last-block 1\n"));
  while (Run({"sessions"}).out.find("w-1") == std::string::npos) std::this_thread::yield();
  EXPECT_THAT(Run({"sessions", "get", "w-1"}).out, HasSubstr("parked  2"));
  std::string file = Temp("a.world");
  CommandResult taken = Run({"snapshot", "w-1", "--token", "t-1"});
  EXPECT_EQ(taken.exit_code, 0) << taken.err;
  EXPECT_EQ(taken.out, "s-2\n");
  EXPECT_THAT(taken.err, HasSubstr("its token is now t-2"));
  while (Run({"sessions"}).out.find("w-1") == std::string::npos) std::this_thread::yield();
  CommandResult stale = Walk("wait 1", {"--resume", "w-1", "--token", "t-1"});
  EXPECT_EQ(stale.exit_code, 1);
  EXPECT_THAT(stale.err, HasSubstr("[TOKEN_INVALID]"));
  EXPECT_EQ(Walk("wait 1", {"--resume", "w-1", "--token", "t-2", "--keep"}).exit_code, 0);
  while (Run({"sessions", "delete", "w-1"}).exit_code != 0) std::this_thread::yield();
  EXPECT_THAT(Run({"sessions", "get", "w-1"}).err, HasSubstr("[SESSION_NOT_FOUND]"));
}

TEST_F(WorldCliTest, SnapshotsTravelThroughFiles) {
  Walk("wait 3\nsnapshot");
  CommandResult unsound = Run({"snapshot", "--export", "s-3", "--out", Temp("a.world")});
  EXPECT_EQ(unsound.exit_code, 1) << "the fake's digests are made up";
  EXPECT_THAT(unsound.err, HasSubstr("[DATA_LOSS]"));
  std::string file = Temp("b.world");
  std::ofstream(file) << "5 night";
  CommandResult stored = Run({"snapshot", "--import", file});
  EXPECT_EQ(stored.exit_code, 0) << stored.err;
  EXPECT_EQ(stored.out, "s-imported-1\n");
  EXPECT_EQ(Run({"snapshot", "--export", "s-9", "--out", file}).exit_code, 1);
  EXPECT_EQ(Run({"snapshot", "--export", "s-9"}).exit_code, 2);
  EXPECT_EQ(Run({"snapshot"}).exit_code, 2);
}

TEST_F(WorldCliTest, AnInterruptLeavesTheWorldWaitingAndTheFilesComplete) {
  std::string wav = Temp("interrupted.wav");
  Command command(Argv({"play", "--script", "-", "--out", wav}));
  command.Type("forward 1000000");
  command.CloseInput();
  while (!std::filesystem::exists(wav) || std::filesystem::file_size(wav) < 100000) {
    std::this_thread::yield();
  }
  kill(command.pid(), SIGINT);
  CommandResult result = command.Wait();
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_THAT(result.err, HasSubstr("the world waits: firstbyte play --resume w-1"));
  std::string bytes = ReadFile(wav);
  EXPECT_EQ(ParseWav(bytes)->pcm16.size() + 44, bytes.size());
}

TEST_F(WorldCliTest, ErrorsAreOneLineThatSaysWhatToDo) {
  CommandResult result = Walk("wait", {"--model", "nowhere"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err,
            "firstbyte: there is no 'nowhere'; 'firstbyte voices' and 'firstbyte worlds' list what "
            "the server has [MODEL_NOT_FOUND]\n");
  EXPECT_EQ(Walk("wait", {"--model", "full"}).err,
            "firstbyte: all slots are taken; try again in 0.3 s [NO_SLOT]\n");
  EXPECT_EQ(Command({FIRSTBYTE_PROGRAM, "worlds", "--target", "127.0.0.1:1"}).Wait().exit_code, 1);
}

TEST_F(WorldCliTest, BadUsageExplainsItself) {
  CommandResult script = Walk("forward 3\nhover 2\n");
  EXPECT_EQ(script.exit_code, 2);
  EXPECT_EQ(script.err,
            "firstbyte: -, line 2: this world does not know 'hover'; it knows forward, back, "
            "turn_left, turn_right\n");
  EXPECT_THAT(Walk("forward x").err, HasSubstr("-, line 1: 'x' is no number of blocks"));
  EXPECT_THAT(Walk("wait", {"--out", "x.gif"}).err, HasSubstr("x.gif: name a .png"));
  EXPECT_THAT(Walk("wait", {"--pacing", "slow"}).err, HasSubstr("realtime, lockstep and free"));
  EXPECT_THAT(Walk("wait", {"--resume", "w"}).err, HasSubstr("--resume needs the --token"));
  EXPECT_THAT(Walk("wait", {"--seed", "1", "--snapshot", "s"}).err, HasSubstr("a session is new"));
  EXPECT_THAT(Walk("wait", {"--image", "/nowhere.png"}).err, HasSubstr("cannot read"));
  CommandResult hand = Run({"play"});
  EXPECT_EQ(hand.exit_code, 2);
  EXPECT_THAT(hand.err, HasSubstr("needs a terminal"));
}

TEST_F(WorldCliTest, WorldsAreATable) {
  EXPECT_EQ(Run({"worlds"}).out,
            "WORLD    SIZE   FRAMES/S  SOUND   INPUTS                                     "
            "DESCRIPTION\n"
            "fake *   16x12  20        16 kHz  forward,back,turn_left,turn_right,pointer  plain "
            "colours for tests\n"
            "fragile  16x12  20        16 kHz  forward,back,turn_left,turn_right,pointer  plain "
            "colours for tests\n"
            "full     16x12  20        16 kHz  forward,back,turn_left,turn_right,pointer  plain "
            "colours for tests\n");
  EXPECT_EQ(Run({"sessions"}).out, "SESSION  MODEL  STATE  NEXT BLOCK  SIZE  OPENED  EXPIRES\n");
}

TEST_F(WorldCliTest, ThePythonExampleRuns) {
  setenv("PYTHONPATH", PYTHON_STUBS, 1);
  std::string folder = Temp("example");
  CommandResult result = Command({PYTHON_PROGRAM, FIRSTBYTE_SOURCE_DIR "/client/examples/play.py",
                                  "night", folder, server_.target()})
                             .Wait();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "fake: 16 x 12\n52 blocks\n");
  auto frame = DecodeImage(ReadFile(folder + "/000051.png"), ImageFormat::kPng);
  ASSERT_TRUE(frame.ok()) << frame.status();
  EXPECT_EQ(frame->data[0], 51);
}

TEST_F(WorldCliTest, EveryCommandHasExamples) {
  for (const char* command : {"say", "play", "sessions", "snapshot", "fork"}) {
    EXPECT_THAT(Run({command, "--help"}).out, HasSubstr("Examples:")) << command;
  }
}

}  // namespace
}  // namespace firstbyte
