#include "client/loadgen/arrivals.h"

#include <fstream>
#include <string>

#include "gtest/gtest.h"

namespace firstbyte {
namespace {

TEST(ArrivalProcess, ConstantIsEvenlySpaced) {
  ArrivalProcess process(ArrivalKind::kConstant, 4, 1);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(process.Next(), absl::Milliseconds(250) * i);
}

TEST(ArrivalProcess, PoissonHasTheRateAskedForAndAsMuchSpread) {
  ArrivalProcess process(ArrivalKind::kPoisson, 50, 3);
  absl::Duration last;
  double squares = 0;
  constexpr int kCount = 20'000;
  for (int i = 0; i < kCount; ++i) {
    absl::Duration at = process.Next();
    EXPECT_GE(at, last);
    double gap = absl::ToDoubleSeconds(at - last);
    squares += gap * gap;
    last = at;
  }
  EXPECT_NEAR(absl::ToDoubleSeconds(last) / kCount, 0.02, 0.0005);
  EXPECT_NEAR(squares / kCount, 2 * 0.02 * 0.02, 1e-4) << "an exponential distribution's";
}

TEST(ArrivalProcess, TheSameSeedComesAtTheSameTimes) {
  ArrivalProcess a(ArrivalKind::kPoisson, 5, 1), b(ArrivalKind::kPoisson, 5, 1),
      c(ArrivalKind::kPoisson, 5, 2);
  absl::Duration first = a.Next();
  EXPECT_EQ(first, b.Next());
  EXPECT_NE(first, c.Next());
}

TEST(ArrivalProcess, ATraceIsFollowedAndEnds) {
  std::string path = testing::TempDir() + "trace";
  std::ofstream(path) << "# two\n0.5\n\n 0.75 \n";
  auto trace = ReadTrace(path);
  ASSERT_TRUE(trace.ok()) << trace.status();
  ArrivalProcess process(ArrivalKind::kTrace, 0, 1, *trace);
  EXPECT_EQ(process.Next(), absl::Milliseconds(500));
  EXPECT_EQ(process.Next(), absl::Milliseconds(750));
  EXPECT_EQ(process.Next(), absl::InfiniteDuration());
}

TEST(ReadTrace, WhatIsWrongIsSaidWithItsLine) {
  std::string path = testing::TempDir() + "bad_trace";
  for (const char* bad : {"1\n0.5\n", "0\nx\n", "0\n-1\n", "0\nnan\n", "0\ninf\n"}) {
    std::ofstream(path) << bad;
    EXPECT_NE(ReadTrace(path).status().message().find("bad_trace:2:"), absl::string_view::npos)
        << bad;
  }
  std::ofstream(path) << "# nothing\n";
  EXPECT_FALSE(ReadTrace(path).ok());
  EXPECT_FALSE(ReadTrace("/nowhere").ok());
}

}  // namespace
}  // namespace firstbyte
