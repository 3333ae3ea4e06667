#include "codec/opus.h"

#include <algorithm>
#include <utility>

#include <opus/opus.h>

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace firstbyte {
namespace {

constexpr int kComplexity = 5;  // 36 us a frame; 10 costs a third more for no difference one hears
constexpr int kMaxPacketBytes = 1275;  // RFC 6716, one frame
constexpr int kMinBitrate = 6000;
constexpr int kMaxBitrate = 256000;

absl::Status Check(int sample_rate_hertz, int bitrate_bps, int frame_ms) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  if (!IsOpusRate(sample_rate_hertz)) {
    return Error(kInvalid, "INVALID_SAMPLE_RATE",
                 absl::StrCat("Opus runs at 8, 12, 16, 24 or 48 kHz, not ", sample_rate_hertz),
                 "config.audio.sample_rate_hertz");
  }
  if (bitrate_bps < kMinBitrate || bitrate_bps > kMaxBitrate) {
    return Error(kInvalid, "INVALID_BITRATE",
                 absl::StrCat("bitrate_bps is ", bitrate_bps, "; Opus takes ", kMinBitrate, " to ",
                              kMaxBitrate),
                 "config.audio.bitrate_bps");
  }
  if (frame_ms != 10 && frame_ms != 20) {
    bool known = frame_ms == 5 || frame_ms == 40 || frame_ms == 60;  // by Opus, not served here
    return Error(known ? absl::StatusCode::kUnimplemented : kInvalid,
                 known ? "NOT_SUPPORTED" : "INVALID_FRAME_DURATION",
                 absl::StrCat("Opus frames here last 10 or 20 ms, not ", frame_ms),
                 "config.audio.opus_frame_duration");
  }
  return absl::OkStatus();
}

// The encoder's own state is only ever fed finite samples in range.
float Clean(float sample) { return sample == sample ? std::clamp(sample, -1.0f, 1.0f) : 0.0f; }

}  // namespace

bool IsOpusRate(int sample_rate_hertz) {
  constexpr int kRates[] = {8000, 12000, 16000, 24000, 48000};
  return std::find(std::begin(kRates), std::end(kRates), sample_rate_hertz) != std::end(kRates);
}

int MaxOpusPacketBytes(int bitrate_bps, int frame_ms) {
  return std::clamp(4 * bitrate_bps / 8 * frame_ms / 1000, 128, kMaxPacketBytes);
}

int OpusPacketSamples(absl::string_view packet) {
  int samples = opus_packet_get_nb_samples(reinterpret_cast<const unsigned char*>(packet.data()),
                                           static_cast<opus_int32>(packet.size()), 48000);
  return std::max(samples, 0);
}

void OpusStreamEncoder::Destroy::operator()(::OpusEncoder* encoder) const {
  opus_encoder_destroy(encoder);
}

absl::StatusOr<std::unique_ptr<OpusStreamEncoder>> OpusStreamEncoder::Create(int sample_rate_hertz,
                                                                             int bitrate_bps,
                                                                             int frame_ms) {
  if (auto status = Check(sample_rate_hertz, bitrate_bps, frame_ms); !status.ok()) return status;
  int error = OPUS_OK;
  ::OpusEncoder* encoder =
      opus_encoder_create(sample_rate_hertz, 1, OPUS_APPLICATION_RESTRICTED_LOWDELAY, &error);
  if (error != OPUS_OK) {
    return absl::InternalError(absl::StrCat("opus_encoder_create: ", opus_strerror(error)));
  }
  return std::unique_ptr<OpusStreamEncoder>(
      new OpusStreamEncoder(encoder, sample_rate_hertz, bitrate_bps, frame_ms));
}

OpusStreamEncoder::OpusStreamEncoder(::OpusEncoder* encoder, int sample_rate_hertz, int bitrate_bps,
                                     int frame_ms)
    : encoder_(encoder),
      frame_samples_(sample_rate_hertz / 1000 * frame_ms),
      max_packet_bytes_(MaxOpusPacketBytes(bitrate_bps, frame_ms)),
      to_48k_(48000 / sample_rate_hertz) {
  opus_encoder_ctl(encoder, OPUS_SET_COMPLEXITY(kComplexity));
  opus_encoder_ctl(encoder, OPUS_SET_BITRATE(bitrate_bps));
  opus_encoder_ctl(encoder, OPUS_GET_LOOKAHEAD(&lookahead_));
  pending_.reserve(frame_samples_);
}

