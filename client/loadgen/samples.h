// Raw samples of one quantity and their percentiles.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace firstbyte {

// One thread. Unit: whatever was added.
class Samples {
 public:
  void Add(double value) { values_.push_back(value); }
  void Append(const Samples& other);

  const std::vector<double>& values() const { return values_; }
  size_t size() const { return values_.size(); }
  int64_t CountOver(double limit) const;
  double mean() const;  // 0 without samples
  double max() const;   // 0 without samples
  // Nearest rank, `p` in [0, 1). nullopt below 10 / (1 - p) samples: a p99 of fifty is no p99.
  std::optional<double> Percentile(double p) const;

 private:
  std::vector<double> values_;
};

}  // namespace firstbyte
