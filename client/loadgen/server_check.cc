#include "client/loadgen/server_check.h"

#include <netdb.h>
#include <unistd.h>

#include <cmath>
#include <memory>

#include <sys/socket.h>
#include <sys/time.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace firstbyte {
namespace {

constexpr char kTtfbSum[] = "firstbyte_request_ttfb_seconds_sum";
constexpr char kTtfbCount[] = "firstbyte_request_ttfb_seconds_count";
constexpr char kUnderruns[] = "firstbyte_stream_underruns_total";
constexpr double kMeansAgree = 0.001;
constexpr size_t kLargestPage = 16 << 20;

// A connected socket, closed at the end; -1 when nobody answers.
class Socket {
 public:
  Socket(const std::string& host, const std::string& port) {
    addrinfo hints = {};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return;
    fd_ = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval limit = {.tv_sec = 5, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    connected_ = connect(fd_, found->ai_addr, found->ai_addrlen) == 0;
    freeaddrinfo(found);
  }
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  // All that comes until the peer closes; empty on any failure.
  std::string Ask(const std::string& request) {
    std::string answer;
    if (!connected_ || send(fd_, request.data(), request.size(), MSG_NOSIGNAL) < 0) return answer;
    char buffer[16384];
    ssize_t got = 0;
    while (answer.size() < kLargestPage && (got = recv(fd_, buffer, sizeof buffer, 0)) > 0) {
      answer.append(buffer, got);
    }
    return got == 0 ? answer : std::string();
  }

 private:
  int fd_ = -1;
  bool connected_ = false;
};

double Delta(const Scrape& before, const Scrape& after, const std::string& name) {
  const auto in = [&name](const Scrape& scrape) {
    const auto found = scrape.find(name);
    return found == scrape.end() ? 0 : found->second;
  };
  return in(after)-in(before);
}

}  // namespace

Scrape ParseMetrics(absl::string_view text) {
  Scrape scrape;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (line[0] == '#') continue;
    const size_t name_end = line.find_first_of("{ ");
    // Label values may hold spaces: the value comes after the last brace.
    const size_t labels_end = line.rfind('}');
    const size_t value_at = line.find_first_not_of(
        ' ', labels_end == absl::string_view::npos ? name_end : labels_end + 1);
    if (name_end == absl::string_view::npos || value_at == absl::string_view::npos) continue;
    const absl::string_view value = line.substr(value_at);
    double number = 0;
    if (absl::SimpleAtod(value.substr(0, value.find_first_of(" \r")), &number)) {
      scrape[std::string(line.substr(0, name_end))] += number;
    }
  }
  return scrape;
}

absl::StatusOr<Scrape> ScrapeServer(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("--metrics: ", address, " is not host:port"));
  }
  const std::string host = address.substr(0, colon);
  const std::string answer =
      Socket(host, address.substr(colon + 1))
          .Ask(absl::StrCat("GET /metrics HTTP/1.0\r\nHost: ", host, "\r\n\r\n"));
  const size_t body = answer.find("\r\n\r\n");
  if (!absl::StartsWith(answer, "HTTP/1.") || answer.substr(8, 4) != " 200" ||
      body == std::string::npos) {
    return absl::UnavailableError(absl::StrCat("no metrics at http://", address, "/metrics"));
  }
  return ParseMetrics(absl::string_view(answer).substr(body));
}

bool ServerCheck::agrees() const {
  return !restarted && comparable() && requests == our_requests &&
         std::abs(mean_ttfb - our_mean_ttfb) <= kMeansAgree;
}

nlohmann::json ServerCheck::ToJson() const {
  return {{"requests", requests},     {"our_requests", our_requests},
          {"mean_ttfb_s", mean_ttfb}, {"our_mean_ttfb_s", our_mean_ttfb},
          {"underruns", underruns},   {"restarted", restarted},
          {"untimed", untimed},       {"agrees", agrees()}};
}

std::string ServerCheck::ToLine() const {
  std::string verdict = "agrees";
  if (restarted) {
    verdict = "THE SERVER WAS RESTARTED";
  } else if (!comparable()) {
    verdict = absl::StrCat("cannot be compared, ", untimed, " requests ended without a Timing");
  } else if (!agrees()) {
    verdict = "DIFFERS";
  }
  return absl::StrFormat(
      "  /metrics   %d first bytes, mean %.2f ms (Timing: %d, %.2f ms); %d underruns: %s\n",
      requests, mean_ttfb * 1000, our_requests, our_mean_ttfb * 1000, underruns, verdict);
}

ServerCheck CheckServer(const Scrape& before, const Scrape& after, const Tally& tally) {
  ServerCheck check;
  const double count = Delta(before, after, kTtfbCount);
  check.restarted = count < 0;
  if (check.restarted) return check;
  check.requests = static_cast<int64_t>(count);
  if (count > 0) check.mean_ttfb = Delta(before, after, kTtfbSum) / count;
  check.underruns = static_cast<int64_t>(Delta(before, after, kUnderruns));
  check.our_requests = tally.all_timed;
  check.untimed = tally.all_untimed;
  if (tally.all_timed > 0) {
    check.our_mean_ttfb = tally.all_server_ttfb_seconds / static_cast<double>(tally.all_timed);
  }
  return check;
}

}  // namespace firstbyte
