// What streams report for metrics and logs. The server's implementation is in server/rpc.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/stream/speech_messages.h"

namespace firstbyte {

struct RequestRecord {
  std::string method;  // "Synthesize"
  std::string model;   // empty when refused before one was chosen
  bool admitted = false;
  SpeechEnd end;
};

// Thread-safe; called from any thread, must not block.
class StreamObserver {
 public:
  virtual ~StreamObserver() = default;
  virtual void OnStarted(const std::string& method, const std::string& model) {}
  virtual void OnEnded(const RequestRecord& record) {}
  // One audio message was written: the lead after it and, from the second on, the time since the
  // one before.
  virtual void OnChunk(const std::string& model, absl::Duration lead,
                       std::optional<absl::Duration> interval) {}
  virtual void OnUnderrun(const std::string& model, absl::Duration silence) {}
  virtual void OnOutboxBytes(int64_t delta) {}
};

}  // namespace firstbyte
