#include "codec/wav.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/read_file.h"

namespace firstbyte {
namespace {

using ::testing::HasSubstr;

TEST(WavHeader, IsTheCanonical44Bytes) {
  EXPECT_EQ(WavHeader(16000, 1, 8),
            std::string("RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0"
                        "\x02\0\x10\0data\x08\0\0\0",
                        44));
}

TEST(WavHeader, StreamingHasUnknownSizes) {
  std::string header = WavHeader(24000, 1, kUnknownWavSize);
  EXPECT_EQ(header.substr(4, 4), "\xff\xff\xff\xff");
  EXPECT_EQ(header.substr(40, 4), "\xff\xff\xff\xff");
}

TEST(WavFile, SizesAreFixedAtClose) {
  std::string path = testing::TempDir() + "close.wav";
  auto file = WavFile::Create(path, 16000, 1);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->Write("abcd").ok());
  ASSERT_TRUE((*file)->Write("efgh").ok());
  ASSERT_TRUE((*file)->Close().ok());
  EXPECT_EQ(ReadFile(path), WavHeader(16000, 1, 8) + "abcdefgh");
  EXPECT_FALSE((*file)->Write("late").ok());
}

TEST(WavFile, ErrorNamesThePath) {
  auto file = WavFile::Create("/nowhere/x.wav", 16000, 1);
  ASSERT_FALSE(file.ok());
  EXPECT_THAT(std::string(file.status().message()), HasSubstr("/nowhere/x.wav"));
}

TEST(ParseWav, ReadsWhatTheFileWriterWrote) {
  auto audio = ParseWav(WavHeader(24000, 2, 8) + "abcdefgh");
  ASSERT_TRUE(audio.ok()) << audio.status();
  EXPECT_EQ(audio->sample_rate_hertz, 24000);
  EXPECT_EQ(audio->channels, 2);
  EXPECT_EQ(audio->pcm16, "abcdefgh");
}

TEST(ParseWav, UnknownSizeMeansToTheEnd) {
  auto audio = ParseWav(WavHeader(16000, 1, kUnknownWavSize) + "abcdefg");
  ASSERT_TRUE(audio.ok());
  EXPECT_EQ(audio->pcm16, "abcdef");  // half a sample is no sample
}

TEST(ParseWav, SkipsOtherChunksWithTheirPadding) {
  std::string wav = WavHeader(16000, 1, 2) + "hi";
  wav.insert(36, std::string("LIST\x03\0\0\0abc\0", 12));
  auto audio = ParseWav(wav);
  ASSERT_TRUE(audio.ok()) << audio.status();
  EXPECT_EQ(audio->pcm16, "hi");
}

TEST(ParseWav, EveryTruncationIsAnErrorOrShortAudio) {
  std::string wav = WavHeader(16000, 1, 4) + "abcd";
  for (size_t size = 0; size < wav.size(); ++size) {
    auto audio = ParseWav(wav.substr(0, size));
    EXPECT_EQ(audio.ok(), size >= 44) << size;
  }
}

TEST(ParseWav, EveryCorruptByteIsSurvived) {
  std::string wav = WavHeader(16000, 1, 4) + "abcd";
  for (size_t at = 0; at < wav.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = wav;
      bad[at] = static_cast<char>(bad[at] ^ 1 << bit);
      auto audio = ParseWav(bad);
      EXPECT_LE(audio.ok() ? audio->pcm16.size() : 0, 4u);
    }
  }
}

TEST(ParseWav, OtherFormatsAreNamed) {
  std::string wav = WavHeader(16000, 1, 4) + "abcd";
  wav[20] = 3;  // IEEE float
  auto audio = ParseWav(wav);
  ASSERT_FALSE(audio.ok());
  EXPECT_THAT(std::string(audio.status().message()), HasSubstr("16-bit PCM"));
}

}  // namespace
}  // namespace firstbyte
