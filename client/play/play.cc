#include "client/play/play.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"
#include "client/exit_codes.h"
#include "client/play/by_hand.h"
#include "client/play/open_request.h"
#include "client/play/walk.h"
#include "client/rpc_status.h"
#include "client/signal_watch.h"
#include "client/world_client.h"

namespace firstbyte {
namespace {

constexpr ResumePolicy kResume = {.attempts = 8};  // half a minute in all

int Complain(const absl::Status& status, int exit_code) {
  absl::FPrintF(stderr, "firstbyte: %s\n", std::string(status.message()));
  return exit_code;
}

absl::StatusOr<std::vector<ScriptStep>> ReadScript(const std::string& path) {
  std::ostringstream text;
  if (path == "-") {
    text << std::cin.rdbuf();
  } else {
    std::ifstream file(path);
    if (!file) return absl::InvalidArgumentError(absl::StrCat("cannot read ", path));
    text << file.rdbuf();
  }
  auto steps = ParseScript(text.str());
  if (steps.ok()) return steps;
  return absl::InvalidArgumentError(absl::StrCat(path, ", ", steps.status().message()));
}

absl::StatusOr<std::vector<std::unique_ptr<Film>>> Films(const PlayOptions& options) {
  std::vector<std::unique_ptr<Film>> films;
  std::vector<std::string> paths = options.out;
  if (!options.audio_out.empty()) paths.push_back(options.audio_out);
  for (const std::string& path : paths) {
    auto film = NewFilm(path);
    if (!film.ok()) return film.status();
    films.push_back(*std::move(film));
  }
  return films;
}

// One run of the command.
class PlayRun {
 public:
  PlayRun(const PlayOptions& options, std::vector<ScriptStep> script,
          std::vector<std::unique_ptr<Film>> films)
      : options_(options),
        by_hand_(options.script.empty()),
        script_(std::move(script)),
        watch_(
            std::in_place, [this] { Interrupt(); }, [] { Terminal::Restore(); }),
        client_(options.target),
        show_(std::move(films), Player(options), &figures_) {}

  int Run() {
    auto open = MakeOpenRequest(options_, &client_);
    if (!open.ok()) return Explain(open.status());
    lockstep_ = open->pacing() == v1::PACING_LOCKSTEP;
    {
      MutexLock lock(&mu_);
      stream_ = client_.Open(*open, kResume);
      if (interrupted_) stream_->Cancel();
    }
    v1::StepWorldResponse response;
    absl::Status status;
    if (stream_->Next(&response)) {
      status = show_.Take(response);
      if (status.ok()) status = by_hand_ ? PlayByHand() : PlayScript();
    }
    return End(status);
  }

 private:
  static std::unique_ptr<AudioSink> Player(const PlayOptions& options) {
    if (!options.script.empty() || options.mute) return nullptr;
    std::string player = FindPlayer();
    return player.empty() ? nullptr : NewPlayerSink(player, /*quiet=*/true);
  }

  void Interrupt() {
    MutexLock lock(&mu_);
    interrupted_ = true;
    if (hand_ != nullptr) {
      hand_->Stop();
    } else if (stream_ != nullptr) {
      stream_->Cancel();
    }
  }

  absl::Status PlayByHand() {
    auto terminal = Terminal::Take();
    if (!terminal.ok()) return terminal.status();
    ColourDepth colours = options_.colours == "truecolor" ? ColourDepth::kTrueColour
                          : options_.colours == "256"     ? ColourDepth::k256
                                                          : TerminalColours();
    ByHand hand({lockstep_, colours, options_.prompt}, stream_.get(), &show_, &figures_);
    {
      MutexLock lock(&mu_);
      hand_ = &hand;
      if (interrupted_) hand.Stop();
    }
    HandEnd end;
    absl::Status status = hand.Run(terminal->get(), &end);
    {
      MutexLock lock(&mu_);
      hand_ = nullptr;
    }
    *terminal = nullptr;  // the closing lines belong on the old screen
    left_ = end == HandEnd::kLeave;
    if (end == HandEnd::kQuit) stream_->Control(v1::CONTROL_KIND_CLOSE).IgnoreError();
    if (left_) stream_->Cancel();
    absl::Status read = hand.Join();
    return status.ok() ? read : status;
  }

