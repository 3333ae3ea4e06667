#include "metrics/exposer.h"

#include <unistd.h>

#include <memory>
#include <string>

#include <arpa/inet.h>
#include <sys/socket.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/instruments.h"
#include "metrics/metrics.h"

namespace firstbyte {
namespace {

using ::testing::HasSubstr;

std::string Get(int port, const std::string& path) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    std::string request = absl::StrCat("GET ", path, " HTTP/1.0\r\n\r\n");
    EXPECT_EQ(write(fd, request.data(), request.size()), static_cast<ssize_t>(request.size()));
    char buffer[65536];
    while (ssize_t n = read(fd, buffer, sizeof(buffer))) {
      if (n < 0) break;
      answer.append(buffer, n);
    }
  }
  close(fd);
  return answer;
}

TEST(MetricsExposer, AScrapeHoldsEveryRowOfTheTable) {
  Metrics metrics({"rms"}, {"0.1", "avx2"});
  auto exposer = MetricsExposer::Listen("127.0.0.1:0", metrics.collectable());
  ASSERT_TRUE(exposer.ok()) << exposer.status();
  std::string text = Get((*exposer)->port(), "/metrics");
  EXPECT_THAT(text, HasSubstr("200 OK"));
  for (const Instrument& row : Instruments()) {
    const bool has_series = !absl::StartsWith(row.name, "firstbyte_gpu_") &&
                            row.name != "firstbyte_lane_load_ratio";  // no GPU, no lane
    if (!has_series) continue;
    EXPECT_THAT(text, HasSubstr(absl::StrCat("# HELP ", row.name, " ", row.help)));
    const char* suffix = row.kind == Instrument::Kind::kHistogram ? "_bucket{" : "";
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\n", row.name, suffix))) << "a series of it";
  }
}

TEST(MetricsExposer, ATakenAddressIsAnErrorThatNamesIt) {
  Metrics metrics({}, {});
  auto first = MetricsExposer::Listen("127.0.0.1:0", metrics.collectable());
  ASSERT_TRUE(first.ok()) << first.status();
  std::string address = absl::StrCat("127.0.0.1:", (*first)->port());
  auto second = MetricsExposer::Listen(address, metrics.collectable());
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(address));
  EXPECT_FALSE(MetricsExposer::Listen("not an address", metrics.collectable()).ok());
}

}  // namespace
}  // namespace firstbyte
