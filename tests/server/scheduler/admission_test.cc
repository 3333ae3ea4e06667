#include "server/scheduler/admission.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <vector>

#include "base/error.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using absl::Milliseconds;
using absl::Seconds;

// Sums and times are worked out by hand: a frame of 40 ms takes 4 ms a session, a start 15 ms.
class Admission : public testing::Test {
 protected:
  AdmissionLedger Make(std::vector<std::vector<int>> slots, AdmissionLimits limits = {}) {
    limits.clock = &clock_;
    return AdmissionLedger(std::move(slots), limits);
  }
  static SessionCost Cost() {
    return {.frame = {.per_session = Milliseconds(4)},
            .period = Milliseconds(40),
            .start_up = {.per_session = Milliseconds(15)},
            .batch = 8};
  }
  // One that is heard at once.
  static Seat Take(AdmissionLedger* ledger, AdmissionRequest request = {}) {
    auto seat = ledger->Admit(request);
    EXPECT_TRUE(seat.ok()) << seat.status();
    if (!seat.ok()) return Seat();
    seat->Started();
    return *std::move(seat);
  }
  static std::string Reason(const absl::StatusOr<Seat>& seat) {
    return seat.ok() ? "OK" : DetailOf(seat.status()).reason;
  }
  static absl::Duration Retry(const absl::StatusOr<Seat>& seat) {
    return DetailOf(seat.status()).retry_after.value_or(absl::ZeroDuration());
  }

  FakeClock clock_;
};

TEST_F(Admission, GoesToTheLeastLoadedLane) {
  AdmissionLedger ledger = Make({{2, 2}});
  Seat a = Take(&ledger), b = Take(&ledger), c = Take(&ledger);
  EXPECT_EQ(a.lane(), 0);
  EXPECT_EQ(b.lane(), 1);
  EXPECT_EQ(c.lane(), 0);
  EXPECT_EQ(ledger.usage(0).used, 3);
  EXPECT_EQ(ledger.usage(0).total, 4);
}

TEST_F(Admission, LoadNotCountSaysWhichLaneThatIs) {
  AdmissionLedger ledger = Make({{8, 8}, {8, 8}});
  for (int lane : {0, 1}) {
    ledger.SetCost(0, lane, Cost());
    SessionCost heavy = Cost();
    heavy.frame.per_session = Milliseconds(16);
    ledger.SetCost(1, lane, heavy);
  }
  Seat world = Take(&ledger, {.model = 1});  // as much as four voices
  std::vector<Seat> voices;
  for (int i = 0; i < 4; ++i) {
    voices.push_back(Take(&ledger));
    EXPECT_EQ(voices.back().lane(), 1) << i;
  }
  EXPECT_DOUBLE_EQ(ledger.load(0), 0.4);
  EXPECT_DOUBLE_EQ(ledger.load(1), 0.4);
}

TEST_F(Admission, ALaneWithoutAFreeSlotIsNotChosen) {
  AdmissionLedger ledger = Make({{8, 1}, {0, 8}});
  for (int lane : {0, 1}) ledger.SetCost(0, lane, Cost());
  Seat a = Take(&ledger), b = Take(&ledger), c = Take(&ledger);
  EXPECT_EQ(a.lane() + b.lane() + c.lane(), 1) << "one on lane 1, which has no more";
}

TEST_F(Admission, RefusesWhatTheLaneCouldNotSustain) {
  AdmissionLedger ledger = Make({{64}});
  ledger.SetCost(0, 0, Cost());
  std::vector<Seat> seats;
  for (int i = 0; i < 7; ++i) seats.push_back(Take(&ledger));  // 7 x 0.1
  auto refused = ledger.Admit({});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Reason(refused), "OVERLOAD");
  EXPECT_EQ(Reason(ledger.Admit({.pace = 0.5})), "OK") << "0.75 is still allowed";
  seats.pop_back();
  EXPECT_EQ(Reason(ledger.Admit({})), "OK");
}

