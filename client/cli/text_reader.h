// Text from a file descriptor, as it arrives: what is typed or piped is spoken without waiting for
// the end.
#pragma once

#include <optional>
#include <string>

namespace firstbyte {

// One thread reads; Stop() may come from another.
class TextReader {
 public:
  explicit TextReader(int fd);  // not owned
  ~TextReader();
  TextReader(const TextReader&) = delete;
  TextReader& operator=(const TextReader&) = delete;

  // Waits for more bytes and returns them up to the last whole UTF-8 character. nullopt at the end
  // or after Stop().
  std::optional<std::string> Next();
  void Stop();

 private:
  const int fd_;
  const int stop_fd_;    // an eventfd
  std::string partial_;  // a character's first bytes
};

}  // namespace firstbyte
