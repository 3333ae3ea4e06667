#include "tests/client/command.h"

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <utility>

#include <sys/wait.h>

#include "gtest/gtest.h"

extern char** environ;

namespace firstbyte {
namespace {

std::string TakeFile(const std::string& path) {
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  unlink(path.c_str());
  return bytes.str();
}

std::string EmptyFile() {
  std::string path = testing::TempDir() + "commandXXXXXX";
  close(mkstemp(path.data()));
  return path;
}

}  // namespace

Command::Command(const std::vector<std::string>& argv)
    : out_path_(EmptyFile()), err_path_(EmptyFile()) {
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[0], 0);
  posix_spawn_file_actions_addopen(&actions, 1, out_path_.c_str(), O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, err_path_.c_str(), O_WRONLY, 0);
  std::vector<char*> words;
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  EXPECT_EQ(posix_spawn(&pid_, words[0], &actions, nullptr, words.data(), environ), 0);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[0]);
  in_ = ends[1];
}

void Command::Type(const std::string& text) {
  EXPECT_EQ(write(in_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

void Command::CloseInput() {
  if (in_ >= 0) close(std::exchange(in_, -1));
}

CommandResult Command::Wait() {
  CloseInput();
  int status = 0;
  waitpid(pid_, &status, 0);
  int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return {code, TakeFile(out_path_), TakeFile(err_path_)};
}

}  // namespace firstbyte
