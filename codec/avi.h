// A film without an encoder: JPEG pictures and PCM16 sound in an AVI file, which VLC, mpv, ffmpeg
// and most players read.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace firstbyte {

struct AviFormat {
  int width = 0, height = 0;  // pixels
  double frames_per_second = 0;
  int sample_rate_hertz = 0;  // mono; 0: a silent film
};

// One thread. Pictures and sound may come in any order; each has its own clock.
class AviFile {
 public:
  // kPermissionDenied, kNotFound and the like, naming `path`, when it cannot be created.
  static absl::StatusOr<std::unique_ptr<AviFile>> Create(const std::string& path,
                                                         const AviFormat& format);
  ~AviFile();  // closes; errors are then lost
  AviFile(const AviFile&) = delete;
  AviFile& operator=(const AviFile&) = delete;

  absl::Status AddFrame(absl::string_view jpeg);
  absl::Status AddSound(absl::string_view pcm16);  // whole samples
  // Writes the index and the true sizes. Idempotent. Not closed, it is not a film.
  absl::Status Close();

 private:
  AviFile(std::FILE* file, std::string path, const AviFormat& format);
  absl::Status AddChunk(absl::string_view id, absl::string_view data);
  absl::Status Write(absl::string_view bytes);
  std::string Header() const;

  std::FILE* file_;  // owned; null once closed
  const std::string path_;
  const AviFormat format_;
  std::string index_;        // of `idx1`
  uint64_t movi_bytes_ = 4;  // of the list with the media, its name included
  uint32_t frames_ = 0, samples_ = 0, largest_chunk_ = 0;
};

}  // namespace firstbyte
