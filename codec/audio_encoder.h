// One interface over every audio encoding a client can ask for.
//
// Encoders are deterministic: the bytes (or packets) of a stream do not depend on how its samples
// were cut into Append calls.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace firstbyte {

enum class AudioEncoding { kPcm16, kFloat32, kMulaw, kAlaw, kWav, kOpus, kOggOpus };

struct AudioFormat {
  AudioEncoding encoding = AudioEncoding::kPcm16;
  int sample_rate_hertz = 16000;  // of the samples that go in and of the audio that comes out
  int bitrate_bps = 0;            // Opus only; 0 = 24000
  int opus_frame_ms = 20;         // Opus only; 10 or 20
};

// What Append and Finish produced; empty when nothing is complete yet.
struct EncodedAudio {
  std::string data;                  // byte encodings
  std::vector<std::string> packets;  // packet encodings: Opus
  // Samples a player gains by this: for Opus after dropping the pre-skip, and never the padding of
  // the last packet. Over a stream they add up to the samples that went in.
  int64_t samples = 0;

  bool empty() const { return data.empty() && packets.empty(); }
  int64_t bytes() const;  // of data and packets
};

// One stream, one thread.
class AudioEncoder {
 public:
  virtual ~AudioEncoder() = default;
  virtual EncodedAudio Append(absl::Span<const float> samples) = 0;  // mono, [-1, 1]
  // The rest. Call once, last.
  virtual EncodedAudio Finish() = 0;

  // Bytes that precede the media: the WAV header; else empty.
  virtual std::string header() const { return ""; }
  // Samples at 48 kHz to drop from the start of the decoded stream; 0 except for Opus.
  virtual int pre_skip() const { return 0; }
};

// kInvalidArgument for a rate, bit rate or frame that the encoding cannot have; kUnimplemented
// NOT_SUPPORTED for encodings that are not served yet (FLOAT32, MULAW, ALAW, OGG_OPUS).
absl::StatusOr<std::unique_ptr<AudioEncoder>> NewAudioEncoder(const AudioFormat& format);

// No run of Append calls with `samples` samples in total returns more bytes than this, whatever
// came before, Finish included. `format` must be one that NewAudioEncoder accepts. Header excluded.
int64_t MaxEncodedBytes(const AudioFormat& format, int64_t samples);

}  // namespace firstbyte
