// Runs a flight log again: the same sessions, inputs and steps on the same models, and compares
// what they make with what they made.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/model.h"
#include "server/scheduler/flight_log.h"

namespace firstbyte {

struct ReplayedSession {
  enum class Result {
    kSame,
    kDiffers,
    kNotReplayed,  // `why`: it began before the log, or its inputs were not kept
  };

  uint64_t session = 0;
  std::string model;
  Result result = Result::kNotReplayed;
  std::string why;
  int64_t media_bytes = 0;         // as recorded
  std::string recorded, replayed;  // MediaDigest::Hex()
};

// `models`: by FlightStepped::model, with slots for as many sessions. The calling thread is their
// lane. Sessions come in the order in which they ended. kFailedPrecondition: a model or its weights
// are others than the log's; what Wait() says when a whole step fails that had not failed.
absl::StatusOr<std::vector<ReplayedSession>> Replay(
    const FlightLog& log, absl::Span<const std::unique_ptr<Model>> models);

}  // namespace firstbyte
