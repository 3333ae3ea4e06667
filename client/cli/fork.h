// `firstbyte fork`: plays on from a saved world, while the world it was saved from goes its own
// way.
#pragma once

#include <string>

#include "client/play/play.h"

namespace firstbyte {

struct ForkOptions {
  std::string origin;  // a snapshot; with a token a session, of which a snapshot is taken
  std::string token;
  PlayOptions play;  // its origin is not set
};

int Fork(const ForkOptions& options);  // returns the exit code

}  // namespace firstbyte
