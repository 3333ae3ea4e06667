// Synthesize calls of the load generator, timed.
#pragma once

#include <functional>

#include "client/loadgen/call.h"
#include "client/loadgen/connection.h"
#include "client/loadgen/live_calls.h"

namespace firstbyte {

// Each call speaks CallPlan.text in one piece. Thread-safe.
class SpeechCaller : public Caller {
 public:
  // Both must outlive it.
  SpeechCaller(const Connections& connections, const CallerOptions& options)
      : connections_(connections), options_(options) {}

  void Start(const CallPlan& plan, std::function<void(CallRecord)> done) override;
  void CancelAll() override { live_.CancelAll(); }

 private:
  const Connections& connections_;
  const CallerOptions options_;
  LiveCalls live_;
};

}  // namespace firstbyte
