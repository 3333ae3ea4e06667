#include "base/trace.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

namespace firstbyte {

void Span::SetLabel(absl::string_view text) {
  const size_t size = std::min(text.size(), label.size() - 1);
  std::copy_n(text.begin(), size, label.begin());
  label[size] = '\0';
}

bool Tracer::Start() {
  if (started_.exchange(true)) return false;
  on_ = true;
  return true;
}

Tracer::Capture Tracer::Stop() {
  on_ = false;
  Capture capture;
  for (Ring& ring : rings_) {
    MutexLock lock(&ring.mu);  // a span that is just being recorded comes with this capture
    capture.spans.insert(capture.spans.end(), ring.spans.begin(), ring.spans.end());
    capture.dropped += std::exchange(ring.dropped, 0);
    std::vector<Span>().swap(ring.spans);
    ring.next = 0;
  }
  std::sort(capture.spans.begin(), capture.spans.end(),
            [](const Span& a, const Span& b) { return a.begin < b.begin; });
  started_ = false;
  return capture;
}

void Tracer::Record(Span span) {
  span.thread = gettid();
  Ring& ring = rings_[span.thread % kRings];
  MutexLock lock(&ring.mu);
  if (!on_) return;
  if (ring.spans.size() < kSpansPerRing) return ring.spans.push_back(span);
  ring.spans[ring.next] = span;
  ring.next = (ring.next + 1) % kSpansPerRing;
  ++ring.dropped;
}

void TraceWrite(Tracer* tracer, absl::Time begin, absl::string_view stream) {
  if (tracer == nullptr || !tracer->on()) return;
  Span span{.name = "write", .begin = begin, .end = Clock::Steady().Now(), .apart = true};
  span.SetLabel(stream);
  tracer->Record(span);
}

void TraceSpan::Begin(absl::string_view name) {
  span_.name = name;
  span_.begin = Clock::Steady().Now();
}

void TraceSpan::End() {
  span_.end = Clock::Steady().Now();
  tracer_->Record(span_);
}

}  // namespace firstbyte
