// What streams report for metrics and logs. The server's implementation is in server/rpc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/stream/speech_messages.h"
#include "server/stream/world_messages.h"

namespace firstbyte {

struct RequestRecord {
  std::string method;       // "Synthesize"
  std::string traceparent;  // CallId::traceparent
  std::string model;        // empty when refused before one was chosen
  bool admitted = false;
  SpeechEnd end;
};

struct WorldRecord {
  std::string traceparent;
  std::string model;  // empty when refused before one was chosen
  bool admitted = false;
  WorldEnd end;
};

// Thread-safe; called from any thread, also under a stream's lock: must not block or call back.
class StreamObserver {
 public:
  virtual ~StreamObserver() = default;
  virtual void OnStarted(const std::string& method, const std::string& model) = 0;
  // Once per stream, when the transport has taken the end.
  virtual void OnEnded(const RequestRecord& record) = 0;
  // One audio message was written: the lead after it and, from the second on, the time since the
  // one before.
  virtual void OnChunk(const std::string& model, absl::Duration lead,
                       std::optional<absl::Duration> interval) = 0;
  virtual void OnUnderrun(const std::string& model, absl::Duration silence) = 0;
  // A listener ran dry because the client had sent no more text.
  virtual void OnStarved(const std::string& model) = 0;
  // A session waits because its client does not read: the outbox is full. Once each time.
  virtual void OnSlowConsumer(const std::string& model) = 0;
  virtual void OnOutboxBytes(int64_t delta) = 0;

  // Worlds. Once per stream, when the transport has taken the end.
  virtual void OnWorldEnded(const WorldRecord& record) = 0;
  // A block of so many frames is ready to send; `late`: see WorldPacer.
  virtual void OnBlock(const std::string& model, int frames, bool late) = 0;
  // REALTIME: so many blocks were due while an earlier one was not ready, and are not made.
  virtual void OnSkippedBlocks(const std::string& model, int blocks) = 0;
  // From the arrival of an action to the handing over of the first block that it shapes.
  virtual void OnActionToFrame(const std::string& model, absl::Duration delay) = 0;
};

}  // namespace firstbyte
