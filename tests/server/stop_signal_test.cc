#include "server/stop_signal.h"

#include <csignal>
#include <cstdlib>

#include "gtest/gtest.h"

namespace firstbyte {
namespace {

// Each in a process of its own, since the signals are the process'.

TEST(StopSignalDeathTest, TheServersOwnWishStopsIt) {
  EXPECT_EXIT(
      {
        StopSignal stop;
        StopSignal::Raise();
        std::exit(stop.Wait() == SIGUSR1 ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST(StopSignalDeathTest, AWishDuringADrainDoesNotEndIt) {
  EXPECT_EXIT(
      {
        StopSignal stop;
        raise(SIGTERM);
        const int first = stop.Wait();
        StopSignal::Raise();
        std::exit(first == SIGTERM ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST(StopSignalDeathTest, ASecondSignalFromOutsideDoes) {
  EXPECT_EXIT(
      {
        StopSignal stop;
        raise(SIGINT);
        stop.Wait();
        raise(SIGTERM);
        std::exit(0);
      },
      testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace firstbyte
