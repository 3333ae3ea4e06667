// What voices and worlds would feel on lanes whose steps cost so much: the server's own lane and
// policy under a clock that only steps move, and models without weights.
//
// What it leaves out: threads that lose their core, the network, and what encoding and gRPC cost,
// save for Costs::per_message.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "model/model.h"
#include "server/scheduler/policy.h"
#include "server/scheduler/step_cost.h"

namespace firstbyte::simulator {

struct StepCost {
  Stage stage;
  int frames = 0;  // decode of a voice
  LinearCost cost;
};

struct Costs {
  std::vector<StepCost> voice, world;
  double voice_frames_per_second = 25;
  double world_frames_per_second = 20;  // a block is one frame
  int passes = 1, scene_slices = 1;     // of a world: generate steps of a block, prefill steps
  absl::Duration per_message;           // on the lane, to send a chunk or block
};

// {"voice": {"frames_per_second": 25, "steps": [{"stage": "decode", "frames": 4, "fixed_us": 300,
//   "per_session_us": 90}, ...]}, "world": {"frames_per_second": 20, "passes": 2, "scene_slices":
//   1, "steps": [...]}, "per_message_us": 20}. kInvalidArgument says what is wrong.
absl::StatusOr<Costs> ParseCosts(const std::string& json);

struct Load {
  // Listeners hear one utterance after the other, as loadgen's do; players play all the time.
  int voices = 0, worlds = 0;
  int lanes = 1;  // the load is spread over them evenly
  absl::Duration length = absl::Seconds(30);
  absl::Duration utterance = absl::Seconds(8);  // on average; from half to one and a half of it
  absl::Duration jitter_buffer = absl::Milliseconds(20);  // of a listener
  absl::Duration max_lead = absl::Seconds(4);
  int max_batch = 64;
  unsigned seed = 1;
};

struct Result {
  int64_t calls = 0;            // utterances of which something was heard
  int64_t underruns = 0;        // silences in the middle of one
  std::vector<double> ttfb_ms;  // of each call
  std::vector<double> lead_ms;  // of the listener at each chunk, with it
  int64_t frames = 0, chunks = 0;
  int64_t blocks = 0, late = 0, skipped = 0;  // late: as in server/stream/world_pacer.h
  std::vector<double> block_ms;               // from a block's start until it left
  struct Stage {
    int64_t steps = 0, sessions = 0;
    absl::Duration busy;
  };
  Stage stages[kStageCount];
  std::vector<double> utilisation;  // of each lane

  double mean_batch() const;
};

Result Simulate(const Costs& costs, const Load& load, const PolicyOptions& policy = {});

}  // namespace firstbyte::simulator
