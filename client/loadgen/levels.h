// Several loads one after the other: which of them is the knee, which is the most that is kept.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "client/loadgen/options.h"
#include "client/loadgen/server_check.h"
#include "client/loadgen/tally.h"

namespace firstbyte {

struct LevelResult {
  LoadOptions options;
  Tally tally;
  std::vector<std::string> broken;  // bounds of --slo
  std::optional<ServerCheck> check;
};

// The index of the level with the most throughput for its latency (Kleinrock's power: good requests
// a second / mean TTFB): beyond it latency grows faster than work done. nullopt below three levels
// or without one good request; INVALID levels do not count. In worlds of LOCKSTEP latency is action
// to frame.
std::optional<size_t> Knee(const std::vector<LevelResult>& levels);

// One line a level, the knee and broken bounds marked; a heading first.
std::string LevelTable(const std::vector<LevelResult>& levels);

// The largest amount for which `kept` holds, to about an eighth, at most `most`: doubles `start`
// until it fails, then halves the interval. An amount counts as failed when it fails twice: another
// program may have held the processor. 0 when not even `start` (down to a quarter of it) is kept.
double FindMax(LoadMode mode, double start, double most, const std::function<bool(double)>& kept);

}  // namespace firstbyte
