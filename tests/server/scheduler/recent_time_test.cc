#include "server/scheduler/recent_time.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

constexpr absl::Duration kStep = absl::Milliseconds(5);

TEST(RecentTime, StepIsSharedByItsSessions) {
  RecentTime recent;
  const int a = recent.Enter("a"), b = recent.Enter("b");
  recent.Spend({{a}, {a}, {a}, {b}}, absl::Milliseconds(8));
  EXPECT_EQ(recent.of(a), absl::Milliseconds(6));
  EXPECT_EQ(recent.of(b), absl::Milliseconds(2));
}

TEST(RecentTime, OldTimeIsForgotten) {
  RecentTime recent;
  const int a = recent.Enter("a"), b = recent.Enter("b");
  for (int i = 0; i < 1000; ++i) recent.Spend({{a}}, kStep);
  EXPECT_LT(recent.of(a), absl::Milliseconds(210)) << "no tenant is owed more than that";
  for (int i = 0; i < 200; ++i) recent.Spend({{b}}, kStep);
  EXPECT_LT(recent.of(a), absl::Milliseconds(2));
}

TEST(RecentTime, StartUpIsItsShareOfTheTimeSpent) {
  RecentTime recent;
  const int a = recent.Enter("a");
  EXPECT_EQ(recent.start_up(), 0);
  for (int i = 0; i < 200; ++i) recent.Spend({{a, i % 4 == 0}}, kStep);
  EXPECT_NEAR(recent.start_up(), 0.25, 0.02);
}

TEST(RecentTime, TenantIsRememberedWhileItHasSessions) {
  RecentTime recent;
  const int a = recent.Enter("a");
  EXPECT_EQ(recent.Enter("a"), a);
  recent.Spend({{a}}, kStep);
  recent.Leave(a);
  EXPECT_EQ(recent.Enter("a"), a);
  EXPECT_GT(recent.of(a), absl::ZeroDuration());
}

TEST(RecentTime, PlacesOfTenantsThatLeftAreUsedAgain) {
  RecentTime recent;
  for (int i = 0; i < 1000; ++i) {
    const int one = recent.Enter("tenant " + std::to_string(i)), two = recent.Enter("b");
    EXPECT_EQ(recent.of(one), absl::ZeroDuration()) << "of one who left before";
    recent.Spend({{one}}, kStep);
    recent.Leave(one);
    recent.Leave(two);
  }
  EXPECT_EQ(recent.tenants(), 2u);
}

}  // namespace
}  // namespace firstbyte