OpusStreamEncoder::~OpusStreamEncoder() = default;

void OpusStreamEncoder::Append(absl::Span<const float> samples, std::vector<std::string>* packets) {
  for (float sample : samples) {
    pending_.push_back(Clean(sample));
    if (static_cast<int>(pending_.size()) == frame_samples_) EncodePending(packets);
  }
}

void OpusStreamEncoder::Finish(std::vector<std::string>* packets) {
  pending_.resize(pending_.size() + lookahead_, 0.0f);
  while (!pending_.empty()) {
    std::vector<float> rest;
    if (static_cast<int>(pending_.size()) > frame_samples_) {
      rest.assign(pending_.begin() + frame_samples_, pending_.end());
    }
    pending_.resize(frame_samples_, 0.0f);
    EncodePending(packets);
    pending_ = std::move(rest);
  }
}

void OpusStreamEncoder::EncodePending(std::vector<std::string>* packets) {
  std::string packet(max_packet_bytes_, '\0');
  int bytes = opus_encode_float(encoder_.get(), pending_.data(), frame_samples_,
                                reinterpret_cast<unsigned char*>(packet.data()), max_packet_bytes_);
  // Arguments are checked in Create and samples cleaned, so it cannot fail; were it to, an empty
  // payload (one byte of table of contents: "lost frame") keeps time right.
  packet.resize(std::max(bytes, 1));
  packets->push_back(std::move(packet));
  pending_.clear();
}

void OpusStreamDecoder::Destroy::operator()(::OpusDecoder* decoder) const {
  opus_decoder_destroy(decoder);
}

absl::StatusOr<std::unique_ptr<OpusStreamDecoder>> OpusStreamDecoder::Create(int sample_rate_hertz,
                                                                             int pre_skip) {
  if (!IsOpusRate(sample_rate_hertz) || pre_skip < 0 || pre_skip > 48000) {
    return absl::InvalidArgumentError(
        absl::StrCat("Opus at ", sample_rate_hertz, " Hz with a pre-skip of ", pre_skip));
  }
  int error = OPUS_OK;
  ::OpusDecoder* decoder = opus_decoder_create(sample_rate_hertz, 1, &error);
  if (error != OPUS_OK) {
    return absl::InternalError(absl::StrCat("opus_decoder_create: ", opus_strerror(error)));
  }
  return std::unique_ptr<OpusStreamDecoder>(
      new OpusStreamDecoder(decoder, sample_rate_hertz, pre_skip));
}

OpusStreamDecoder::OpusStreamDecoder(::OpusDecoder* decoder, int sample_rate_hertz, int pre_skip)
    : decoder_(decoder),
      max_samples_(sample_rate_hertz / 1000 * 120),
      skip_(pre_skip / (48000 / sample_rate_hertz)) {}

OpusStreamDecoder::~OpusStreamDecoder() = default;

absl::StatusOr<std::vector<float>> OpusStreamDecoder::Decode(absl::string_view packet) {
  // To libopus an empty packet means "conceal a loss": it is not what a sender can have meant.
  if (packet.empty()) return absl::DataLossError("empty Opus packet");
  std::vector<float> samples(max_samples_);
  int decoded =
      opus_decode_float(decoder_.get(), reinterpret_cast<const unsigned char*>(packet.data()),
                        static_cast<int>(packet.size()), samples.data(), max_samples_, 0);
  if (decoded < 0) return absl::DataLossError(absl::StrCat("Opus: ", opus_strerror(decoded)));
  samples.resize(decoded);
  size_t skipped = std::min(skip_, samples.size());
  samples.erase(samples.begin(), samples.begin() + skipped);
  skip_ -= skipped;
  return samples;
}

}  // namespace firstbyte
