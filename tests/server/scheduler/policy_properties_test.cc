// Properties of ChooseQuantum over thousands of random situations.

#include <algorithm>
#include <random>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/scheduler/policy.h"

namespace firstbyte {
namespace {

constexpr absl::Duration kVoiceFrame = absl::Milliseconds(40);
const absl::Time kStart = absl::UnixEpoch() + absl::Seconds(1000);

class PolicyProperties : public testing::TestWithParam<int> {
 protected:
  int Draw(int from, int to) { return std::uniform_int_distribution(from, to)(random_); }
  bool Chance(double p) { return std::bernoulli_distribution(p)(random_); }
  absl::Duration DrawMs(int from, int to) {
    return absl::Microseconds(Draw(from * 1000, to * 1000));
  }

  StepCosts DrawCosts() {
    StepCosts costs;
    for (int model : {0, 1}) {
      for (Stage stage : {Stage::kPrefill, Stage::kGenerate, Stage::kCommit}) {
        costs.Set(model, stage, 0, {DrawMs(0, 3), DrawMs(0, 2)});
      }
      for (int frames : {1, 4, 8, 16}) {
        costs.Set(model, Stage::kDecode, frames, {DrawMs(0, 3), DrawMs(0, 2)});
      }
    }
    return costs;
  }

  // A voice of model 0 or a world of model 1, in any state.
  SessionView DrawView(absl::Time now, int tenants) {
    SessionView view{.ready = now - DrawMs(0, 300),
                     .lead = Chance(0.3) ? absl::ZeroDuration() : DrawMs(0, 4500),
                     .max_lead = absl::Seconds(4),
                     .frame_period = kVoiceFrame,
                     .heard = Chance(0.7),
                     .paused = Chance(0.2),
                     .room_frames = Chance(0.2) ? 0 : Draw(1, 16),
                     .due = now + DrawMs(-100, 100),
                     .tenant = Draw(0, tenants - 1)};
    view.model = view.world = Chance(0.3);
    view.work = {.prefill = Chance(0.3),
                 .generate = Chance(0.6),
                 .decode_frames = view.world ? Draw(0, 1) : Draw(0, 20),
                 .commit = view.world && Chance(0.3)};
    view.paused = view.paused || UpdatePaused(view);
    return view;
  }

