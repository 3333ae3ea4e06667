// From the audio messages of any encoding to plain PCM.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "codec/opus.h"
#include "firstbyte/v1/common.pb.h"

namespace firstbyte {

// Position of the end of `chunk` in its stream, in samples at `sample_rate_hertz`.
int64_t EndSample(const v1::AudioChunk& chunk, int sample_rate_hertz);

// One stream, one thread.
class ChunkDecoder {
 public:
  // `format` from the stream's `started`. kUnimplemented for encodings this client does not read.
  static absl::StatusOr<std::unique_ptr<ChunkDecoder>> Create(const v1::AudioFormat& format);

  // PCM16, little-endian. Opus padding is cut by the duration that each chunk states.
  absl::StatusOr<std::string> Pcm16(const v1::AudioChunk& chunk);

 private:
  explicit ChunkDecoder(int sample_rate_hertz) : sample_rate_hertz_(sample_rate_hertz) {}

  const int sample_rate_hertz_;
  std::unique_ptr<OpusStreamDecoder> opus_;  // null: the data is PCM16 already
  int64_t decoded_ = 0;                      // Opus samples given out so far
};

}  // namespace firstbyte
