// Walks by hand: a terminal shows the world and its keys move the player.
#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "base/image.h"
#include "base/mutex.h"
#include "client/play/figures.h"
#include "client/play/half_blocks.h"
#include "client/play/keys.h"
#include "client/play/show.h"
#include "client/play/terminal.h"
#include "client/world_stream.h"

namespace firstbyte {

// How a walk by hand ended.
enum class HandEnd {
  kQuit,   // q: the world is to be closed
  kLeave,  // Q, a signal, a terminal that hung up: it is to wait for a resume
  kOver,   // the stream ended by itself
};

// A thread reads the stream; the caller's draws the newest picture and reads keys. The first
// message, `opened`, has been taken.
class ByHand {
 public:
  struct Options {
    bool lockstep = false;  // each keystroke is a block
    ColourDepth colours = ColourDepth::k256;
    std::string prompt;  // in effect at first, for the status line
  };

  ByHand(Options options, WorldStream* stream, Show* show, PlayFigures* figures);
  ~ByHand();

  // Until the player leaves. The stream may still have messages: take them when this is gone. The
  // error is a film's, or of a picture that does not decode.
  absl::Status Run(Terminal* terminal, HandEnd* end);
  // Leaves soon. Any thread.
  void Stop();
  // Reads the rest of the stream and returns its error, if any. Call once, after Run.
  absl::Status Join();

 private:
  void ReadStream();
  void Wake();
  void Type(const Keystroke& stroke);
  void EditPrompt(const Keystroke& stroke);
  void SendActions(bool new_block);
  void Draw(Terminal* terminal);
  std::string StatusLine() const;
  int PollTimeoutMs() const;

  const Options options_;
  WorldStream* const stream_;
  Show* const show_;  // the reader's, once it runs
  PlayFigures* const figures_;
  const std::string model_;
  const std::string help_;  // which keys do what

  // The player's thread.
  KeyReader keys_;
  HeldKeys held_;
  HalfBlocks screen_;
  Terminal::Size drawn_ = {0, 0};
  v1::Actions last_sent_;
  int64_t sequence_;
  std::string prompt_;
  bool editing_ = false;
  std::string edited_;
  bool leaving_ = false;
  HandEnd end_ = HandEnd::kLeave;
  bool deed_;  // LOCKSTEP: a key was struck since the last actions were sent

  const int wake_fd_;  // an eventfd: there is something to draw, or to stop for
  std::atomic<bool> stopped_{false};
  Mutex mu_;
  RgbImage newest_ ABSL_GUARDED_BY(mu_);
  bool fresh_ ABSL_GUARDED_BY(mu_) = false;
  bool over_ ABSL_GUARDED_BY(mu_) = false;
  std::string message_ ABSL_GUARDED_BY(mu_);  // for the status line
  absl::Status status_ ABSL_GUARDED_BY(mu_);
  std::thread reader_;
};

}  // namespace firstbyte
