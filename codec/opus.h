// Opus packets, mono: a streaming encoder tuned for low delay and the decoder for it.
//
// The encoder looks ahead 2.5 ms. What it reports as pre-skip is the number of samples, in Opus'
// own 48 kHz units, that a player drops from the start of the decoded stream.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

struct OpusEncoder;
struct OpusDecoder;

namespace firstbyte {

// Opus runs at these rates and no other: 8000, 12000, 16000, 24000, 48000.
bool IsOpusRate(int sample_rate_hertz);

// The most a packet of `frame_ms` may take: four times the nominal rate (variable bit rate peaks
// on onsets), within what the format allows.
int MaxOpusPacketBytes(int bitrate_bps, int frame_ms);

// How long `packet` plays, in samples at 48 kHz (960 = 20 ms); 0 when it is not Opus.
int OpusPacketSamples(absl::string_view packet);

// One thread. Same input, same packets, however the input is cut.
class OpusStreamEncoder {
 public:
  // `sample_rate_hertz` an Opus rate, `frame_ms` 10 or 20, `bitrate_bps` 6000..256000:
  // anything else is kInvalidArgument, or kUnimplemented for other frames that Opus knows.
  static absl::StatusOr<std::unique_ptr<OpusStreamEncoder>> Create(int sample_rate_hertz,
                                                                   int bitrate_bps, int frame_ms);
  ~OpusStreamEncoder();

  // Appends to `packets` every frame that `samples` completes.
  void Append(absl::Span<const float> samples, std::vector<std::string>* packets);
  // Pads with zeros until a decoder has every sample, look-ahead included. Call once, last.
  void Finish(std::vector<std::string>* packets);

  int frame_samples() const { return frame_samples_; }   // at sample_rate_hertz
  int lookahead_samples() const { return lookahead_; }   // at sample_rate_hertz
  int pre_skip() const { return lookahead_ * to_48k_; }  // at 48 kHz

 private:
  OpusStreamEncoder(::OpusEncoder* encoder, int sample_rate_hertz, int bitrate_bps, int frame_ms);
  void EncodePending(std::vector<std::string>* packets);

  struct Destroy {
    void operator()(::OpusEncoder* encoder) const;
  };
  std::unique_ptr<::OpusEncoder, Destroy> encoder_;
  const int frame_samples_;
  const int max_packet_bytes_;
  const int to_48k_;
  int lookahead_ = 0;
  std::vector<float> pending_;  // [< frame_samples_]
};

// One thread.
class OpusStreamDecoder {
 public:
  // Drops the first `pre_skip` samples (48 kHz units) of what it decodes.
  static absl::StatusOr<std::unique_ptr<OpusStreamDecoder>> Create(int sample_rate_hertz,
                                                                   int pre_skip);
  ~OpusStreamDecoder();

  // kDataLoss when `packet` is not Opus. The end's padding is the caller's to cut.
  absl::StatusOr<std::vector<float>> Decode(absl::string_view packet);

 private:
  OpusStreamDecoder(::OpusDecoder* decoder, int sample_rate_hertz, int pre_skip);

  struct Destroy {
    void operator()(::OpusDecoder* decoder) const;
  };
  std::unique_ptr<::OpusDecoder, Destroy> decoder_;
  const int max_samples_;  // of one packet: 120 ms
  size_t skip_;            // still to drop, at the decoder's rate
};

}  // namespace firstbyte