  absl::Status PlayScript() {
    if (auto status = CheckScript(script_, show_.opened().action_vocabulary()); !status.ok()) {
      if (options_.resume.empty()) Drain();  // a new world that nobody walked is not left behind
      return absl::InvalidArgumentError(absl::StrCat(options_.script, ", ", status.message()));
    }
    WalkOptions walk{lockstep_, [this](int64_t blocks, const v1::StepWorldResponse& response) {
                       ShowProgress(blocks, response);
                     }};
    absl::Status status = Walk(script_, walk, stream_.get(), &show_, &figures_);
    left_ = options_.keep;
    if (!status.ok() || left_) {
      stream_->Cancel();
    } else {
      stream_->EndInput().IgnoreError();
    }
    v1::StepWorldResponse response;
    while (stream_->Next(&response)) {
      if (status.ok()) status = show_.Take(response);
    }
    return status;
  }

  void Drain() {
    stream_->EndInput().IgnoreError();
    v1::StepWorldResponse unread;
    while (stream_->Next(&unread)) {
    }
  }

  void ShowProgress(int64_t blocks, const v1::StepWorldResponse& response) {
    constexpr int kEvery = 20;
    if (response.has_snapshot()) {
      std::printf("%s\n", response.snapshot().snapshot_id().c_str());
      std::fflush(stdout);
    }
    if (!response.has_block() || blocks % kEvery != 0 || isatty(STDERR_FILENO) != 1) return;
    progress_shown_ = true;
    absl::FPrintF(stderr, "\r%d blocks", blocks);
  }

  int Explain(const absl::Status& status) {
    if (status.code() == absl::StatusCode::kInvalidArgument && !status.message().empty() &&
        DetailOf(status).reason == "INVALID_ARGUMENT") {
      return Complain(status, kExitUsage);  // our own
    }
    absl::FPrintF(stderr, "firstbyte: %s\n", ExplainError(status, options_.target));
    return kExitFailed;
  }

  int End(absl::Status status) {
    v1::StepWorldResponse unread;
    if (!status.ok()) stream_->Cancel();
    while (stream_->Next(&unread)) {
    }
    const absl::Status rpc_status = stream_->Finish();
    watch_.reset();  // nothing is left to cancel
    const absl::Status closed = show_.Close(interrupted_ || left_);
    if (progress_shown_) std::fputs("\r\033[K", stderr);
    if (status.ok()) status = closed;
    const bool walked = show_.last_block() >= 0;
    if (walked) {
      absl::FPrintF(stderr, "firstbyte: %s\n", figures_.Summary(show_.opened().fps()));
    }
    for (const v1::WorldSnapshot& snapshot : show_.snapshots()) {
      absl::FPrintF(stderr, "firstbyte: saved before block %d; firstbyte fork %s\n",
                    snapshot.block(), snapshot.snapshot_id());
    }
    if ((walked || left_) && !show_.closed_by_server()) SayHowToGoOn();
    if (interrupted_) return kExitInterrupted;
    // A script that ended early is explained by how the stream ended, unless we ended it.
    const bool ours = left_ || absl::IsCancelled(rpc_status);
    if (!status.ok() && !(absl::IsCancelled(status) && !ours)) return Explain(status);
    if (!rpc_status.ok() && !ours) return Explain(rpc_status);
    return kExitOk;
  }

  void SayHowToGoOn() {
    absl::FPrintF(stderr,
                  "firstbyte: the world waits: firstbyte play --resume %s --token %s "
                  "--last-block %d\n",
                  show_.opened().session_id(), show_.opened().token(), show_.last_block());
  }

  const PlayOptions& options_;
  const bool by_hand_;
  const std::vector<ScriptStep> script_;
  Mutex mu_;
  bool interrupted_ = false;  // under mu_ while the watch lives
  std::unique_ptr<WorldStream> stream_;
  ByHand* hand_ ABSL_GUARDED_BY(mu_) = nullptr;
  std::optional<SignalWatch> watch_;  // before gRPC makes threads
  WorldClient client_;
  PlayFigures figures_;
  Show show_;
  bool lockstep_ = false, left_ = false, progress_shown_ = false;
};

}  // namespace

int Play(const PlayOptions& options) {
  if (auto status = CheckPlayOptions(options); !status.ok()) return Complain(status, kExitUsage);
  std::vector<ScriptStep> script;
  if (!options.script.empty()) {
    auto steps = ReadScript(options.script);
    if (!steps.ok()) return Complain(steps.status(), kExitUsage);
    script = *std::move(steps);
  } else if (isatty(STDIN_FILENO) != 1 || isatty(STDOUT_FILENO) != 1) {
    return Complain(Terminal::Take().status(), kExitUsage);
  }
  auto films = Films(options);
  if (!films.ok()) return Complain(films.status(), kExitUsage);
  return PlayRun(options, std::move(script), *std::move(films)).Run();
}

}  // namespace firstbyte
