// What sessions cost a lane: the arithmetic behind admission. Told the time, never asks.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/scheduler/step_cost.h"

namespace firstbyte {

// Of one model on one lane, as measured at warm-up. All zero: the model costs nothing.
struct SessionCost {
  // A `period` of media, all its stages: a frame of speech in the smallest chunks, or a block and
  // its commit.
  LinearCost frame;
  absl::Duration period = absl::Seconds(1);
  // From a clause, or a scene, to the first media of sessions that start together.
  LinearCost start_up;
  int batch = 1;  // most sessions that share a step within max_step
};

// The share of a lane's time that takes `sessions`, which keep their pace together: 1 is all of it.
// The fixed part of a step is paid once for each batch; a session at half the pace is half a
// session.
double LoadOf(const SessionCost& cost, double sessions);

// How long `sessions` that start together take until all of them are heard.
absl::Duration StartUpOf(const SessionCost& cost, int sessions);

// What a session asks of its lane.
struct SessionLoad {
  int model = 0;
  double pace = 1;      // times the model's own
  double encoding = 0;  // share of a core that the encoders of its media take at the model's pace
  bool catches_up = false;  // when it starts: a voice, which runs ahead of its listener
};

// The sessions of one lane and what they cost. Not thread-safe.
class LaneLoad {
 public:
  explicit LaneLoad(int models) : models_(models) {}

  void SetCost(int model, const SessionCost& cost) { models_[model].cost = cost; }
  // A step took this long, where that was predicted. Load and prediction are corrected by the ratio
  // of the recent ones: a machine that others use is slower. That encoders use it too is known.
  void ObserveStep(absl::Duration predicted, absl::Duration took);

  // A start took this long from its text to its first media, where `planned` was counted for it.
  void ObserveStart(absl::Duration planned, absl::Duration took, absl::Time now);

  // How many listeners of each model are CatchingUp() (policy.h).
  void ObserveCatchingUp(absl::Span<const int> by_model);

  // Returns the name of the session's start. Starts that nobody reports as heard are forgotten
  // after a second: those are streams without text.
  uint64_t Add(const SessionLoad& session, absl::Time now);
  void Started(uint64_t start) { starts_.erase(start); }
  void Remove(const SessionLoad& session, uint64_t start);

  int sessions(int model) const { return models_[model].sessions; }
  int sessions() const;
  double load() const { return LoadWith({.pace = 0}); }
  double LoadWith(const SessionLoad& one_more) const;
  // Voices that catch up: those whom the lane told of, and those that start, who will.
  int catching_up() const;
  // Their load and that of one more of `model`. They take more than their pace, as much as they can
  // get; so it says for how long the lane will be busy with them, in small chunks.
  double CatchingUpWith(int model) const;
  bool starting() const { return !starts_.empty(); }
  // Until one more session of `model` is heard: the step under way, then all that start, together.
  // A plan of what the lane does for them, by cost alone.
  absl::Duration PlanTtfb(int model, absl::Duration max_step, absl::Time now);
  // How many times its plan a start takes now, at least 1: a mean over the last eight or so, halved
  // towards 1 each quarter of a second, and 1 on a lane with hardly any load. It knows what cost
  // does not: that others go first, that the text front end has a queue, that threads wait for a
  // core. What is above 1 counts twice, because it is a mean and because word of it comes late:
  // whoever was let in meanwhile is yet to wait as well.
  double Lateness(absl::Time now) const;

 private:
  struct ModelUse {
    SessionCost cost;
    int sessions = 0;
    double pace = 0;  // their sum
    int catching_up = 0;
  };
  struct Start {
    int model;
    absl::Time since;
    bool catches_up;
  };

  std::vector<int> CatchingUp() const;  // by model
  double Slowness() const;
  double LateAt(absl::Time now) const;

  std::vector<ModelUse> models_;
  double encoding_ = 0;               // share of a core
  std::map<uint64_t, Start> starts_;  // the oldest first
  uint64_t next_start_ = 1;
  absl::Duration predicted_, took_;  // of recent steps, the older the less
  double late_ = 0;                  // above 1, at late_since_
  absl::Time late_since_;
};

}  // namespace firstbyte