TEST_F(Admission, WhatIsEncodedTakesTheTimeOfThoseWhoAreNot) {
  AdmissionLedger ledger = Make({{64}});
  ledger.SetCost(0, 0, Cost());
  std::vector<Seat> seats;
  for (int i = 0; i < 3; ++i) seats.push_back(Take(&ledger, {.encoding = 0.1}));  // 3 x 0.2
  EXPECT_DOUBLE_EQ(ledger.load(0), 0.6);
  EXPECT_EQ(Reason(ledger.Admit({.encoding = 0.1})), "OVERLOAD");
  EXPECT_EQ(Reason(ledger.Admit({})), "OK") << "one that asks for plain samples";
  seats.clear();
  EXPECT_DOUBLE_EQ(ledger.load(0), 0);
}

TEST_F(Admission, AWorldThatPromisesNoPaceIsAQuarterOfOneThatDoes) {
  AdmissionLedger ledger = Make({{64}});
  ledger.SetCost(0, 0, Cost());
  std::vector<Seat> seats;
  for (int i = 0; i < 30; ++i) seats.push_back(Take(&ledger, {.pace = kUnpaced}));
  EXPECT_DOUBLE_EQ(ledger.load(0), 0.75);
  EXPECT_EQ(Reason(ledger.Admit({.pace = kUnpaced})), "OVERLOAD");
}

TEST_F(Admission, LoadDoesNotRefuseTheOnlyOne) {
  AdmissionLedger ledger = Make({{64}});
  SessionCost slow = Cost();
  slow.frame.per_session = Seconds(1);
  ledger.SetCost(0, 0, slow);
  Seat only = Take(&ledger);
  EXPECT_EQ(Reason(ledger.Admit({})), "OVERLOAD");
}

TEST_F(Admission, ASlowMachineIsFullEarlier) {
  AdmissionLedger ledger = Make({{64}});
  ledger.SetCost(0, 0, Cost());
  std::vector<Seat> seats;
  for (int i = 0; i < 4; ++i) seats.push_back(Take(&ledger));
  ledger.ObserveStep(0, Milliseconds(4), Milliseconds(8));
  EXPECT_EQ(Reason(ledger.Admit({})), "OVERLOAD");  // 5 x 0.2
}

TEST_F(Admission, NoVoiceIsAdmittedWhereTooManyCatchUp) {
  AdmissionLedger ledger = Make({{64, 64}}, {.max_catching_up = 0.1});
  SessionCost light = Cost();
  light.frame.per_session = Milliseconds(0.4);  // 0.01 a session
  for (int lane : {0, 1}) ledger.SetCost(0, lane, light);
  const AdmissionRequest voice{.promises_first_byte = true};
  Seat a = Take(&ledger, voice), b = Take(&ledger, voice);
  ledger.ObserveCatchingUp(0, {10});
  Seat c = Take(&ledger, voice), d = Take(&ledger, voice);
  EXPECT_EQ(c.lane() + d.lane(), 2) << "the other lane, although it has more";
  ledger.ObserveCatchingUp(1, {10});
  auto refused = ledger.Admit(voice);
  EXPECT_EQ(Reason(refused), "OVERLOAD");
  EXPECT_GT(Retry(refused), Milliseconds(0));
  EXPECT_EQ(Reason(ledger.Admit({})), "OK") << "a world does not run ahead";
  ledger.ObserveCatchingUp(1, {9});
  auto last = ledger.Admit(voice);
  EXPECT_EQ(Reason(last), "OK");
  EXPECT_EQ(Reason(ledger.Admit(voice)), "OVERLOAD") << "the last one will catch up, too";
  last->Started();
  EXPECT_EQ(Reason(ledger.Admit(voice)), "OK");
}

TEST_F(Admission, AHandfulMayAlwaysCatchUpTogether) {
  AdmissionLedger ledger = Make({{64}}, {.max_load = 0, .max_catching_up = 0.1});
  ledger.SetCost(0, 0, Cost());  // 0.1 a session
  const AdmissionRequest voice{.promises_first_byte = true};
  Seat a = Take(&ledger, voice);
  ledger.ObserveCatchingUp(0, {7});
  EXPECT_EQ(Reason(ledger.Admit(voice)), "OK");
  ledger.ObserveCatchingUp(0, {8});
  EXPECT_EQ(Reason(ledger.Admit(voice)), "OVERLOAD");
}

