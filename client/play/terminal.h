// The terminal as a game's screen: no echo, no line editing, a screen of its own; and whatever
// happens, the terminal is as it was before.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace firstbyte {

// At most one at a time. One thread, but for Restore().
//
// Restored by the destructor, and by handlers of the signals that end a process without unwinding
// (SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGHUP, SIGQUIT). SIGINT and SIGTERM are
// SignalWatch's; Ctrl-C still makes a SIGINT. Ctrl-Z does nothing.
class Terminal {
 public:
  // kFailedPrecondition when standard input or output is not a terminal.
  static absl::StatusOr<std::unique_ptr<Terminal>> Take();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // Gives the terminal back. Any thread, even a signal handler; idempotent.
  static void Restore();

  struct Size {
    int columns = 80, rows = 24;
  };
  Size size() const;  // now
  // What was typed; empty: nothing, or the terminal is gone. Call when input_fd() is readable.
  std::string Read();
  void Write(absl::string_view text);
  int input_fd() const;
  bool gone() const { return gone_; }  // hung up

 private:
  Terminal() = default;
  bool gone_ = false;
};

}  // namespace firstbyte
