// Runs a program as a person would, and keeps what it printed.
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

namespace firstbyte {

struct CommandResult {
  int exit_code = -1;  // 128 + signal when killed
  std::string out, err;
};

// Started at construction; one thread.
class Command {
 public:
  explicit Command(const std::vector<std::string>& argv);

  pid_t pid() const { return pid_; }
  void Type(const std::string& text);  // to its standard input
  void CloseInput();
  CommandResult Wait();  // closes its input, waits for its end

 private:
  pid_t pid_ = 0;
  int in_ = -1;
  std::string out_path_, err_path_;
};

}  // namespace firstbyte
