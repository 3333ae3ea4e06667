#include "server/scheduler/policy.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace firstbyte {
namespace {

constexpr int kLargestChunk = 16;
constexpr absl::Duration kFarAhead = absl::Hours(1);

// Each chunk is at most a third of what is left to play, so that making it never risks a gap.
absl::Duration LeadFor(int frames, absl::Duration frame_period) {
  return 3 * frames * frame_period;
}

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

// One session that wants a step. Ordered by how soon it must have it.
struct Candidate {
  int64_t urgency = 0;    // deadlines in steps of equal_urgency; the same for all that have passed
  absl::Duration served;  // what its tenant had of the lane's recent time
  absl::Time deadline;
  int index = 0;

  bool operator<(const Candidate& other) const {
    return std::tie(urgency, served, deadline, index) <
           std::tie(other.urgency, other.served, other.deadline, other.index);
  }
};

class Order {
 public:
  Order(absl::Span<const SessionView> views, const std::vector<Candidate>& wanting,
        const RecentTime& recent, const PolicyOptions& options, absl::Time now)
      : views_(views), recent_(recent), options_(options), now_(now) {
    if (recent.start_up() < options.start_up_share) return;
    starters_wait_ = std::any_of(wanting.begin(), wanting.end(), [&](const Candidate& one) {
      return views[one.index].heard && one.deadline < now + options.pressed;
    });
  }

  void Rank(Candidate* candidate) const {
    const SessionView& view = views_[candidate->index];
    candidate->served = recent_.of(view.tenant);
    const absl::Time soonest = starters_wait_ && !view.heard ? now_ + options_.pressed : now_;
    const absl::Duration left = std::max(candidate->deadline, soonest) - now_;
    candidate->urgency = std::min(left, kFarAhead) / options_.equal_urgency;
  }

  // Among those equally urgent, each place in the batch counts as `one` more for its tenant, so
  // that a batch too small for all is shared as well.
  void TakeTurns(const Candidate& leader, absl::Duration one,
                 std::vector<Candidate>* joiners) const {
    std::map<int, int> places;
    ++places[views_[leader.index].tenant];
    for (Candidate& joiner : *joiners) {
      joiner.served += one * places[views_[joiner.index].tenant]++;
    }
    if (places.size() > 1) std::sort(joiners->begin(), joiners->end());
  }

 private:
  const absl::Span<const SessionView> views_;
  const RecentTime& recent_;
  const PolicyOptions& options_;
  const absl::Time now_;
  bool starters_wait_ = false;
};

}  // namespace

int ChunkFrames(absl::Duration lead, absl::Duration frame_period) {
  for (int frames : {kLargestChunk, 8, 4}) {
    if (lead >= LeadFor(frames, frame_period)) return frames;
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
                                     const RecentTime& recent, const PolicyOptions& options,
                                     absl::Time now) {
  std::vector<Candidate> leaders;
  for (int i = 0; i < static_cast<int>(views.size()); ++i) {
    if (!Next(views[i], /*joining=*/false)) continue;
    leaders.push_back({.deadline = Deadline(views[i], options, now), .index = i});
  }
  if (leaders.empty()) return std::nullopt;
  const Order order(views, leaders, recent, options, now);
  for (Candidate& leader : leaders) order.Rank(&leader);
  const Candidate leader = *std::min_element(leaders.begin(), leaders.end());

  const int model = views[leader.index].model;
  const NextStep step = *Next(views[leader.index], /*joining=*/false);
  std::vector<Candidate> joiners;
  for (int i = 0; i < static_cast<int>(views.size()); ++i) {
    if (i == leader.index || views[i].model != model) continue;
    auto next = Next(views[i], /*joining=*/true);
    if (!next || next->stage != step.stage || next->frames != step.frames) continue;
    joiners.push_back({.deadline = Deadline(views[i], options, now), .index = i});
    order.Rank(&joiners.back());
  }
  std::sort(joiners.begin(), joiners.end());
  const absl::Duration one = costs.Predict(model, step.stage, step.frames, 1);
  order.TakeTurns(leader, one, &joiners);

  Quantum quantum{
      .model = model, .stage = step.stage, .frames = step.frames, .sessions = {leader.index}};
  const size_t limit =
      costs.LargestBatch(model, step.stage, step.frames, options.max_step, max_batch[model]);
  for (const Candidate& joiner : joiners) {
    if (quantum.sessions.size() >= limit) break;
    quantum.sessions.push_back(joiner.index);
  }
  return quantum;
}

bool CatchingUp(const SessionView& view) {
  const absl::Duration ahead = LeadFor(kLargestChunk, view.frame_period);
  return !view.world && view.heard && view.lead < std::min(ahead, view.max_lead / 2) &&
         Next(view, /*joining=*/false).has_value();
}

absl::Duration TimeToResume(const SessionView& view) {
  // A microsecond past the threshold, which itself still counts as paused.
  return std::max(absl::ZeroDuration(), Ahead(view) - ResumeAt(view) + absl::Microseconds(1));
}

}  // namespace firstbyte
