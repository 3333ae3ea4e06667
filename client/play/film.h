// Where the pictures and the sound of a walk go: a strip, a film, a folder of frames, a sound file.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/image.h"

namespace firstbyte {

struct FilmFormat {
  int width = 0, height = 0;  // pixels
  double frames_per_second = 0;
  int sample_rate_hertz = 0;  // mono; 0: silent
};

// One thread. Start once, add any number of times, Close at the end: after it, and in whatever
// state the walk ended, what was written is complete.
class Film {
 public:
  virtual ~Film() = default;
  virtual absl::Status Start(const FilmFormat& format) = 0;
  virtual absl::Status AddFrame(const RgbImage& frame) = 0;
  virtual absl::Status AddSound(absl::string_view pcm16) = 0;
  virtual absl::Status Close() = 0;
};

// By the ending of `path`:
//   .png                  a strip: at most 48 frames, evenly spaced over the walk, in rows
//   .avi                  a film with sound: JPEG pictures, PCM sound
//   .mp4 .mkv .webm .mov  the same through ffmpeg; kInvalidArgument when it is not in PATH
//   .wav                  the sound alone
//   /                     a folder with frame_000000.png ... and sound.wav
// Small pictures are enlarged, each pixel to a square, in strips and films. Nothing is written
// before Start: a refused request leaves no empty file.
absl::StatusOr<std::unique_ptr<Film>> NewFilm(const std::string& path);

// Path of `program` in PATH; empty when it is not there.
std::string FindProgram(const std::string& program);

}  // namespace firstbyte
