#include "metrics/exposer.h"

#include <exception>
#include <utility>

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>

#include "absl/strings/str_cat.h"

namespace firstbyte {

absl::StatusOr<std::unique_ptr<MetricsExposer>> MetricsExposer::Listen(
    const std::string& address, std::shared_ptr<prometheus::Collectable> collectable) {
  // The constructor's exceptions end here; there is no other way to ask it.
  try {
    auto exposer = std::make_unique<prometheus::Exposer>(address, /*num_threads=*/2);
    exposer->RegisterCollectable(collectable, "/metrics");
    return std::unique_ptr<MetricsExposer>(
        new MetricsExposer(std::move(exposer), std::move(collectable)));
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat("cannot serve metrics on ", address, ": ", error.what()));
  }
}

MetricsExposer::MetricsExposer(std::unique_ptr<prometheus::Exposer> exposer,
                               std::shared_ptr<prometheus::Collectable> collectable)
    : collectable_(std::move(collectable)), exposer_(std::move(exposer)) {}

MetricsExposer::~MetricsExposer() = default;

int MetricsExposer::port() const {
  auto ports = exposer_->GetListeningPorts();
  return ports.empty() ? 0 : ports.front();
}

}  // namespace firstbyte
