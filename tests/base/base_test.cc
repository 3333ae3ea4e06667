#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <thread>

#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "base/cores.h"
#include "base/error.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/thread.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

TEST(Error, CarriesReasonFieldAndRetry) {
  absl::Status status = Error(
      absl::StatusCode::kResourceExhausted,
      {.reason = "NO_SLOT", .metadata = {{"model", "rms"}}, .retry_after = absl::Milliseconds(250)},
      "all slots are taken");
  ErrorDetail detail = DetailOf(status);
  EXPECT_EQ(detail.reason, "NO_SLOT");
  EXPECT_EQ(detail.metadata.at("model"), "rms");
  EXPECT_EQ(detail.retry_after, absl::Milliseconds(250));
}

TEST(Error, QuotingInvalidUtf8DoesNotThrow) {
  absl::Status status =
      Error(absl::StatusCode::kInvalidArgument, "BAD_TEXT", "no", "text \xff\xfe");
  EXPECT_EQ(DetailOf(status).reason, "BAD_TEXT");
}

TEST(Error, ForeignStatusIsNamedByItsCode) {
  EXPECT_EQ(DetailOf(absl::NotFoundError("x")).reason, "NOT_FOUND");
}

TEST(Ids, AreDistinctVersion4Uuids) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(NewUuid());
  EXPECT_EQ(seen.size(), 1000u);
  EXPECT_THAT(*seen.begin(), testing::MatchesRegex("[0-9a-f-]+"));
  EXPECT_EQ((*seen.begin())[14], '4');
}

TEST(FakeClock, MovesOnlyWhenTold) {
  FakeClock clock;
  absl::Time start = clock.Now();
  clock.Advance(absl::Milliseconds(5));
  EXPECT_EQ(clock.Now() - start, absl::Milliseconds(5));
}

TEST(Cores, AQuotaCountsInWholeOnes) {
  EXPECT_EQ(CoresOfQuota("200000 100000"), 2);
  EXPECT_EQ(CoresOfQuota("250000 100000\n"), 2);
  EXPECT_EQ(CoresOfQuota("50000 100000"), 1);
  for (const char* none : {"max 100000", "", "1", "1 0", "-1 1", "a b", "1 2 3"}) {
    EXPECT_EQ(CoresOfQuota(none), std::nullopt) << none;
  }
}

TEST(Cores, AffinityLimitsThem) {
  std::thread([] {
    cpu_set_t before, one;
    ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    EXPECT_EQ(UsableCores(), 1);
    ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
    EXPECT_GE(UsableCores(), 1);
    EXPECT_LE(UsableCores(), CPU_COUNT(&before));
  }).join();
}

TEST(Thread, PriorityIsLoweredFromWhateverItWas) {
  std::thread([] {
    EXPECT_TRUE(LowerThisThreadsPriority(2));
    const auto tid = static_cast<id_t>(syscall(SYS_gettid));
    const int before = getpriority(PRIO_PROCESS, tid);
    EXPECT_TRUE(LowerThisThreadsPriority(3));
    EXPECT_EQ(getpriority(PRIO_PROCESS, tid), std::min(before + 3, 19));
  }).join();
}

// The kernel's answer, by the words of sched_attr: 0 size and policy, 2 nice, 3 the turn.
std::array<uint64_t, 6> Scheduling() {
  std::array<uint64_t, 6> words = {};
  EXPECT_EQ(syscall(SYS_sched_getattr, 0, words.data(), sizeof(words), 0), 0);
  return words;
}

TEST(Thread, TurnsAreInheritedAndChangeNothingElse) {
  std::thread([] {
    EXPECT_TRUE(LowerThisThreadsPriority(2));
    const std::array<uint64_t, 6> before = Scheduling();
    ASSERT_TRUE(SetThisThreadsTurn(absl::Microseconds(200)));
    std::array<uint64_t, 6> after = Scheduling();
    const uint64_t turn = after[3];
    EXPECT_TRUE(turn == 200'000 || turn == before[3]) << turn;  // the latter: Linux before 6.12
    std::thread([&] { EXPECT_EQ(Scheduling(), after); }).join();
    after[3] = before[3];
    EXPECT_EQ(after, before);
    ASSERT_TRUE(SetThisThreadsTurn(absl::ZeroDuration()));
    EXPECT_EQ(Scheduling(), before);
  }).join();
}

TEST(Log, UnknownLevelIsAnError) {
  EXPECT_FALSE(ConfigureLog(LogFormat::kText, "loud").ok());
  EXPECT_TRUE(ConfigureLog(LogFormat::kText, "info").ok());
}

}  // namespace
}  // namespace firstbyte
