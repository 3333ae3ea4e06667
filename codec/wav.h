// RIFF/WAVE with 16-bit PCM: the header of a stream, a file writer, a small reader.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace firstbyte {

// A size nobody knows yet: players read to the end of the stream.
inline constexpr uint32_t kUnknownWavSize = 0xFFFFFFFF;

// The 44 bytes before the samples. `data_bytes` = kUnknownWavSize while streaming.
std::string WavHeader(int sample_rate_hertz, int channels, uint32_t data_bytes);

// Writes PCM16 to a file. Until Close() the header says "unknown size", which players accept, so
// that even a killed process leaves a playable file. One thread.
class WavFile {
 public:
  // kPermissionDenied, kNotFound and the like, naming `path`, when it cannot be created.
  static absl::StatusOr<std::unique_ptr<WavFile>> Create(const std::string& path,
                                                         int sample_rate_hertz, int channels);
  ~WavFile();  // closes; errors are then lost
  WavFile(const WavFile&) = delete;
  WavFile& operator=(const WavFile&) = delete;

  absl::Status Write(absl::string_view pcm16);
  // Writes the true sizes into the header. Idempotent.
  absl::Status Close();

 private:
  WavFile(std::FILE* file, std::string path, int sample_rate_hertz, int channels)
      : file_(file),
        path_(std::move(path)),
        sample_rate_hertz_(sample_rate_hertz),
        channels_(channels) {}

  std::FILE* file_;  // owned; null once closed
  const std::string path_;
  const int sample_rate_hertz_;
  const int channels_;
  uint64_t data_bytes_ = 0;
};

struct WavAudio {
  int sample_rate_hertz = 0;
  int channels = 0;
  std::string pcm16;  // interleaved, little-endian
};

// Reads 16-bit PCM WAV: unknown chunks are skipped, an unknown or overlong data size means "to the
// end". Anything else is kInvalidArgument that says what is wrong. Never reads past `bytes`.
absl::StatusOr<WavAudio> ParseWav(absl::string_view bytes);

}  // namespace firstbyte
