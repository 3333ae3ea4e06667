// Films with sound: our own AVI, and whatever ffmpeg makes of it.
#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include <sys/wait.h>

#include "absl/strings/str_cat.h"
#include "client/play/film_kinds.h"
#include "client/play/scale.h"
#include "codec/avi.h"
#include "codec/image.h"

extern char** environ;

namespace firstbyte {
namespace {

constexpr int kWatchableWidth = 480;  // pixels: smaller pictures are enlarged to this and a bit
constexpr int kQuality = 92;

class AviFilm : public Film {
 public:
  explicit AviFilm(std::string path) : path_(std::move(path)) {}

  absl::Status Start(const FilmFormat& format) override {
    factor_ = std::max(1, (kWatchableWidth + format.width - 1) / format.width);
    auto avi = AviFile::Create(path_, {format.width * factor_, format.height * factor_,
                                       format.frames_per_second, format.sample_rate_hertz});
    if (!avi.ok()) return avi.status();
    avi_ = *std::move(avi);
    return absl::OkStatus();
  }
  absl::Status AddFrame(const RgbImage& frame) override {
    const RgbImage large = Enlarge(frame, factor_);
    auto status =
        EncodeImage(large.data, large.width, large.height, ImageFormat::kJpeg, kQuality, &jpeg_);
    return status.ok() ? avi_->AddFrame(jpeg_) : status;
  }
  absl::Status AddSound(absl::string_view pcm16) override { return avi_->AddSound(pcm16); }
  absl::Status Close() override { return avi_ == nullptr ? absl::OkStatus() : avi_->Close(); }

 private:
  const std::string path_;
  int factor_ = 1;
  std::unique_ptr<AviFile> avi_;
  std::string jpeg_;
};

// Runs `command`, silently; its exit code, or -1.
int RunCommand(const std::vector<std::string>& command) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  }
  pid_t pid = 0;
  int error = posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  if (error != 0 || waitpid(pid, &status, 0) != pid) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class EncodedFilm : public Film {
 public:
  EncodedFilm(std::string path, std::string ffmpeg)
      : path_(std::move(path)),
        ffmpeg_(std::move(ffmpeg)),
        avi_path_(path_ + ".part.avi"),
        avi_(avi_path_) {}

  absl::Status Start(const FilmFormat& format) override { return avi_.Start(format); }
  absl::Status AddFrame(const RgbImage& frame) override { return avi_.AddFrame(frame); }
  absl::Status AddSound(absl::string_view pcm16) override { return avi_.AddSound(pcm16); }
  absl::Status Close() override {
    if (access(avi_path_.c_str(), F_OK) != 0) return absl::OkStatus();  // not started, or done
    if (auto status = avi_.Close(); !status.ok()) return status;
    // yuv420p with even sides is what every player shows.
    int code = RunCommand({ffmpeg_, "-y", "-loglevel", "error", "-i", avi_path_, "-pix_fmt",
                           "yuv420p", "-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2", path_});
    if (code != 0) {
      return absl::InternalError(
          absl::StrCat("ffmpeg did not make ", path_, "; the film is in ", avi_path_));
    }
    unlink(avi_path_.c_str());
    return absl::OkStatus();
  }

 private:
  const std::string path_, ffmpeg_, avi_path_;
  AviFilm avi_;
};

}  // namespace

std::unique_ptr<Film> NewAviFilm(std::string path) {
  return std::make_unique<AviFilm>(std::move(path));
}
std::unique_ptr<Film> NewEncodedFilm(std::string path, std::string ffmpeg) {
  return std::make_unique<EncodedFilm>(std::move(path), std::move(ffmpeg));
}

}  // namespace firstbyte
