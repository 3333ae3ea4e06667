#include "codec/opus.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "gtest/gtest.h"
#include "tests/codec/signal.h"

namespace firstbyte {
namespace {

std::vector<std::string> Encode(const std::vector<float>& signal, int rate = 16000,
                                int bitrate = 32000) {
  auto encoder = OpusStreamEncoder::Create(rate, bitrate, 20);
  std::vector<std::string> packets;
  (*encoder)->Append(signal, &packets);
  (*encoder)->Finish(&packets);
  return packets;
}

std::vector<float> Decode(const std::vector<std::string>& packets, int rate, int pre_skip) {
  auto decoder = OpusStreamDecoder::Create(rate, pre_skip);
  std::vector<float> signal;
  for (const std::string& packet : packets) {
    auto samples = (*decoder)->Decode(packet);
    EXPECT_TRUE(samples.ok()) << samples.status();
    signal.insert(signal.end(), samples->begin(), samples->end());
  }
  return signal;
}

double Correlation(const std::vector<float>& a, const std::vector<float>& b, size_t n) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < n; ++i) ab += a[i] * b[i], aa += a[i] * a[i], bb += b[i] * b[i];
  return ab / std::sqrt(aa * bb);
}

TEST(Opus, PreSkipIsTheLookAheadIn48kHzUnits) {
  for (int rate : {8000, 12000, 16000, 24000, 48000}) {
    auto encoder = OpusStreamEncoder::Create(rate, 24000, 20);
    ASSERT_TRUE(encoder.ok());
    EXPECT_EQ((*encoder)->pre_skip(), 120) << rate;  // 2.5 ms
  }
}

TEST(Opus, DecodedSignalLinesUpWithTheInputAtEveryRate) {
  for (int rate : {8000, 12000, 16000, 24000, 48000}) {
    std::vector<float> signal = Glide(rate, rate);
    std::vector<float> decoded = Decode(Encode(signal, rate), rate, 120);
    ASSERT_GE(decoded.size(), signal.size()) << rate;
    EXPECT_GT(Correlation(signal, decoded, signal.size()), 0.98) << rate;
    decoded.erase(decoded.begin(), decoded.begin() + rate / 400);
    EXPECT_LT(Correlation(signal, decoded, signal.size() - rate / 50), 0.9) << "a shift shows";
  }
}

TEST(Opus, AnyChunkingGivesTheSamePackets) {
  std::vector<float> signal = Glide(16000 + 77);
  std::vector<std::string> whole = Encode(signal);
  std::mt19937 random(7);
  for (int trial = 0; trial < 20; ++trial) {
    auto encoder = OpusStreamEncoder::Create(16000, 32000, 20);
    std::vector<std::string> packets;
    for (size_t at = 0; at < signal.size();) {
      size_t n = std::min<size_t>(random() % 900, signal.size() - at);
      (*encoder)->Append(absl::MakeSpan(signal).subspan(at, n), &packets);
      at += n;
    }
    (*encoder)->Finish(&packets);
    EXPECT_EQ(packets, whole);
  }
}

TEST(Opus, FinishAddsAFrameOnlyForWhatIsLeft) {
  EXPECT_EQ(Encode(Glide(1)).size(), 1u);
  EXPECT_EQ(Encode(Glide(280)).size(), 1u);  // 280 + 40 of look-ahead fill the frame
  EXPECT_EQ(Encode(Glide(281)).size(), 2u);
  EXPECT_EQ(Encode(Glide(320)).size(), 2u);
}

TEST(Opus, PacketsSayHowLongTheyPlay) {
  EXPECT_EQ(OpusPacketSamples(Encode(Glide(320))[0]), 960);
  EXPECT_EQ(OpusPacketSamples(""), 0);
}

TEST(Opus, BitrateIsHonoured) {
  auto bytes = [](int bitrate) {
    size_t sum = 0;
    for (const std::string& packet : Encode(Glide(16000 * 4), 16000, bitrate)) sum += packet.size();
    return static_cast<double>(sum) / 4 * 8;
  };
  EXPECT_NEAR(bytes(24000), 24000, 6000);
  EXPECT_NEAR(bytes(64000), 64000, 16000);
}

TEST(Opus, NoPacketExceedsTheCapEvenForNoise) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> sample(-1, 1);
  std::vector<float> noise(16000);
  for (float& x : noise) x = sample(random);
  for (int bitrate : {6000, 24000, 256000}) {
    for (const std::string& packet : Encode(noise, 16000, bitrate)) {
      EXPECT_LE(packet.size(), static_cast<size_t>(MaxOpusPacketBytes(bitrate, 20)));
    }
  }
}

TEST(Opus, SamplesThatAreNotNumbersDoNoHarm) {
  std::vector<float> signal = Glide(640);
  signal[100] = std::nanf("");
  signal[200] = HUGE_VALF;
  for (float sample : Decode(Encode(signal), 16000, 120)) EXPECT_TRUE(std::isfinite(sample));
}

TEST(Opus, BadArgumentsAreNamed) {
  EXPECT_EQ(DetailOf(OpusStreamEncoder::Create(22050, 24000, 20).status()).reason,
            "INVALID_SAMPLE_RATE");
  EXPECT_EQ(DetailOf(OpusStreamEncoder::Create(16000, 1, 20).status()).reason, "INVALID_BITRATE");
  EXPECT_EQ(DetailOf(OpusStreamEncoder::Create(16000, -5, 20).status()).reason, "INVALID_BITRATE");
  EXPECT_EQ(DetailOf(OpusStreamEncoder::Create(16000, 24000, 30).status()).reason,
            "INVALID_FRAME_DURATION");
  EXPECT_EQ(DetailOf(OpusStreamEncoder::Create(16000, 24000, 60).status()).reason, "NOT_SUPPORTED");
}

TEST(OpusDecoder, GarbageIsDataLossNotACrash) {
  auto decoder = OpusStreamDecoder::Create(16000, 0);
  EXPECT_EQ((*decoder)->Decode("").status().code(), absl::StatusCode::kDataLoss);
  std::mt19937 random(3);
  for (int trial = 0; trial < 2000; ++trial) {
    std::string packet(random() % 60 + 1, '\0');
    for (char& byte : packet) byte = static_cast<char>(random());
    auto samples = (*decoder)->Decode(packet);
    EXPECT_LE(samples.ok() ? samples->size() : 0, 1920u);
  }
}

}  // namespace
}  // namespace firstbyte