TEST_F(Admission, PredictsTheFirstByteOfWhoStartsTogether) {
  AdmissionLedger ledger = Make({{64}});
  ledger.SetCost(0, 0, Cost());
  const AdmissionRequest voice{.promises_first_byte = true};
  auto first = ledger.Admit(voice), second = ledger.Admit(voice);  // 8 + 15, 8 + 30 ms
  auto third = ledger.Admit(voice);                                // 8 + 45 ms
  EXPECT_EQ(Reason(third), "TTFB_TARGET");
  EXPECT_EQ(Retry(third), Milliseconds(10)) << "3 ms over, and no less than 10";
  EXPECT_EQ(Reason(ledger.Admit({})), "OK") << "a world does not promise it";
  EXPECT_EQ(Reason(ledger.Admit({.time_left = Milliseconds(52)})), "DEADLINE_TOO_SHORT");
  first->Started();
  second->Started();
  EXPECT_EQ(Reason(ledger.Admit(voice)), "OK");
}

TEST_F(Admission, PredictionDoesNotRefuseTheOnlyOne) {
  AdmissionLedger ledger = Make({{64}});
  SessionCost slow = Cost();
  slow.start_up.per_session = Seconds(1);
  ledger.SetCost(0, 0, slow);
  EXPECT_EQ(Reason(ledger.Admit({.promises_first_byte = true, .time_left = Milliseconds(1)})),
            "OK");
}

TEST_F(Admission, RefusesWhileStartsTakeLongerThanPlanned) {
  AdmissionLedger ledger = Make({{64}});
  ledger.SetCost(0, 0, Cost());
  const AdmissionRequest voice{.promises_first_byte = true};
  Seat a = Take(&ledger), b = Take(&ledger), c = Take(&ledger);  // 0.3 of the lane
  auto first = ledger.Admit(voice);
  EXPECT_EQ(first->planned_ttfb(), Milliseconds(8 + 15));
  first->Started();
  for (int i = 0; i < 100; ++i) ledger.ObserveStart(0, first->planned_ttfb(), Milliseconds(40));
  // 17 ms over, twice: 57 ms.
  auto refused = ledger.Admit(voice);
  EXPECT_EQ(Reason(refused), "TTFB_TARGET");
  EXPECT_EQ(Retry(refused), Milliseconds(10));
  EXPECT_EQ(Reason(ledger.Admit({})), "OK") << "a world does not promise it";
  clock_.Advance(Seconds(2));
  EXPECT_EQ(Reason(ledger.Admit(voice)), "OK") << "long ago";
}

TEST_F(Admission, LatenessDoesNotRefuseOneThatIsSlowByItself) {
  AdmissionLedger ledger = Make({{64}});
  SessionCost slow = Cost();
  slow.start_up.per_session = Seconds(1);
  ledger.SetCost(0, 0, slow);
  Seat a = Take(&ledger), b = Take(&ledger), c = Take(&ledger);
  for (int i = 0; i < 100; ++i) ledger.ObserveStart(0, Milliseconds(1), Seconds(1));
  EXPECT_EQ(Reason(ledger.Admit({.promises_first_byte = true})), "OK")
      << "it takes a second whenever it comes";
}

// Starts wait in one queue where each takes `factor` times what the ledger was told, as behind a
// front end or a core that others hold. Many more come than it can take; heard ones stay a while.
class LateStarts {
 public:
  LateStarts(uint64_t seed, double factor) : random_(seed), factor_(factor) {
    AdmissionLimits limits;
    limits.max_catching_up = 0;  // these never do
    limits.clock = &clock_;
    ledger_ = std::make_unique<AdmissionLedger>(std::vector<std::vector<int>>{{256}}, limits);
    ledger_->SetCost(0, 0,
                     {.frame = {.per_session = absl::Microseconds(200)},
                      .period = Milliseconds(40),
                      .start_up = {.per_session = Milliseconds(1)},
                      .batch = 8});
  }

