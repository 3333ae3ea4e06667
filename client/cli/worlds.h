// `firstbyte worlds` and `firstbyte sessions`: what a server has to play, and what waits there.
#pragma once

#include <string>

namespace firstbyte {

// Each prints to stdout and returns the exit code.
int Worlds(const std::string& target);  // one line a world, "*" marks the default
int Sessions(const std::string& target);
int ShowSession(const std::string& target, const std::string& session_id);
int DeleteSession(const std::string& target, const std::string& session_id);

}  // namespace firstbyte
