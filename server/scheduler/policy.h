// What a lane does next: pure functions over plain structs, no clock, no locks.
//
// One earliest-deadline order over all quanta of a lane. A stream's deadline is when its listener
// would notice: arrival + TTFB target before it has been heard, the moment it runs dry afterwards.
// A player's deadline is the world's own: when the block is due, or the commit before the next one.
// The most urgent stream picks the stage; others that want the same stage join it by deadline,
// worlds in whichever denoise pass they are.
//
// Two things bend that order. Deadlines that have passed, or lie within a few milliseconds of each
// other, are equally urgent, and then the tenant goes first that had the least of the lane's recent
// time. And once sessions that start had their share of it, they wait while others are pressed.
#pragma once

#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "model/model.h"
#include "server/scheduler/recent_time.h"
#include "server/scheduler/step_cost.h"

namespace firstbyte {

struct PolicyOptions {
  absl::Duration ttfb_target = absl::Milliseconds(50);
  absl::Duration dry_reserve = absl::Milliseconds(20);  // kept between a deadline and silence
  absl::Duration max_step = absl::Milliseconds(8);      // a newcomer waits at most this long
  absl::Duration equal_urgency = absl::Milliseconds(5);
  // Of the lane's time, for sessions that start, while another would be late within so long.
  double start_up_share = 0.5;
  absl::Duration pressed = absl::Milliseconds(50);
};

// One session as the policy sees it.
struct SessionView {
  int model = 0;  // index into the lane's models
  Work work;
  absl::Time ready;         // when its first input arrived
  absl::Duration lead;      // StreamPort::State
  absl::Duration max_lead;  // it pauses there
  absl::Duration frame_period;
  bool heard = false;   // some media has left; until then the session starts
  bool paused = false;  // reached max_lead and has not resumed: see UpdatePaused
  int room_frames = 0;
  bool world = false;
  absl::Time due;  // worlds: StreamPort::State::block_due
  int tenant = 0;  // RecentTime's index
};

struct Quantum {
  int model = 0;
  Stage stage = Stage::kGenerate;
  int frames = 0;             // decode only
  std::vector<int> sessions;  // indices into the views, most urgent first
};

// Frames of the next chunk: small while the listener is close to silence, then 4, 8, 16.
int ChunkFrames(absl::Duration lead, absl::Duration frame_period);

// When the listener would notice a delay.
absl::Time Deadline(const SessionView& view, const PolicyOptions& options, absl::Time now);

// A session pauses when it is max_lead ahead and resumes by itself only when a whole large chunk is
// missing, so that sessions share steps instead of waking one by one each frame period.
bool UpdatePaused(const SessionView& view);

// The stage this session would run next; nullopt when it has no work, no room or enough lead.
// `joining`: whether a paused session may take part in a step that is run anyway.
struct NextStep {
  Stage stage;
  int frames;  // decode only
};
std::optional<NextStep> Next(const SessionView& view, bool joining);

// The next quantum, or nullopt when nothing can or should run now.
std::optional<Quantum> ChooseQuantum(absl::Span<const SessionView> views,
                                     absl::Span<const int> max_batch,  // by model
                                     const StepCosts& costs, const RecentTime& recent,
                                     const PolicyOptions& options, absl::Time now);

// Whether a listener who has been heard is still on the way to where the largest chunks begin, or
// half of max_lead: the lane has work for it that cannot wait long. Newcomers come to catch up, so
// their number says how much of such work there is, whatever costs say.
bool CatchingUp(const SessionView& view);

// How long until a paused session resumes by itself if its listener keeps playing.
absl::Duration TimeToResume(const SessionView& view);

}  // namespace firstbyte
