#include "client/play/terminal.h"

#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>

#include <sys/ioctl.h>

#include "absl/status/status.h"

namespace firstbyte {
namespace {

// Another screen, no cursor, and releases of keys where the terminal can report them.
constexpr char kEnter[] = "\033[?1049h\033[?25l\033[2J\033[>11u";
constexpr char kLeave[] = "\033[<u\033[0m\033[?25h\033[?1049l";

constexpr int kFatalSignals[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGHUP, SIGQUIT};

// Note: [terminal state]
// A signal handler gets no argument, so what it needs lives here: set once before `taken`, read
// after. Nothing else in the client is global.
termios saved_settings;
std::atomic<bool> taken{false};

void OnFatalSignal(int signal) {
  Terminal::Restore();
  raise(signal);  // SA_RESETHAND: now with its default action
}

void HandleFatalSignals() {
  struct sigaction action = {};
  action.sa_handler = OnFatalSignal;
  action.sa_flags = SA_RESETHAND | SA_NODEFER;
  for (int signal : kFatalSignals) sigaction(signal, &action, nullptr);
}

void ForgetFatalSignals() {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  for (int signal : kFatalSignals) sigaction(signal, &action, nullptr);
}

void WriteFully(const char* bytes, size_t size) {
  while (size > 0) {
    ssize_t written = write(STDOUT_FILENO, bytes, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    bytes += written;
    size -= static_cast<size_t>(written);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Terminal>> Terminal::Take() {
  if (isatty(STDIN_FILENO) != 1 || isatty(STDOUT_FILENO) != 1) {
    return absl::FailedPreconditionError(
        "walking by hand needs a terminal; --script FILE --out strip.png walks by itself");
  }
  tcgetattr(STDIN_FILENO, &saved_settings);
  taken = true;
  HandleFatalSignals();
  termios settings = saved_settings;
  settings.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | IEXTEN);
  settings.c_iflag &= ~static_cast<tcflag_t>(ICRNL | IXON);
  settings.c_cc[VSUSP] = _POSIX_VDISABLE;  // a stopped player could not restore the terminal
  settings.c_cc[VMIN] = 0;
  settings.c_cc[VTIME] = 0;
  tcsetattr(STDIN_FILENO, TCSANOW, &settings);
  WriteFully(kEnter, sizeof(kEnter) - 1);
  return std::unique_ptr<Terminal>(new Terminal);
}

Terminal::~Terminal() {
  Restore();
  ForgetFatalSignals();
}

void Terminal::Restore() {
  if (!taken.exchange(false)) return;
  WriteFully(kLeave, sizeof(kLeave) - 1);
  tcsetattr(STDIN_FILENO, TCSANOW, &saved_settings);
}

Terminal::Size Terminal::size() const {
  winsize window = {};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0) return {};
  return {window.ws_col, window.ws_row};
}

std::string Terminal::Read() {
  char bytes[4096];
  ssize_t size = read(STDIN_FILENO, bytes, sizeof(bytes));
  if (size < 0 && errno != EINTR && errno != EAGAIN) gone_ = true;
  return size > 0 ? std::string(bytes, static_cast<size_t>(size)) : "";
}

void Terminal::Write(absl::string_view text) { WriteFully(text.data(), text.size()); }

int Terminal::input_fd() const { return STDIN_FILENO; }

}  // namespace firstbyte
