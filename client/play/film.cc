#include "client/play/film.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/play/film_kinds.h"
#include "codec/image.h"
#include "codec/wav.h"

namespace firstbyte {
namespace {

absl::Status WriteFile(const std::string& path, absl::string_view bytes) {
  std::FILE* file = std::fopen(path.c_str(), "wbe");
  if (file == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
  bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  if (std::fclose(file) == 0 && written) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
}

// The sound alone.
class SoundFilm : public Film {
 public:
  explicit SoundFilm(std::string path) : path_(std::move(path)) {}

  absl::Status Start(const FilmFormat& format) override {
    if (format.sample_rate_hertz == 0) {
      return absl::FailedPreconditionError(absl::StrCat(path_, ": this world has no sound"));
    }
    auto wav = WavFile::Create(path_, format.sample_rate_hertz, 1);
    if (!wav.ok()) return wav.status();
    wav_ = *std::move(wav);
    return absl::OkStatus();
  }
  absl::Status AddFrame(const RgbImage&) override { return absl::OkStatus(); }
  absl::Status AddSound(absl::string_view pcm16) override { return wav_->Write(pcm16); }
  absl::Status Close() override { return wav_ == nullptr ? absl::OkStatus() : wav_->Close(); }

 private:
  const std::string path_;
  std::unique_ptr<WavFile> wav_;
};

// A picture a frame, and the sound.
class FolderFilm : public Film {
 public:
  explicit FolderFilm(std::string folder) : folder_(std::move(folder)) {}

  absl::Status Start(const FilmFormat& format) override {
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    if (error) {
      return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot make ", folder_));
    }
    if (format.sample_rate_hertz == 0) return absl::OkStatus();
    sound_ = std::make_unique<SoundFilm>(folder_ + "sound.wav");
    return sound_->Start(format);
  }
  absl::Status AddFrame(const RgbImage& frame) override {
    auto status = EncodeImage(frame.data, frame.width, frame.height, ImageFormat::kPng, 0, &bytes_);
    if (!status.ok()) return status;
    return WriteFile(absl::StrFormat("%sframe_%06d.png", folder_, frames_++), bytes_);
  }
  absl::Status AddSound(absl::string_view pcm16) override {
    return sound_ == nullptr ? absl::OkStatus() : sound_->AddSound(pcm16);
  }
  absl::Status Close() override { return sound_ == nullptr ? absl::OkStatus() : sound_->Close(); }

 private:
  const std::string folder_;  // ends in '/'
  std::unique_ptr<SoundFilm> sound_;
  std::string bytes_;
  int frames_ = 0;
};

}  // namespace

std::string FindProgram(const std::string& program) {
  const char* path = std::getenv("PATH");
  for (absl::string_view folder : absl::StrSplit(path != nullptr ? path : "", ':')) {
    std::string candidate = absl::StrCat(folder, "/", program);
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

absl::StatusOr<std::unique_ptr<Film>> NewFilm(const std::string& path) {
  std::error_code error;
  if (absl::EndsWith(path, "/")) return std::make_unique<FolderFilm>(path);
  if (std::filesystem::is_directory(path, error)) return std::make_unique<FolderFilm>(path + "/");
  if (absl::EndsWith(path, ".wav")) return std::make_unique<SoundFilm>(path);
  if (absl::EndsWith(path, ".png")) return NewStripFilm(path);
  if (absl::EndsWith(path, ".avi")) return NewAviFilm(path);
  for (const char* ending : {".mp4", ".mkv", ".webm", ".mov"}) {
    if (!absl::EndsWith(path, ending)) continue;
    std::string ffmpeg = FindProgram("ffmpeg");
    if (!ffmpeg.empty()) return NewEncodedFilm(path, ffmpeg);
    return absl::InvalidArgumentError(absl::StrCat(
        path, " needs ffmpeg, which is not in PATH; an .avi file needs nothing and has sound too"));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      path, ": name a .png (strip), .avi, .mp4, .mkv, .webm, .mov or .wav file, or a folder/"));
}

}  // namespace firstbyte
