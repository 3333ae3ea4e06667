#include "client/chunk_decoder.h"

#include <string>
#include <vector>

#include "codec/audio_encoder.h"
#include "gtest/gtest.h"
#include "tests/fake/fake_speech_service.h"

namespace firstbyte {
namespace {

v1::AudioChunk Chunk(const EncodedAudio& audio, int64_t start_sample) {
  v1::AudioChunk chunk;
  for (const std::string& packet : audio.packets) chunk.add_packets(packet);
  chunk.set_data(audio.data);
  chunk.mutable_start_offset()->set_nanos(static_cast<int>(start_sample * 62500));
  chunk.mutable_duration()->set_nanos(static_cast<int>(audio.samples * 62500));
  return chunk;
}

TEST(ChunkDecoder, OpusComesOutWithoutPreSkipAndPadding) {
  auto encoder = *NewAudioEncoder({.encoding = AudioEncoding::kOpus});
  v1::AudioFormat format;
  format.set_encoding(v1::AUDIO_ENCODING_OPUS);
  format.set_sample_rate_hertz(16000);
  format.set_opus_pre_skip_samples(encoder->pre_skip());
  auto decoder = ChunkDecoder::Create(format);
  ASSERT_TRUE(decoder.ok());
  std::vector<float> tone = FakeSpeechService::Tone(5);  // 800 samples
  EncodedAudio first = encoder->Append(tone), rest = encoder->Finish();
  auto a = (*decoder)->Pcm16(Chunk(first, 0));
  auto b = (*decoder)->Pcm16(Chunk(rest, first.samples));
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->size(), 600u * 2);
  EXPECT_EQ(b->size(), 200u * 2);
}

TEST(ChunkDecoder, BadPacketsAndUnknownEncodingsAreErrors) {
  v1::AudioFormat format;
  format.set_sample_rate_hertz(16000);
  format.set_encoding(v1::AUDIO_ENCODING_MULAW);
  EXPECT_EQ(ChunkDecoder::Create(format).status().code(), absl::StatusCode::kUnimplemented);
  format.set_encoding(v1::AUDIO_ENCODING_OPUS);
  auto decoder = ChunkDecoder::Create(format);
  v1::AudioChunk chunk;
  chunk.add_packets("");
  EXPECT_EQ((*decoder)->Pcm16(chunk).status().code(), absl::StatusCode::kDataLoss);
}

TEST(EndSample, RoundsNanosecondsToTheSample) {
  v1::AudioChunk chunk;
  chunk.mutable_start_offset()->set_seconds(2);
  chunk.mutable_duration()->set_nanos(333'333'333);  // 16000 samples at 48 kHz, cut to ns
  EXPECT_EQ(EndSample(chunk, 48000), 2 * 48000 + 16000);
}

}  // namespace
}  // namespace firstbyte
