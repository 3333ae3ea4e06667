// The player sink: PCM16 through a pipe to whichever player the machine has.
#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <sys/wait.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/audio_sink.h"
#include "client/chunk_decoder.h"

extern char** environ;

namespace firstbyte {
namespace {

std::vector<std::string> PlayerCommand(const std::string& player, int rate, int channels) {
  std::string r = absl::StrCat(rate), c = absl::StrCat(channels);
  std::string name = player.substr(player.rfind('/') + 1);
  if (name == "aplay") return {player, "-q", "-t", "raw", "-f", "S16_LE", "-r", r, "-c", c, "-"};
  if (name == "paplay") {
    return {player, "--raw", "--format=s16le", absl::StrCat("--rate=", r),
            absl::StrCat("--channels=", c)};
  }
  if (name == "ffplay") {
    return {player, "-nodisp", "-autoexit", "-loglevel", "error", "-f", "s16le", "-ar", r, "-"};
  }
  return {player, "-q", "-t", "raw", "-e", "signed", "-b", "16", "-r", r, "-c", c, "-"};
}

// This process blocks SIGINT and ignores SIGPIPE; a player must not inherit that.
posix_spawnattr_t OwnSignals() {
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, pipe;
  sigemptyset(&none);
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &pipe);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  return attributes;
}

class PlayerSink : public AudioSink {
 public:
  PlayerSink(std::string player, bool quiet) : player_(std::move(player)), quiet_(quiet) {}

  ~PlayerSink() override {
    if (pid_ > 0) kill(pid_, SIGTERM);
    Close().IgnoreError();
  }

  absl::Status Start(const v1::AudioFormat& format) override {
    auto decoder = ChunkDecoder::Create(format);
    if (!decoder.ok()) return decoder.status();
    decoder_ = *std::move(decoder);
    return Spawn(PlayerCommand(player_, format.sample_rate_hertz(), format.channel_count()));
  }

  absl::Status Write(const v1::AudioChunk& chunk) override {
    auto pcm16 = decoder_->Pcm16(chunk);
    if (!pcm16.ok()) return pcm16.status();
    absl::string_view left = *pcm16;
    while (!left.empty()) {
      ssize_t written = write(pipe_, left.data(), left.size());  // SIGPIPE is ignored by main
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return absl::UnavailableError(absl::StrCat(player_, " stopped playing"));
      left.remove_prefix(written);
    }
    return absl::OkStatus();
  }

  absl::Status Close() override {
    if (pipe_ >= 0) close(std::exchange(pipe_, -1));
    if (pid_ <= 0) return absl::OkStatus();
    int result = 0;
    waitpid(std::exchange(pid_, 0), &result, 0);
    if (WIFEXITED(result) && WEXITSTATUS(result) == 0) return absl::OkStatus();
    return absl::UnavailableError(absl::StrCat(player_, " could not play"));
  }

 private:
  absl::Status Spawn(const std::vector<std::string>& command) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "cannot make a pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
    if (quiet_) {
      for (int output : {STDOUT_FILENO, STDERR_FILENO}) {
        posix_spawn_file_actions_addopen(&actions, output, "/dev/null", O_WRONLY, 0);
      }
    }
    std::vector<char*> argv;
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    posix_spawnattr_t attributes = OwnSignals();
    int error = posix_spawn(&pid_, command[0].c_str(), &actions, &attributes, argv.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[0]);
    pipe_ = ends[1];
    if (error != 0) {
      pid_ = 0;
      return absl::ErrnoToStatus(error, absl::StrCat("cannot start ", command[0]));
    }
    return absl::OkStatus();
  }

  const std::string player_;
  const bool quiet_;
  std::unique_ptr<ChunkDecoder> decoder_;
  pid_t pid_ = 0;
  int pipe_ = -1;
};

}  // namespace

std::string FindPlayer() {
  const char* path = std::getenv("PATH");
  for (const char* name : {"aplay", "paplay", "ffplay", "play"}) {
    for (absl::string_view folder : absl::StrSplit(path != nullptr ? path : "", ':')) {
      std::string candidate = absl::StrCat(folder, "/", name);
      if (access(candidate.c_str(), X_OK) == 0) return candidate;
    }
  }
  return "";
}

std::unique_ptr<AudioSink> NewPlayerSink(std::string player, bool quiet) {
  return std::make_unique<PlayerSink>(std::move(player), quiet);
}

}  // namespace firstbyte
