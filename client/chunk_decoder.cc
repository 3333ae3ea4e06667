#include "client/chunk_decoder.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "codec/pcm.h"

namespace firstbyte {

int64_t EndSample(const v1::AudioChunk& chunk, int sample_rate_hertz) {
  int64_t seconds = chunk.start_offset().seconds() + chunk.duration().seconds();
  int64_t nanos = int64_t{chunk.start_offset().nanos()} + chunk.duration().nanos();
  return seconds * sample_rate_hertz + std::llround(nanos * 1e-9 * sample_rate_hertz);
}

absl::StatusOr<std::unique_ptr<ChunkDecoder>> ChunkDecoder::Create(const v1::AudioFormat& format) {
  std::unique_ptr<ChunkDecoder> decoder(new ChunkDecoder(format.sample_rate_hertz()));
  switch (format.encoding()) {
    case v1::AUDIO_ENCODING_PCM16:
    case v1::AUDIO_ENCODING_WAV:
      return decoder;
    case v1::AUDIO_ENCODING_OPUS: {
      auto opus =
          OpusStreamDecoder::Create(format.sample_rate_hertz(), format.opus_pre_skip_samples());
      if (!opus.ok()) return opus.status();
      decoder->opus_ = *std::move(opus);
      return decoder;
    }
    default:
      return absl::UnimplementedError("the server sends an encoding this client does not read");
  }
}

absl::StatusOr<std::string> ChunkDecoder::Pcm16(const v1::AudioChunk& chunk) {
  if (opus_ == nullptr) return chunk.data();
  std::vector<float> samples;
  for (const std::string& packet : chunk.packets()) {
    auto decoded = opus_->Decode(packet);
    if (!decoded.ok()) return decoded.status();
    samples.insert(samples.end(), decoded->begin(), decoded->end());
  }
  int64_t audible = std::max<int64_t>(EndSample(chunk, sample_rate_hertz_) - decoded_, 0);
  if (audible < static_cast<int64_t>(samples.size())) samples.resize(audible);
  decoded_ += static_cast<int64_t>(samples.size());
  std::string pcm16;
  AppendPcm16(samples, &pcm16);
  return pcm16;
}

}  // namespace firstbyte
