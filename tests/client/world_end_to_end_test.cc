// `firstbyte play` and what belongs to it against the real server with the scripted world.
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "codec/image.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/command.h"
#include "tests/rpc/world_fixture.h"

namespace firstbyte {
namespace {

using ::testing::HasSubstr;

constexpr char kSeed[] = "7";
const int kFrames = ScriptedWorldOptions().frames_per_block;

class WorldEndToEnd : public WorldTest {
 protected:
  CommandResult Run(std::vector<std::string> words, const std::string& script = "") {
    words.insert(words.begin(), FIRSTBYTE_PROGRAM);
    words.insert(words.end(), {"--target", "127.0.0.1:" + std::to_string(server_.host->port())});
    Command command(words);
    command.Type(script);
    return command.Wait();
  }
  // Walks by `script`; the frames are in the folder `name`.
  CommandResult Walk(std::vector<std::string> words, const std::string& name,
                     const std::string& script) {
    words.insert(words.end(), {"--script", "-", "--out", Folder(name)});
    return Run(std::move(words), script);
  }
  std::string Folder(const std::string& name) { return (folder_ / name).string() + "/"; }
  std::string Frame(const std::string& name, int index) {
    std::ostringstream png;
    png << std::ifstream(Folder(name) + "frame_00000" + std::to_string(index) + ".png").rdbuf();
    auto image = DecodeImage(png.str(), ImageFormat::kPng);
    EXPECT_TRUE(image.ok()) << image.status();
    return image.ok() ? std::string(image->data.begin(), image->data.end()) : "";
  }

  Server server_ = Start();
  const std::vector<std::vector<std::string>> frames_ = Frames(7, {"W", "W", "A"});
};

TEST_F(WorldEndToEnd, AScriptShowsExactlyWhatTheWorldMade) {
  CommandResult result = Walk({"play", "--seed", kSeed}, "walk", "W 2\nA\n");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("3 blocks"));
  for (int i = 0; i < 3 * kFrames; ++i) {
    EXPECT_TRUE(Frame("walk", i) == frames_[i / kFrames][i % kFrames]) << i;
  }
  EXPECT_THAT(Run({"worlds"}).out, HasSubstr("W,A,S,D,SPACE"));
  ExpectUnharmed(server_);
}

TEST_F(WorldEndToEnd, PromptsApplyInTheirPlace) {
  CommandResult result = Walk({"play", "--seed", kSeed}, "prompted", "W 2\nprompt \"night\"\nA\n");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(Frame("prompted", kFrames) == frames_[1][0]);
  EXPECT_FALSE(Frame("prompted", 2 * kFrames) == frames_[2][0]);
}

TEST_F(WorldEndToEnd, AWorldThatWaitsGoesOnWhereItWas) {
  CommandResult left = Walk({"play", "--seed", kSeed, "--keep"}, "left", "W 2\n");
  ASSERT_EQ(left.exit_code, 0) << left.err;
  std::smatch found;
  ASSERT_TRUE(std::regex_search(
      left.err, found, std::regex("--resume (\\S+) --token (\\S+) --last-block (\\d+)\n")));
  const std::string session = found[1], token = found[2];
  while (Run({"sessions", "get", session}).out.find("parked") == std::string::npos) {
    std::this_thread::yield();
  }
  CommandResult on = Walk({"play", "--resume", session, "--token", token}, "on", "A\n");
  ASSERT_EQ(on.exit_code, 0) << on.err;
  EXPECT_TRUE(Frame("on", 0) == frames_[2][0]);
  EXPECT_EQ(Run({"sessions", "get", session}).exit_code, 1) << "it was closed";
}

TEST_F(WorldEndToEnd, SnapshotsAreForkedAndTravelInFiles) {
  CommandResult saved = Walk({"play", "--seed", kSeed}, "saved", "W 2\nsnapshot\nD 3\n");
  ASSERT_EQ(saved.exit_code, 0) << saved.err;
  const std::string id = saved.out.substr(0, saved.out.find('\n'));
  ASSERT_EQ(Walk({"fork", id}, "fork", "A\n").exit_code, 0);
  EXPECT_TRUE(Frame("fork", 0) == frames_[2][0]);

  const std::string file = (folder_ / "a.world").string();
  ASSERT_EQ(Run({"snapshot", "--export", id, "--out", file}).exit_code, 0);
  CommandResult stored = Run({"snapshot", "--import", file});
  ASSERT_EQ(stored.exit_code, 0) << stored.err;
  const std::string copy = stored.out.substr(0, stored.out.find('\n'));
  ASSERT_EQ(Walk({"fork", copy}, "copy", "A\n").exit_code, 0);
  EXPECT_TRUE(Frame("copy", 0) == frames_[2][0]);
}

}  // namespace
}  // namespace firstbyte
