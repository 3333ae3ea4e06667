// StepWorld calls of the load generator, timed.
#pragma once

#include <functional>

#include "client/loadgen/call.h"
#include "client/loadgen/connection.h"
#include "client/loadgen/live_calls.h"

namespace firstbyte {

// Each call opens a world, plays CallPlan.world and leaves. Thread-safe.
//
// LOCKSTEP: an action follows each block at once, so one is always on its way. Otherwise an action
// follows each block at a random moment of that block's time, as a player's would, and credit at
// once.
class WorldCaller : public Caller {
 public:
  // Both must outlive it.
  WorldCaller(const Connections& connections, const CallerOptions& options)
      : connections_(connections), options_(options) {}

  void Start(const CallPlan& plan, std::function<void(CallRecord)> done) override;
  void CancelAll() override { live_.CancelAll(); }

 private:
  const Connections& connections_;
  const CallerOptions options_;
  LiveCalls live_;
};

}  // namespace firstbyte
