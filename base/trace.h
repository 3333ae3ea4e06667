// Spans of time, recorded on demand and shown by chrome://tracing or Perfetto.
//
// Off, a span costs one relaxed load. On, it goes into one of a few rings, chosen by the thread, so
// that threads seldom meet; each ring keeps the newest kSpansPerRing. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace firstbyte {

struct Span {
  absl::string_view name;           // lives for ever: a literal
  absl::Time begin, end;            // Clock::Steady()
  std::array<char, 24> label = {};  // such as a model; cut, ends in NUL
  int64_t id = 0;                   // of a session or stream; 0: none
  int batch = 0, frames = 0;        // 0: none
  // Not the work of the thread that records it, so it need not nest with the thread's other spans.
  bool apart = false;
  int thread = 0;  // set by Tracer

  void SetLabel(absl::string_view text);
};

class Tracer {
 public:
  static constexpr int kRings = 16;
  static constexpr size_t kSpansPerRing = 1 << 16;

  bool on() const { return on_.load(std::memory_order_relaxed); }

  // False: a capture is running already.
  bool Start();
  struct Capture {
    std::vector<Span> spans;  // by begin
    int64_t dropped = 0;      // older ones that did not fit
  };
  // Ends the capture that Start() began.
  Capture Stop();

  // Dropped when no capture is running.
  void Record(Span span);

 private:
  struct Ring {
    Mutex mu;
    std::vector<Span> spans ABSL_GUARDED_BY(mu);
    size_t next ABSL_GUARDED_BY(mu) = 0;  // where the oldest is, once it is full
    int64_t dropped ABSL_GUARDED_BY(mu) = 0;
  };

  std::atomic<bool> on_ = false;
  std::atomic<bool> started_ = false;
  std::array<Ring, kRings> rings_;
};

// Records that a message of `stream`, a request id, was with the transport from `begin` until now.
// `tracer` may be null.
void TraceWrite(Tracer* tracer, absl::Time begin, absl::string_view stream);

// A span from here to the end of the block.
class TraceSpan {
 public:
  // `tracer` may be null.
  TraceSpan(Tracer* tracer, absl::string_view name)
      : tracer_(tracer != nullptr && tracer->on() ? tracer : nullptr) {
    if (tracer_) Begin(name);
  }
  ~TraceSpan() {
    if (tracer_) End();
  }
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

  // To say more of it.
  Span* operator->() { return &span_; }
  explicit operator bool() const { return tracer_ != nullptr; }

 private:
  void Begin(absl::string_view name);
  void End();

  Tracer* const tracer_;
  Span span_;
};

}  // namespace firstbyte