  std::mt19937 random_{static_cast<unsigned>(GetParam())};
  RecentTime recent_;
};

TEST_P(PolicyProperties, QuantumIsSoundAndInDeadlineOrder) {
  const PolicyOptions options;
  const int tenants = Draw(1, 3);
  for (int t = 0; t < tenants; ++t) {
    recent_.Enter(std::to_string(t));
    recent_.Spend({{t, Chance(0.5)}}, DrawMs(0, 100));
  }
  for (int round = 0; round < 20; ++round) {
    const StepCosts costs = DrawCosts();
    const int max_batch = Draw(1, 12);
    std::vector<SessionView> views;
    for (int n = Draw(0, 24); n > 0; --n) views.push_back(DrawView(kStart, tenants));
    auto runs = [&](const SessionView& view) { return Next(view, false).has_value(); };
    const auto quantum =
        ChooseQuantum(views, {max_batch, max_batch}, costs, recent_, options, kStart);
    ASSERT_EQ(quantum.has_value(), std::any_of(views.begin(), views.end(), runs))
        << "it works whenever there is something to do";
    if (!quantum) continue;

    // The step is one that each of its sessions can take part in.
    const size_t size = quantum->sessions.size();
    ASSERT_EQ(std::set<int>(quantum->sessions.begin(), quantum->sessions.end()).size(), size);
    ASSERT_LE(size, static_cast<size_t>(max_batch));
    if (size > 1) {
      ASSERT_LE(
          costs.Predict(quantum->model, quantum->stage, quantum->frames, static_cast<int>(size)),
          options.max_step);
    }
    for (int i : quantum->sessions) {
      const auto next = Next(views[i], /*joining=*/i != quantum->sessions[0]);
      ASSERT_TRUE(next);
      ASSERT_EQ(views[i].model, quantum->model);
      ASSERT_EQ(next->stage, quantum->stage);
      ASSERT_EQ(next->frames, quantum->frames);
      if (!views[i].world && quantum->stage == Stage::kDecode) {
        ASSERT_LE(quantum->frames, views[i].room_frames) << "room is set aside before the work";
      }
    }

    // Nobody is clearly more urgent than the one that leads.
    const SessionView& leader = views[quantum->sessions[0]];
    ASSERT_TRUE(runs(leader)) << "a paused session only joins";
    const absl::Time deadline = Deadline(leader, options, kStart);
    for (const SessionView& other : views) {
      if (!runs(other) || (recent_.start_up() >= options.start_up_share && !other.heard)) continue;
      ASSERT_GE(std::max(Deadline(other, options, kStart), kStart) + options.equal_urgency,
                deadline);
    }
  }
}

TEST_P(PolicyProperties, SessionsThatFitButDoNotTakePartAreNoMoreUrgent) {
  for (int round = 0; round < 20; ++round) {
    recent_ = RecentTime();
    recent_.Enter("");
    const int max_batch = Draw(1, 6);
    std::vector<SessionView> views;
    for (int n = Draw(1, 24); n > 0; --n) views.push_back(DrawView(kStart, 1));
    const auto quantum = ChooseQuantum(views, {max_batch, max_batch}, {}, recent_, {}, kStart);
    if (!quantum) continue;
    absl::Time last = absl::InfinitePast();
    for (size_t i = 1; i < quantum->sessions.size(); ++i) {
      last = std::max(last, Deadline(views[quantum->sessions[i]], {}, kStart));
    }
    for (int i = 0; i < static_cast<int>(views.size()); ++i) {
      const auto& taken = quantum->sessions;
      if (std::find(taken.begin(), taken.end(), i) != taken.end()) continue;
      const auto next = Next(views[i], /*joining=*/true);
      if (!next || views[i].model != quantum->model || next->stage != quantum->stage ||
          next->frames != quantum->frames) {
        continue;
      }
      ASSERT_EQ(taken.size(), static_cast<size_t>(max_batch)) << "there was a place";
      ASSERT_GE(Deadline(views[i], {}, kStart), last) << "of one tenant the deadline decides";
    }
  }
}

// Voices that never have enough: each wants its next frame at once.
TEST_P(PolicyProperties, TenantsThatWantMoreThanThereIsGetTheSame) {
  const int a = recent_.Enter("a"), b = recent_.Enter("b");
  const int few = Draw(1, 4), many = Draw(few, 16), max_batch = Draw(1, 8);
  StepCosts costs;
  costs.Set(0, Stage::kGenerate, 0, {DrawMs(0, 2), DrawMs(1, 3)});
  std::vector<SessionView> views;
  for (int i = 0; i < few + many; ++i) {
    views.push_back({.work = {.generate = true},
                     .max_lead = absl::Seconds(4),
                     .frame_period = kVoiceFrame,
                     .heard = true,
                     .room_frames = 16,
                     .tenant = i < few ? a : b});
  }
  absl::Time now = kStart;
  absl::Duration got[2];
  bool always = true;  // all of a's sessions had a place in every step
  for (int step = 0; step < 2000; ++step) {
    const auto quantum = ChooseQuantum(views, {max_batch}, costs, recent_, {}, now);
    const int n = static_cast<int>(quantum->sessions.size());
    const absl::Duration took = costs.Predict(0, Stage::kGenerate, 0, n);
    std::vector<RecentTime::Share> shares;
    int places = 0;
    for (int i : quantum->sessions) {
      shares.push_back({views[i].tenant});
      got[views[i].tenant] += took / n;
      places += views[i].tenant == a;
    }
    always &= places == few;
    recent_.Spend(shares, took);
    now += took;
  }
  if (always) return;  // it could not have had more
  EXPECT_NEAR(absl::FDivDuration(got[a], got[a] + got[b]), 0.5, 0.05)
      << few << " and " << many << " sessions, batches of " << max_batch;
}

TEST_P(PolicyProperties, StartersGetTheirShareAndNoMoreWhileListenersArePressed) {
  const int tenant = recent_.Enter("");
  PolicyOptions options;
  options.start_up_share = Draw(2, 8) / 10.0;
  StepCosts costs;
  costs.Set(0, Stage::kPrefill, 0, {DrawMs(0, 2), DrawMs(0, 4)});
  costs.Set(0, Stage::kGenerate, 0, {DrawMs(0, 2), DrawMs(0, 4)});
  std::vector<SessionView> views;
  for (int n = Draw(1, 20); n > 0; --n) {
    views.push_back({.work = {.prefill = true}, .ready = kStart - absl::Seconds(9)});
  }
  for (int n = Draw(1, 20); n > 0; --n) {
    views.push_back({.work = {.generate = true}, .lead = DrawMs(0, 60), .heard = true});
  }
  for (SessionView& view : views) {
    view.max_lead = absl::Seconds(4);
    view.frame_period = kVoiceFrame;
    view.room_frames = 16;
  }
  absl::Duration all, starting;
  for (int step = 0; step < 2000; ++step) {
    const auto quantum = ChooseQuantum(views, {8}, costs, recent_, options, kStart);
    const int n = static_cast<int>(quantum->sessions.size());
    const absl::Duration took = costs.Predict(0, quantum->stage, 0, n) + absl::Microseconds(1);
    const bool start = quantum->stage == Stage::kPrefill;
    recent_.Spend(std::vector<RecentTime::Share>(n, {tenant, start}), took);
    all += took;
    if (start) starting += took;
  }
  const double tolerance = 0.05 + absl::FDivDuration(absl::Milliseconds(200), all);
  EXPECT_NEAR(absl::FDivDuration(starting, all), options.start_up_share, tolerance);
}

// However much there is to do, whose deadline has passed is served before anyone whose deadline
// passed later: so no one waits longer than all others take once.
TEST_P(PolicyProperties, NobodyStarvesUnderOverload) {
  recent_.Enter("");
  const int sessions = Draw(2, 30);
  const StepCosts costs = DrawCosts();
  const PolicyOptions options;
  std::vector<SessionView> views(sessions);
  std::vector<absl::Time> deadline(sessions, kStart);
  absl::Time now = kStart;
  for (int step = 0; step < 1000; ++step) {
    for (int i = 0; i < sessions; ++i) {
      views[i] = {.model = i % 2,
                  .work = {.generate = true},
                  .lead = deadline[i] - now + options.dry_reserve,
                  .max_lead = absl::Hours(1),
                  .frame_period = kVoiceFrame,
                  .heard = true,
                  .room_frames = 16};
    }
    const auto quantum = ChooseQuantum(views, {4, 4}, costs, recent_, options, now);
    ASSERT_TRUE(quantum);
    now += costs.Predict(quantum->model, Stage::kGenerate, 0,
                         static_cast<int>(quantum->sessions.size())) +
           absl::Microseconds(10);
    for (int i : quantum->sessions) {
      const absl::Duration waited = now - deadline[i];
      ASSERT_LE(waited, sessions * absl::Milliseconds(12) + absl::Milliseconds(100));
      deadline[i] = now + DrawMs(0, 20);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, PolicyProperties, testing::Range(0, 100));

}  // namespace
}  // namespace firstbyte
