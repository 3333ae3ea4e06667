#include "codec/ogg.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "codec/opus.h"
#include "codec/wav.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/codec/signal.h"

namespace firstbyte {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string WriteOpusFile(int samples, const std::string& name) {
  auto encoder = OpusStreamEncoder::Create(16000, 24000, 20);
  std::vector<std::string> packets;
  (*encoder)->Append(Glide(samples), &packets);
  (*encoder)->Finish(&packets);
  OggOpusMuxer muxer({.input_rate_hertz = 16000, .pre_skip = (*encoder)->pre_skip(), .serial = 7});
  std::string bytes = muxer.Headers();
  for (const std::string& packet : packets) bytes += muxer.Add(packet, 960);
  bytes += muxer.Finish(samples * 3);
  std::string path = testing::TempDir() + name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

std::string OutputOf(const std::string& command) {
  std::string output;
  std::FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::array<char, 4096> buffer;
  while (size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    output.append(buffer.data(), n);
  }
  return output + (pclose(pipe) == 0 ? "" : "\nexit status not 0");
}

bool HaveOpusTools() { return std::system("command -v opusinfo opusdec >/dev/null") == 0; }

TEST(Ogg, OpusinfoFindsNothingToComplainAbout) {
  if (!HaveOpusTools()) GTEST_SKIP() << "opus-tools is not installed";
  std::string info = OutputOf("opusinfo " + WriteOpusFile(16000 * 3 + 123, "info.opus"));
  EXPECT_THAT(info, Not(HasSubstr("WARNING")));
  EXPECT_THAT(info, Not(HasSubstr("not 0")));
  EXPECT_THAT(info, HasSubstr("Pre-skip: 120"));
  EXPECT_THAT(info, HasSubstr("Playback length: 0m:03.007s"));
}

TEST(Ogg, OpusdecDecodesExactlyTheSamplesThatWentIn) {
  if (!HaveOpusTools()) GTEST_SKIP() << "opus-tools is not installed";
  for (int samples : {1, 320, 16000, 48000 + 17}) {
    std::string path = WriteOpusFile(samples, "exact.opus");
    OutputOf("opusdec --quiet --rate 48000 " + path + " " + path + ".wav");
    std::ifstream file(path + ".wav", std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(file)), {});
    auto audio = ParseWav(bytes);
    ASSERT_TRUE(audio.ok()) << audio.status();
    EXPECT_EQ(audio->pcm16.size() / 2, static_cast<size_t>(samples) * 3);
  }
}

TEST(Ogg, SameInputSameBytes) {
  auto bytes = [](const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string((std::istreambuf_iterator<char>(file)), {});
  };
  EXPECT_EQ(bytes(WriteOpusFile(5000, "a.opus")), bytes(WriteOpusFile(5000, "b.opus")));
}

TEST(Ogg, ASecondOfAudioMakesAPage) {
  OggOpusMuxer muxer({.pre_skip = 120});
  muxer.Headers();
  int pages = 0;
  for (int i = 0; i < 151; ++i) pages += !muxer.Add("packet", 960).empty();
  EXPECT_EQ(pages, 3);
}

TEST(Ogg, NoPacketsMeansHeadersOnly) {
  OggOpusMuxer muxer({.pre_skip = 120});
  EXPECT_THAT(muxer.Headers(), HasSubstr("OpusTags"));
  EXPECT_EQ(muxer.Finish(0), "");
}

}  // namespace
}  // namespace firstbyte
