#include "server/scheduler/flight_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace firstbyte {
namespace {

absl::Status Failed(const std::string& path) {
  return absl::UnavailableError(absl::StrCat("cannot write ", path, ": ", std::strerror(errno)));
}

}  // namespace

absl::StatusOr<std::string> WriteFlights(const std::deque<FlightRecorder>& flights,
                                         const std::string& folder) {
  const std::string path = absl::StrCat(
      folder, "/flight-", absl::FormatTime("%Y%m%dT%H%M%E6S", absl::Now(), absl::UTCTimeZone()),
      "-", getpid(), ".jsonl");
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return Failed(path);
  std::unique_ptr<FILE, int (*)(FILE*)> file(fdopen(fd, "w"), &fclose);
  for (const FlightRecorder& flight : flights) {
    const std::string text = ToText(flight.Take());
    if (fwrite(text.data(), 1, text.size(), file.get()) != text.size()) return Failed(path);
  }
  if (fclose(file.release()) != 0) return Failed(path);
  return path;
}

}  // namespace firstbyte
