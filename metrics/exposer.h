// The HTTP listener of /metrics.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace prometheus {
class Collectable;
class Exposer;
}  // namespace prometheus

namespace firstbyte {

// Serves one collectable as Prometheus text while it lives. Two threads of its own.
//
// prometheus-cpp adds four exposer_* series (one in microseconds) to every path it serves: they
// are about the scrape itself and carry another prefix than ours.
class MetricsExposer {
 public:
  // `address` as in "127.0.0.1:9464"; port 0 takes a free one. kUnavailable when it is taken or not
  // an address.
  static absl::StatusOr<std::unique_ptr<MetricsExposer>> Listen(
      const std::string& address, std::shared_ptr<prometheus::Collectable> collectable);
  ~MetricsExposer();  // waits for scrapes in progress; civetweb takes up to 2 s to notice

  int port() const;

 private:
  MetricsExposer(std::unique_ptr<prometheus::Exposer> exposer,
                 std::shared_ptr<prometheus::Collectable> collectable);

  const std::shared_ptr<prometheus::Collectable> collectable_;  // the exposer holds a weak one
  const std::unique_ptr<prometheus::Exposer> exposer_;
};

}  // namespace firstbyte
