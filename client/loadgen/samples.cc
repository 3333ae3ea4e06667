#include "client/loadgen/samples.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace firstbyte {

void Samples::Append(const Samples& other) {
  values_.insert(values_.end(), other.values_.begin(), other.values_.end());
}

double Samples::mean() const {
  if (values_.empty()) return 0;
  return std::accumulate(values_.begin(), values_.end(), 0.0) / values_.size();
}

double Samples::max() const {
  return values_.empty() ? 0 : *std::max_element(values_.begin(), values_.end());
}

int64_t Samples::CountOver(double limit) const {
  return std::count_if(values_.begin(), values_.end(), [&](double v) { return v > limit; });
}

std::optional<double> Samples::Percentile(double p) const {
  constexpr double kSlack = 1e-9;  // 1 - 0.9 is a little more than 0.1
  if (values_.size() * (1 - p) < 10 - kSlack) return std::nullopt;
  std::vector<double> copy = values_;
  auto rank = static_cast<size_t>(std::ceil(p * copy.size() - kSlack));
  auto nth = copy.begin() + (rank > 0 ? rank - 1 : 0);
  std::nth_element(copy.begin(), nth, copy.end());
  return *nth;
}

}  // namespace firstbyte
