#include "codec/audio_encoder.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "codec/wav.h"
#include "gtest/gtest.h"
#include "tests/codec/signal.h"

namespace firstbyte {
namespace {

constexpr AudioEncoding kServed[] = {AudioEncoding::kPcm16, AudioEncoding::kWav,
                                     AudioEncoding::kOpus};

std::unique_ptr<AudioEncoder> Make(AudioEncoding encoding) {
  auto encoder = NewAudioEncoder({.encoding = encoding});
  EXPECT_TRUE(encoder.ok()) << encoder.status();
  return *std::move(encoder);
}

void Extend(EncodedAudio part, EncodedAudio* all) {
  all->data += part.data;
  all->packets.insert(all->packets.end(), part.packets.begin(), part.packets.end());
  all->samples += part.samples;
}

EncodedAudio InPieces(AudioEncoding encoding, const std::vector<float>& signal, size_t largest,
                      unsigned seed) {
  std::mt19937 random(seed);
  auto encoder = Make(encoding);
  EncodedAudio all;
  for (size_t at = 0; at < signal.size();) {
    size_t n = std::min<size_t>(random() % largest + 1, signal.size() - at);
    Extend(encoder->Append(absl::MakeSpan(signal).subspan(at, n)), &all);
    at += n;
  }
  Extend(encoder->Finish(), &all);
  return all;
}

TEST(AudioEncoder, AnyChunkingGivesTheSameBytes) {
  std::vector<float> signal = Glide(16000 + 5);
  for (AudioEncoding encoding : kServed) {
    EncodedAudio whole = InPieces(encoding, signal, signal.size(), 1);
    for (unsigned seed = 2; seed < 12; ++seed) {
      EncodedAudio pieces = InPieces(encoding, signal, 700, seed);
      EXPECT_EQ(pieces.data, whole.data);
      EXPECT_EQ(pieces.packets, whole.packets);
    }
  }
}

TEST(AudioEncoder, ReportedSamplesAddUpToTheInputWithoutPadding) {
  for (AudioEncoding encoding : kServed) {
    for (int samples : {0, 1, 279, 280, 281, 319, 320, 321, 16001}) {
      EXPECT_EQ(InPieces(encoding, Glide(samples), 500, samples).samples, samples);
    }
  }
}

TEST(AudioEncoder, OpusReportsWhatADecoderHasAfterThePreSkip) {
  auto encoder = Make(AudioEncoding::kOpus);
  EXPECT_EQ(encoder->pre_skip(), 120);
  EXPECT_EQ(encoder->Append(Glide(319)).samples, 0);
  EXPECT_EQ(encoder->Append(Glide(1)).samples, 280);
  EXPECT_EQ(encoder->Append(Glide(320)).samples, 320);
  EXPECT_EQ(encoder->Finish().samples, 40);
}

TEST(AudioEncoder, NothingInNothingOut) {
  for (AudioEncoding encoding : kServed) EXPECT_TRUE(Make(encoding)->Finish().empty());
}

TEST(AudioEncoder, MaxEncodedBytesBoundsEveryRun) {
  std::mt19937 random(9);
  std::uniform_real_distribution<float> sample(-1, 1);
  for (AudioEncoding encoding : kServed) {
    for (int samples : {1, 40, 280, 319, 320, 321, 639, 640, 5000}) {
      for (int before : {0, 1, 319}) {
        std::vector<float> noise(before + samples);
        for (float& x : noise) x = sample(random);
        auto encoder = Make(encoding);
        encoder->Append(absl::MakeSpan(noise).first(before));
        int64_t bytes = encoder->Append(absl::MakeSpan(noise).subspan(before)).bytes();
        EXPECT_LE(bytes + encoder->Finish().bytes(),
                  MaxEncodedBytes({.encoding = encoding}, samples));
      }
    }
  }
}

TEST(AudioEncoder, WavHeaderIsApartFromTheMedia) {
  auto wav = Make(AudioEncoding::kWav), pcm = Make(AudioEncoding::kPcm16);
  EXPECT_EQ(wav->header(), WavHeader(16000, 1, kUnknownWavSize));
  EXPECT_EQ(pcm->header(), "");
  EXPECT_EQ(wav->Append(Glide(100)).data, pcm->Append(Glide(100)).data);
}

TEST(AudioEncoder, WhatIsNotServedSaysSo) {
  for (AudioEncoding encoding : {AudioEncoding::kFloat32, AudioEncoding::kMulaw,
                                 AudioEncoding::kAlaw, AudioEncoding::kOggOpus}) {
    auto encoder = NewAudioEncoder({.encoding = encoding});
    EXPECT_EQ(encoder.status().code(), absl::StatusCode::kUnimplemented);
    EXPECT_EQ(DetailOf(encoder.status()).reason, "NOT_SUPPORTED");
  }
}

}  // namespace
}  // namespace firstbyte
