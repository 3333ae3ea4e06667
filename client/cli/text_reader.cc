#include "client/cli/text_reader.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include <sys/eventfd.h>

#include "client/utf8.h"

namespace firstbyte {

TextReader::TextReader(int fd) : fd_(fd), stop_fd_(eventfd(0, EFD_CLOEXEC)) {}

TextReader::~TextReader() { close(stop_fd_); }

std::optional<std::string> TextReader::Next() {
  while (true) {
    pollfd fds[] = {{.fd = fd_, .events = POLLIN}, {.fd = stop_fd_, .events = POLLIN}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return std::nullopt;
    if (fds[1].revents != 0) return std::nullopt;
    if (fds[0].revents == 0) continue;
    char buffer[4096];
    ssize_t bytes = read(fd_, buffer, sizeof(buffer));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) {
      // A character cut off by the end: passed on, for the check of the encoding to refuse.
      if (partial_.empty()) return std::nullopt;
      return std::exchange(partial_, "");
    }
    std::string text = std::exchange(partial_, "").append(buffer, bytes);
    size_t whole = CompleteUtf8Prefix(text, text.size());
    partial_ = text.substr(whole);
    text.resize(whole);
    if (!text.empty()) return text;
  }
}

void TextReader::Stop() {
  uint64_t one = 1;
  [[maybe_unused]] ssize_t written = write(stop_fd_, &one, sizeof(one));
}

}  // namespace firstbyte
