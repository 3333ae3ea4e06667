// What every stream is given: the parts of the server it works with, and its transport.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/strand.h"
#include "server/scheduler/engine.h"
#include "server/stream/stream_observer.h"

namespace firstbyte {

class LiveStreams;
class Tracer;
class WorldStore;

// Which call a stream belongs to, for logs.
struct CallId {
  std::string request_id;   // until the client's first message names another
  std::string traceparent;  // W3C Trace Context; empty: the client sent none
};

// The transport's side. Called on any thread, without the stream's lock; may call back into it.
class StreamTransport {
 public:
  virtual ~StreamTransport() = default;
  virtual void WakeWriter() = 0;  // Next() may have something
  virtual void WakeReader() = 0;  // ReadyForMore() may have become true
  virtual CallId call() const { return {}; }
};

// What all streams of a server share. Outlives them.
struct StreamContext {
  Engine* engine = nullptr;
  ThreadPool* pool = nullptr;
  StreamObserver* observer = nullptr;
  WorldStore* worlds = nullptr;         // for world streams
  LiveStreams* live_streams = nullptr;  // where streams show themselves, if anywhere
  Tracer* tracer = nullptr;
  bool keep_inputs = false;  // lanes are told what was said, for a flight recorder
  const Clock* clock = &Clock::Steady();
  absl::Duration default_max_lead = absl::Seconds(4);
  int max_calls = 4096;  // streams at once, admitted or not
  // A client that takes nothing for this long is ended. Transports see to it.
  absl::Duration slow_consumer_timeout = absl::Seconds(30);
  // Worlds: what a session may last and how long it may say nothing. A client can ask for less.
  absl::Duration max_world_duration = absl::Hours(4);
  absl::Duration max_world_idle = absl::Seconds(60);
};

}  // namespace firstbyte
