// A capture as Chrome trace JSON, which chrome://tracing and ui.perfetto.dev open.
#pragma once

#include <string>

#include "base/trace.h"

namespace firstbyte {

// Written piece by piece, because a long capture is tens of megabytes of text. Times are
// microseconds since the first span; threads are named if they still exist.
class TraceJson {
 public:
  explicit TraceJson(Tracer::Capture capture);

  // About `bytes` more of the file; empty at its end.
  std::string Next(size_t bytes);

 private:
  void Head(std::string* out) const;
  void Add(const Span& span, std::string* out) const;

  const Tracer::Capture capture_;
  size_t next_ = 0;  // span
  enum class At { kHead, kSpans, kEnd } at_ = At::kHead;
};

}  // namespace firstbyte