  // -> first bytes of those who were admitted, in order; with `told`, the ledger hears of them.
  std::vector<absl::Duration> Run(bool told) {
    std::vector<absl::Duration> waits;
    for (int ms = 0; ms < 20'000; ++ms, clock_.Advance(Milliseconds(1))) {
      if (std::uniform_real_distribution<>(0, 1)(random_) < 0.5) Come();
      done_ += 1 / factor_;
      for (; !queue_.empty() && done_ >= 1; done_ -= 1) {
        Waiting first = std::move(queue_.front());
        queue_.pop_front();
        waits.push_back(clock_.Now() - first.since);
        first.seat.Started();
        if (told) ledger_->ObserveStart(0, first.seat.planned_ttfb(), waits.back());
        heard_.push_back({std::move(first.seat), clock_.Now()});
      }
      if (queue_.empty()) done_ = std::min(done_, 1.0);
      while (!heard_.empty() && clock_.Now() - heard_.front().since > Milliseconds(500)) {
        heard_.pop_front();
      }
    }
    return waits;
  }

 private:
  struct Waiting {
    Seat seat;
    absl::Time since;
  };
  void Come() {
    auto seat = ledger_->Admit({.promises_first_byte = true});
    if (seat.ok()) queue_.push_back({*std::move(seat), clock_.Now()});
  }

  std::mt19937_64 random_;
  const double factor_;
  double done_ = 0;  // starts that could have been made
  FakeClock clock_;
  std::unique_ptr<AdmissionLedger> ledger_;  // before the seats
  std::deque<Waiting> queue_, heard_;
};

absl::Duration Percentile95(std::vector<absl::Duration> waits) {
  std::sort(waits.begin(), waits.end());
  return waits[waits.size() * 95 / 100];
}

TEST(AdmissionOfLateStarts, KeepsTheTargetWhateverDelaysThem) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    for (double factor : {4.0, 6.0, 8.0}) {
      const auto blind = LateStarts(seed, factor).Run(/*told=*/false);
      const auto told = LateStarts(seed, factor).Run(/*told=*/true);
      EXPECT_GT(Percentile95(blind), Milliseconds(80)) << "the case must be one";
      EXPECT_LE(Percentile95(told), Milliseconds(50)) << "seed " << seed << " x" << factor;
      // Nobody is kept out for nothing: nearly as many are heard as can be.
      EXPECT_GE(told.size(), 0.8 * 20'000 / factor) << "seed " << seed << " x" << factor;
    }
  }
}

TEST_F(Admission, ATenantHasAQuota) {
  AdmissionLedger ledger = Make({{64}}, {.max_streams_per_tenant = 2});
  Seat a = Take(&ledger, {.tenant = "a"}), b = Take(&ledger, {.tenant = "a"});
  EXPECT_EQ(Reason(ledger.Admit({.tenant = "a"})), "TENANT_QUOTA");
  EXPECT_EQ(Reason(ledger.Admit({.tenant = "b"})), "OK");
  a = Seat();
  EXPECT_EQ(Reason(ledger.Admit({.tenant = "a"})), "OK");
}

TEST_F(Admission, BytesOfAllStreamsAreBounded) {
  AdmissionLedger ledger = Make({{64}}, {.max_bytes = 1000});
  Seat a = Take(&ledger, {.bytes = 600});
  EXPECT_EQ(Reason(ledger.Admit({.bytes = 401})), "NO_MEMORY");
  Seat b = Take(&ledger, {.bytes = 400});
  a = Seat();
  EXPECT_EQ(Reason(ledger.Admit({.bytes = 600})), "OK");
}

