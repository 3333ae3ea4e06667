// What a player of a world does, as the load generator plays it.
#pragma once

#include <string>
#include <vector>

#include "firstbyte/v1/world.pb.h"

namespace firstbyte {

struct WorldScript {
  std::string model, prompt;  // empty: the server's default
  v1::Pacing pacing = v1::PACING_LOCKSTEP;
  v1::VideoFormat video = v1::VIDEO_FORMAT_UNSPECIFIED;
  double target_fps = 0;  // REALTIME; 0: the world's own
  int blocks = 100;       // then the player leaves
  // One is sent for each block, over and over; `sequence` and `client_time` are set when sent.
  // Empty: actions without keys.
  std::vector<v1::Actions> actions;
};

}  // namespace firstbyte
