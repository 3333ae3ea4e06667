#include "client/top/top.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <optional>
#include <utility>

#include <sys/eventfd.h>

#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "client/admin_client.h"
#include "client/exit_codes.h"
#include "client/message_json.h"
#include "client/play/keys.h"
#include "client/play/terminal.h"
#include "client/rpc_status.h"
#include "client/signal_watch.h"
#include "client/top/top_screen.h"

namespace firstbyte {
namespace {

constexpr char kHome[] = "\033[H", kRestOfLine[] = "\033[K", kRestOfScreen[] = "\033[J";
constexpr absl::Duration kMinInterval = absl::Milliseconds(100);

struct Numbers {
  v1::GetServerInfoResponse info;
  v1::GetStatsResponse stats;
};

absl::Status Ask(AdminClient& client, Numbers* numbers) {
  auto info = client.GetServerInfo();
  if (!info.ok()) return info.status();
  auto stats = client.GetStats();
  if (!stats.ok()) return stats.status();
  *numbers = {*std::move(info), *std::move(stats)};
  return absl::OkStatus();
}

void PrintJson(const Numbers& numbers) {
  absl::PrintF("{\"info\":%s,\"stats\":%s}\n", MessageJson(numbers.info),
               MessageJson(numbers.stats));
}

// An event that a signal makes: SIGINT and SIGTERM by way of SignalWatch.
class Event {
 public:
  Event() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~Event() { close(fd_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void Set() const { eventfd_write(fd_, 1); }
  int fd() const { return fd_; }

 private:
  const int fd_;
};

// The screen of a terminal and the keys typed there.
class Watcher {
 public:
  Watcher(AdminClient* client, Terminal* terminal, const std::string& target,
          const Numbers& numbers)
      : client_(*client), terminal_(*terminal), numbers_(numbers) {
    view_.target = target;
    view_.styles = true;
  }

  void Run(absl::Duration interval, int stop_fd) {
    absl::Time next = absl::Now() + interval;
    Draw();
    while (!quit_ && !terminal_.gone()) {
      pollfd fds[] = {{.fd = terminal_.input_fd(), .events = POLLIN},
                      {.fd = stop_fd, .events = POLLIN}};
      const absl::Duration left = std::max(next - absl::Now(), absl::ZeroDuration());
      const int ready = poll(fds, 2, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
      if (ready > 0 && fds[1].revents != 0) return;
      if (ready > 0 && (fds[0].revents & (POLLHUP | POLLERR)) != 0) return;
      if (ready > 0 && fds[0].revents != 0) {
        for (const Keystroke& stroke : keys_.Read(terminal_.Read())) Type(stroke);
      }
      if (absl::Now() >= next) {
        Refresh();
        next = absl::Now() + interval;
      }
      Draw();  // also after SIGWINCH, which ends the poll
    }
  }

 private:
  void Refresh() {
    const absl::Status status = Ask(client_, &numbers_);
    view_.trouble = status.ok() ? "" : ExplainError(status, view_.target);
  }

  void Type(const Keystroke& stroke) {
    if (stroke.released) return;
    const int last = std::max(numbers_.stats.streams_size() - 1, 0);
    if (stroke.key == "up") view_.first = std::max(view_.first - 1, 0);
    if (stroke.key == "down") view_.first = std::min(view_.first + 1, last);
    if (stroke.key == "a") view_.order = TopView::Order::kAge;
    if (stroke.key == "l") view_.order = TopView::Order::kLead;
    quit_ |= stroke.key == "q" || stroke.key == "escape";
  }

  void Draw() {
    const Terminal::Size size = terminal_.size();
    view_.now = absl::Now();
    view_.columns = size.columns;
    view_.rows = size.rows;
    std::string screen = TopScreen(numbers_.info, numbers_.stats, view_);
    screen.pop_back();  // a newline in the last row would scroll
    // Lines are written over the old ones, so that nothing flickers.
    terminal_.Write(kHome + absl::StrReplaceAll(screen, {{"\n", std::string(kRestOfLine) + "\n"}}) +
                    kRestOfLine + kRestOfScreen);
  }

  AdminClient& client_;
  Terminal& terminal_;
  Numbers numbers_;
  TopView view_;
  KeyReader keys_;
  bool quit_ = false;
};

}  // namespace

int Top(const TopOptions& options) {
  absl::Duration interval;
  if (!absl::ParseDuration(options.interval, &interval) || interval < kMinInterval) {
    absl::FPrintF(stderr, "firstbyte: '%s' is not a duration of at least 100ms\n",
                  options.interval);
    return kExitUsage;
  }
  const bool watch = !options.once && !options.json && isatty(STDOUT_FILENO) == 1;
  Event stop;
  std::optional<SignalWatch> signals;  // before gRPC's threads
  if (watch) signals.emplace([&stop] { stop.Set(); }, &Terminal::Restore);
  AdminClient client(options.target);
  Numbers numbers;
  if (absl::Status status = Ask(client, &numbers); !status.ok()) {
    absl::FPrintF(stderr, "firstbyte: %s\n", ExplainError(status, options.target));
    return kExitFailed;
  }
  if (options.json) return PrintJson(numbers), kExitOk;
  auto terminal = watch ? Terminal::Take() : absl::FailedPreconditionError("");
  if (!terminal.ok()) {
    const TopView view{.target = options.target, .now = absl::Now()};
    absl::PrintF("%s", TopScreen(numbers.info, numbers.stats, view));
    return kExitOk;
  }
  std::signal(SIGWINCH, [](int) {});  // ends a poll
  Watcher(&client, terminal->get(), options.target, numbers).Run(interval, stop.fd());
  return kExitOk;
}

}  // namespace firstbyte
