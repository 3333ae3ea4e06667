// A long run of whole lanes: what blocks take on the wall clock, and whether that and memory stay.
#pragma once

#include <memory>

#include "model/world/state_dit/world.h"

namespace firstbyte {

struct LanesRun {
  int lanes = 1;     // threads
  int sessions = 6;  // of each lane, in step
  int blocks = 1000;
};

// Prints a line for each fifth of the run, all lanes together. Blocks are made as fast as they can
// be, so on an idle machine lanes * sessions worlds run in real time where a block's p99 is less
// than a frame.
void RunLanes(const std::shared_ptr<const state_dit::World>& world, const LanesRun& run);

}  // namespace firstbyte
