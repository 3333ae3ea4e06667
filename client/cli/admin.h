// `firstbyte admin VERB`: what an operator asks of a running server.
#pragma once

#include <string>

namespace firstbyte {

struct AdminCommand {
  std::string target;           // of the admin port
  std::string verb;             // info, models, drain, log-level, load, unload, trace, flight
  std::string name;             // of a model, or a log level
  std::string within;           // drain, unload: a duration such as 10s, or empty
  std::string duration = "5s";  // trace
  std::string out;              // trace, flight: a file; '-': standard output
  bool json = false;            // info, models: the message as JSON
};

// Returns an exit code (client/exit_codes.h).
int Admin(const AdminCommand& command);

}  // namespace firstbyte
