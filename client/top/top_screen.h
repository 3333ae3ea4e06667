// One screen of `firstbyte top`, as text: lanes, stages, streams.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "firstbyte/v1/admin.pb.h"

namespace firstbyte {

struct TopView {
  enum class Order { kAge, kLead };  // oldest first; nearest to silence first

  std::string target;
  absl::Time now;       // wall clock
  int columns = 0;      // lines are cut there; 0: never
  int rows = 0;         // lines at most; 0: as many as there are, and no line of keys
  bool styles = false;  // ANSI colours
  Order order = Order::kAge;
  int first = 0;        // streams above the screen
  std::string trouble;  // why the numbers are old; empty: they are not
};

// Lines that end in "\n". What does not fit is cut, streams first, and counted.
std::string TopScreen(const v1::GetServerInfoResponse& info, const v1::GetStatsResponse& stats,
                      const TopView& view);

}  // namespace firstbyte