TEST_F(Admission, TestsInTheDesignsOrder) {
  AdmissionLedger ledger = Make({{1}}, {.max_streams_per_tenant = 1, .max_bytes = 1});
  SessionCost full = Cost();
  full.frame.per_session = Milliseconds(40);
  ledger.SetCost(0, 0, full);
  Seat only = Take(&ledger, {.tenant = "a", .bytes = 1});
  const AdmissionRequest again{.tenant = "a", .bytes = 1};
  EXPECT_EQ(Reason(ledger.Admit(again)), "TENANT_QUOTA");
  EXPECT_EQ(Reason(ledger.Admit({.tenant = "b", .bytes = 1})), "OVERLOAD");
  ledger.SetCost(0, 0, {});
  EXPECT_EQ(Reason(ledger.Admit({.tenant = "b", .bytes = 1})), "NO_SLOT");
  ledger.StartDraining();
  EXPECT_EQ(Reason(ledger.Admit(again)), "DRAINING");
}

TEST_F(Admission, SaysWhenASeatIsExpectedBack) {
  AdmissionLedger ledger = Make({{4}});
  std::vector<Seat> seats;
  for (int i = 0; i < 4; ++i) seats.push_back(Take(&ledger));
  clock_.Advance(Seconds(17));
  seats.pop_back();  // mean of a guess of 1 s and this one, which counts for a sixteenth: 2 s
  seats.push_back(Take(&ledger));
  // Four seats, each for 2 s: one comes back every 500 ms, and the next one is promised already.
  EXPECT_EQ(Retry(ledger.Admit({})), Milliseconds(500));
  EXPECT_EQ(Retry(ledger.Admit({})), Milliseconds(1000));
  EXPECT_EQ(Retry(ledger.Admit({})), Milliseconds(1500));
  clock_.Advance(Seconds(10));
  EXPECT_EQ(Retry(ledger.Admit({})), Milliseconds(500));
  for (int i = 0; i < 100; ++i) EXPECT_LE(Retry(ledger.Admit({})), Seconds(30));
}

TEST_F(Admission, SeatComesBackOnceWhereverItWasMoved) {
  AdmissionLedger ledger = Make({{1}});
  {
    Seat first = Take(&ledger);
    Seat second = std::move(first);
    EXPECT_EQ(ledger.usage(0).used, 1);
  }
  EXPECT_EQ(ledger.usage(0).used, 0);
  EXPECT_EQ(Reason(ledger.Admit({})), "OK");
}

TEST_F(Admission, DrainingRefusesAndKeepsWhatIsHeld) {
  AdmissionLedger ledger = Make({{4}});
  Seat held = Take(&ledger);
  ledger.StartDraining();
  EXPECT_EQ(ledger.Admit({}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ledger.usage(0).used, 1);
}

TEST_F(Admission, AClosedModelAdmitsNobodyAndTellsOnceWhenItIsIdle) {
  AdmissionLedger ledger = Make({{2, 2}, {2, 2}});
  Seat first = Take(&ledger), second = Take(&ledger);
  int idle = 0;
  ledger.Close(0, [&] { ++idle; });
  EXPECT_EQ(Reason(ledger.Admit({})), "MODEL_UNLOADING");
  EXPECT_GT(Retry(ledger.Admit({})), absl::ZeroDuration());
  EXPECT_EQ(Reason(ledger.Admit({.model = 1})), "OK");
  first = Seat();
  EXPECT_EQ(idle, 0);
  second = Seat();
  EXPECT_EQ(idle, 1);
  EXPECT_FALSE(ledger.CancelClose(0)) << "too late";
  EXPECT_EQ(Reason(ledger.Admit({})), "MODEL_UNLOADING");
  ledger.Open(0);
  first = Take(&ledger);
  first = Seat();
  EXPECT_EQ(idle, 1);
  ledger.Close(0, [&] { ++idle; });
  EXPECT_EQ(idle, 2) << "at once where nobody is";
}

TEST_F(Admission, AClosedModelCanBeOpenedWhileSomebodyIsThere) {
  AdmissionLedger ledger = Make({{2}});
  Seat seat = Take(&ledger);
  ledger.Close(0, [] { FAIL(); });
  EXPECT_TRUE(ledger.CancelClose(0));
  EXPECT_EQ(Reason(ledger.Admit({})), "OK");
  seat = Seat();
  EXPECT_FALSE(ledger.CancelClose(0)) << "it is open";
}

}  // namespace
}  // namespace firstbyte
