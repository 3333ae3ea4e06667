// The bytes of a file; none where it cannot be read.
#pragma once

#include <fstream>
#include <sstream>
#include <string>

namespace firstbyte {

inline std::string ReadFile(const std::string& path) {
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  return bytes.str();
}

}  // namespace firstbyte
