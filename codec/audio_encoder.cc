#include "codec/audio_encoder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "codec/opus.h"
#include "codec/pcm.h"
#include "codec/wav.h"

namespace firstbyte {
namespace {

constexpr int kPcmBytesPerSample = 2;
constexpr int kDefaultBitrate = 24000;

int BitrateOf(const AudioFormat& format) {
  return format.bitrate_bps != 0 ? format.bitrate_bps : kDefaultBitrate;
}

class PcmEncoder : public AudioEncoder {
 public:
  explicit PcmEncoder(std::string header) : header_(std::move(header)) {}

  EncodedAudio Append(absl::Span<const float> samples) override {
    EncodedAudio out{.samples = static_cast<int64_t>(samples.size())};
    AppendPcm16(samples, &out.data);
    return out;
  }
  EncodedAudio Finish() override { return {}; }
  std::string header() const override { return header_; }

 private:
  const std::string header_;
};

class OpusAudioEncoder : public AudioEncoder {
 public:
  explicit OpusAudioEncoder(std::unique_ptr<OpusStreamEncoder> opus) : opus_(std::move(opus)) {}

  EncodedAudio Append(absl::Span<const float> samples) override {
    EncodedAudio out;
    fed_ += static_cast<int64_t>(samples.size());
    opus_->Append(samples, &out.packets);
    return Account(std::move(out));
  }
  EncodedAudio Finish() override {
    EncodedAudio out;
    if (fed_ > 0) opus_->Finish(&out.packets);
    return Account(std::move(out));
  }
  int pre_skip() const override { return opus_->pre_skip(); }

 private:
  // A decoder's output lags by the look-ahead, and ends before the padding.
  EncodedAudio Account(EncodedAudio out) {
    coded_ += static_cast<int64_t>(out.packets.size()) * opus_->frame_samples();
    int64_t playable = std::clamp<int64_t>(coded_ - opus_->lookahead_samples(), 0, fed_);
    out.samples = playable - std::exchange(played_, playable);
    return out;
  }

  const std::unique_ptr<OpusStreamEncoder> opus_;
  int64_t fed_ = 0;
  int64_t coded_ = 0;   // samples inside packets, padding included
  int64_t played_ = 0;  // sum of what was reported
};

absl::Status NotSupported() {
  return Error(absl::StatusCode::kUnimplemented, "NOT_SUPPORTED",
               "this audio encoding is not served yet; PCM16, WAV and OPUS are",
               "config.audio.encoding");
}

}  // namespace

int64_t EncodedAudio::bytes() const {
  int64_t sum = static_cast<int64_t>(data.size());
  for (const std::string& packet : packets) sum += static_cast<int64_t>(packet.size());
  return sum;
}

absl::StatusOr<std::unique_ptr<AudioEncoder>> NewAudioEncoder(const AudioFormat& format) {
  switch (format.encoding) {
    case AudioEncoding::kPcm16:
      return std::make_unique<PcmEncoder>("");
    case AudioEncoding::kWav:
      return std::make_unique<PcmEncoder>(WavHeader(format.sample_rate_hertz, 1, kUnknownWavSize));
    case AudioEncoding::kOpus: {
      auto opus = OpusStreamEncoder::Create(format.sample_rate_hertz, BitrateOf(format),
                                            format.opus_frame_ms);
      if (!opus.ok()) return opus.status();
      return std::make_unique<OpusAudioEncoder>(*std::move(opus));
    }
    case AudioEncoding::kFloat32:
    case AudioEncoding::kMulaw:
    case AudioEncoding::kAlaw:
    case AudioEncoding::kOggOpus:
      return NotSupported();
  }
  return NotSupported();
}

int64_t MaxEncodedBytes(const AudioFormat& format, int64_t samples) {
  if (format.encoding != AudioEncoding::kOpus) return samples * kPcmBytesPerSample;
  int64_t frame = int64_t{format.sample_rate_hertz} * format.opus_frame_ms / 1000;
  // Up to a frame less one sample may have been pending, the end adds look-ahead and padding.
  int64_t packets = samples / frame + 3;
  return packets * MaxOpusPacketBytes(BitrateOf(format), format.opus_frame_ms);
}

}  // namespace firstbyte
