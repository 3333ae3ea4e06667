// What a step of the lane costs besides the model, with nobody watching and with everybody.
//
//   lane_bench            # microseconds a step, the best of several rounds each
//   lane_bench flight     # one of nobody, tracer, flight, capture; one round
//
// The scripted model costs next to nothing, so this is collecting, choosing and publishing.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/clock.h"
#include "base/trace.h"
#include "model/scripted.h"
#include "server/scheduler/flight_recorder.h"
#include "server/scheduler/lane.h"

namespace firstbyte {
namespace {

constexpr int kSessions = 16;
constexpr int kLetters = 2000;  // frames of each session
constexpr int kRounds = 7;

// Takes all and plays it at once.
class Sink : public StreamPort {
 public:
  State state(absl::Time) override { return {.heard = true, .room_frames = 16}; }
  void Reserve(int) override {}
  void Deliver(Output, absl::Time) override {}
  void ClauseBegun() override {}
  void Ended(absl::Status, const StageTimes&) override {}
};

// Mean time of one round of the lane that ran a step.
absl::Duration StepTime(bool flight, Tracer* tracer) {
  auto model = MakeScriptedModel({.slots = kSessions});
  const Model& voice = *model;
  AdmissionLedger ledger(std::vector<std::vector<int>>{{kSessions}});
  FlightRecorder recorder(0, {&voice.info()}, {}, &Clock::Steady());
  int64_t steps = 0;
  LaneOptions options{.on_step = [&steps](const LaneStep&) { ++steps; }, .tracer = tracer};
  if (flight) options.watchers.push_back(&recorder);
  Lane lane(1, std::move(options));
  lane.Add(0, std::move(model), {});
  for (int i = 0; i < kSessions; ++i) {
    auto seat = ledger.Admit({});
    const auto id = lane.Open({.spec = {.seed = static_cast<uint64_t>(i)},
                               .max_lead = absl::Hours(1),
                               .port = std::make_shared<Sink>(),
                               .seat = *std::move(seat)});
    lane.Push(id, *voice.Prepare({std::string(kLetters, 'a')}));
    lane.Push(id, EndOfInput{});
  }
  const absl::Time begin = Clock::Steady().Now();
  while (lane.RunOnce() == absl::ZeroDuration()) {
  }
  return (Clock::Steady().Now() - begin) / steps;
}

struct Watch {
  const char* name;
  const char* what;
  bool flight;
  enum { kNoTracer, kOff, kOn } tracer;
};
constexpr Watch kWatches[] = {
    {"nobody", "nobody watches", false, Watch::kNoTracer},
    {"tracer", "a tracer that is off", false, Watch::kOff},
    {"flight", "and the flight recorder", true, Watch::kOff},
    {"capture", "and a trace is captured", true, Watch::kOn},
};

void Measure(const Watch& watch, int rounds) {
  Tracer tracer;
  if (watch.tracer == Watch::kOn) tracer.Start();
  absl::Duration best = absl::InfiniteDuration();
  for (int i = 0; i < rounds; ++i) {
    best = std::min(best,
                    StepTime(watch.flight, watch.tracer == Watch::kNoTracer ? nullptr : &tracer));
  }
  absl::PrintF("%-24s %7.2f us a step of %d sessions\n", watch.what,
               absl::ToDoubleMicroseconds(best), kSessions);
}

}  // namespace
}  // namespace firstbyte

int main(int argc, char** argv) {
  for (const firstbyte::Watch& watch : firstbyte::kWatches) {
    if (argc == 1) firstbyte::Measure(watch, firstbyte::kRounds);
    // Once, for `valgrind --tool=callgrind`, whose counts a busy machine does not change.
    if (argc == 2 && std::string(argv[1]) == watch.name) firstbyte::Measure(watch, 1);
  }
}
