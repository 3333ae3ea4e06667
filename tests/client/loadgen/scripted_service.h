// Services that keep to a script, on a clock that only they move: what the load generator then
// reports is known to the nanosecond, however busy the machine is.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <grpcpp/server.h>

#include "firstbyte/v1/speech.grpc.pb.h"
#include "firstbyte/v1/world.grpc.pb.h"
#include "tests/client/loadgen/stepped_clock.h"

namespace firstbyte {

struct ScriptedChunk {
  absl::Duration after;  // the chunk before, or the text
  absl::Duration media;
  bool silent = false;
};

// One call at a time. Its Timing.first_byte is what the script says.
class ScriptedSpeech : public v1::SpeechService::Service {
 public:
  ScriptedSpeech(SteppedClock* clock, std::vector<ScriptedChunk> script)
      : clock_(clock), script_(std::move(script)) {}

  // The first calls are refused (RESOURCE_EXHAUSTED, NO_SLOT) with this delay.
  void RefuseFirst(int calls, absl::Duration retry_after) {
    refusals_ = calls;
    retry_after_ = retry_after;
  }

  grpc::Status Synthesize(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::SynthesizeResponse, v1::SynthesizeRequest>* stream) override;

 private:
  SteppedClock* const clock_;
  const std::vector<ScriptedChunk> script_;
  int refusals_ = 0;
  absl::Duration retry_after_;
};

// Each action becomes a block of two frames at 20 a second, `delay` after it came; the block of
// every third action comes with a notice that it is late.
class ScriptedWorld : public v1::WorldService::Service {
 public:
  ScriptedWorld(SteppedClock* clock, absl::Duration delay) : clock_(clock), delay_(delay) {}

  grpc::Status StepWorld(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::StepWorldResponse, v1::StepWorldRequest>* stream) override;

 private:
  SteppedClock* const clock_;
  const absl::Duration delay_;
};

// A service on a free port of the loopback.
class LoopbackServer {
 public:
  explicit LoopbackServer(grpc::Service* service);
  ~LoopbackServer();
  const std::string& target() const { return target_; }

 private:
  std::unique_ptr<grpc::Server> server_;
  std::string target_;
};

}  // namespace firstbyte
