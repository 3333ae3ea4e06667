// How long each phone of a clause lasts.
#pragma once

#include <vector>

#include "model/nn/weight_loader.h"
#include "model/speech/aligned_mel/clause.h"
#include "model/speech/aligned_mel/config.h"

namespace firstbyte::aligned_mel {

// Immutable weights; thread-safe on distinct buffers.
class DurationModel {
 public:
  struct Buffers {
    explicit Buffers(const DurationModel& model);
    nn::Tensor input, hidden, residual, log_durations;  // [kRows, ...]
  };

  DurationModel() = default;
  DurationModel(const Config& config, const nn::KernelTable& kernels, nn::WeightLoader* weights);

  // Writes the ends of `clause`, which has at least one phone. Durations are multiplied by
  // `stretch` (2 = half as fast); their *sum* is rounded, so that errors do not add up. The first
  // clause of a stream loses its leading pause but for a moment: silence there is latency.
  void Run(const PhoneSpan& clause, double stretch, bool first_of_stream, Buffers* buffers,
           Ends* ends) const;

 private:
  static constexpr int kRows = 64;  // phones at a time

  int inputs() const;
  void FillRow(const PhoneSpan& clause, int index, float* row) const;

  const nn::KernelTable* kernels_ = nullptr;
  DurationConfig config_{};
  int pause_phone_ = 0, first_pause_ = 0;
  std::vector<nn::Embedding> embeddings_;  // one table per position
  nn::Linear in_, mid_, out_;
};

}  // namespace firstbyte::aligned_mel
