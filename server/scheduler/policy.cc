#include "server/scheduler/policy.h"

#include <algorithm>

namespace firstbyte {
namespace {

constexpr int kLargestChunk = 16;

// Media published or already generated: what the listener is ahead by once it is decoded.
absl::Duration Ahead(const SessionView& view) {
  return view.lead + view.frame_period * view.work.decode_frames;
}

absl::Duration ResumeAt(const SessionView& view) {
  return std::max(view.max_lead - view.frame_period * kLargestChunk, view.frame_period);
}

bool MayGrow(const SessionView& view, bool joining) {
  return Ahead(view) < view.max_lead && (joining || !view.paused);
}

// A world has one thing to do at a time, and room for it was set aside when the block began.
std::optional<NextStep> NextOfWorld(const Work& work) {
  if (work.prefill) return NextStep{Stage::kPrefill, 0};
  if (work.generate) return NextStep{Stage::kGenerate, 0};
  if (work.decode_frames > 0) return NextStep{Stage::kDecode, work.decode_frames};
  if (work.commit) return NextStep{Stage::kCommit, 0};
  return std::nullopt;
}

}  // namespace

int ChunkFrames(absl::Duration lead, absl::Duration frame_period) {
  // Each chunk is at most a third of what is left to play, so that making it never risks a gap.
  for (int frames : {kLargestChunk, 8, 4}) {
    if (lead >= 3 * frames * frame_period) return frames;
  }
  return 1;
}

absl::Time Deadline(const SessionView& view, const PolicyOptions& options, absl::Time now) {
  if (view.world) return view.due;
  return view.heard ? now + view.lead - options.dry_reserve : view.ready + options.ttfb_target;
}

bool UpdatePaused(const SessionView& view) {
  if (view.world) return false;
  return Ahead(view) >= (view.paused ? ResumeAt(view) : view.max_lead);
}

std::optional<NextStep> Next(const SessionView& view, bool joining) {
  if (view.world) return NextOfWorld(view.work);
  const Work& work = view.work;
  int wanted = ChunkFrames(view.lead, view.frame_period);
  bool more = (work.generate || work.prefill) && MayGrow(view, joining);
  // Frames kept for a larger chunk are decoded at once when no more will join them.
  bool decode = work.decode_frames >= wanted || (work.decode_frames > 0 && !more);
  if (decode) {
    int frames = std::min(wanted, view.room_frames);
    if (frames == 0) return std::nullopt;
    return NextStep{Stage::kDecode, frames};
  }
  if (!more) return std::nullopt;
  // Generate before prefill: the listener needs the frames that are ready first.
  return NextStep{work.generate ? Stage::kGenerate : Stage::kPrefill, 0};
}

std::optional<Quantum> ChooseQuantum(absl::Span<const SessionView> views,
                                     absl::Span<const int> max_batch, const StepCosts& costs,
                                     const PolicyOptions& options, absl::Time now) {
  int leader = -1;
  absl::Time earliest = absl::InfiniteFuture();
  for (int i = 0; i < static_cast<int>(views.size()); ++i) {
    if (!Next(views[i], /*joining=*/false)) continue;
    absl::Time deadline = Deadline(views[i], options, now);
    if (leader < 0 || deadline < earliest) leader = i, earliest = deadline;
  }
  if (leader < 0) return std::nullopt;

  const int model = views[leader].model;
  const NextStep step = *Next(views[leader], /*joining=*/false);
  std::vector<std::pair<absl::Time, int>> joiners;
  for (int i = 0; i < static_cast<int>(views.size()); ++i) {
    if (i == leader || views[i].model != model) continue;
    auto next = Next(views[i], /*joining=*/true);
    if (next && next->stage == step.stage && next->frames == step.frames) {
      joiners.emplace_back(Deadline(views[i], options, now), i);
    }
  }
  std::sort(joiners.begin(), joiners.end());

  Quantum quantum{.model = model, .stage = step.stage, .frames = step.frames, .sessions = {leader}};
  const size_t limit =
      costs.LargestBatch(model, step.stage, step.frames, options.max_step, max_batch[model]);
  for (const auto& [deadline, i] : joiners) {
    if (quantum.sessions.size() >= limit) break;
    quantum.sessions.push_back(i);
  }
  return quantum;
}

absl::Duration TimeToResume(const SessionView& view) {
  // A microsecond past the threshold, which itself still counts as paused.
  return std::max(absl::ZeroDuration(), Ahead(view) - ResumeAt(view) + absl::Microseconds(1));
}

}  // namespace firstbyte
