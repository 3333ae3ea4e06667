// `firstbyte top`: what a server is doing, redrawn every second.
#pragma once

#include <string>

#include "absl/time/time.h"

namespace firstbyte {

struct TopOptions {
  std::string target;  // of the admin port
  std::string interval = "1s";
  bool once = false;  // print it once, without colours; so does output that is no terminal
  bool json = false;  // print it once, as {"info": ..., "stats": ...} of admin.proto
};

// Until q, Ctrl-C, or, at the beginning only, the server does not answer. Returns an exit code.
int Top(const TopOptions& options);

}  // namespace firstbyte
