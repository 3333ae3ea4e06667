#include "model/speech/aligned_mel/durations.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace firstbyte::aligned_mel {

DurationModel::DurationModel(const Config& config, const nn::KernelTable& kernels,
                             nn::WeightLoader* weights)
    : kernels_(&kernels),
      config_(config.duration),
      pause_phone_(config.pause_phone),
      first_pause_(config.first_pause_mel_frames) {
  const int span = config_.phones_before + 1 + config_.phones_after;
  const int phones = static_cast<int>(config.phones.size());
  for (int i = 0; i < span; ++i) {
    embeddings_.push_back(weights->LoadEmbedding("duration.phone_embeddings." + std::to_string(i),
                                                 phones, config_.phone_embedding_size));
  }
  const int hidden = config_.hidden_size;
  in_ = weights->LoadLinear("duration.in_proj", hidden, inputs(), nn::Bias::kYes);
  mid_ = weights->LoadLinear("duration.mid_proj", hidden, hidden, nn::Bias::kYes);
  out_ = weights->LoadLinear("duration.out_proj", 1, hidden, nn::Bias::kYes);
}

int DurationModel::inputs() const {
  return (config_.phones_before + 1 + config_.phones_after) * config_.phone_embedding_size +
         (config_.flags_before + 1 + config_.flags_after) * kFlags + 2;
}

DurationModel::Buffers::Buffers(const DurationModel& model)
    : input({kRows, model.inputs()}),
      hidden({kRows, model.config_.hidden_size}),
      residual({kRows, model.config_.hidden_size}),
      log_durations({kRows, 1}) {}

void DurationModel::FillRow(const PhoneSpan& clause, int index, float* row) const {
  const int n = static_cast<int>(clause.phones.size());
  for (int i = 0; i < static_cast<int>(embeddings_.size()); ++i) {
    const int at = index - config_.phones_before + i;
    // Outside the clause stands the padding phone, which has an embedding of its own.
    embeddings_[i].Copy(at >= 0 && at < n ? clause.phones[at] : 0, row);
    row += config_.phone_embedding_size;
  }
  for (int at = index - config_.flags_before; at <= index + config_.flags_after; ++at) {
    if (at >= 0 && at < n) {
      std::copy(clause.flags[at].begin(), clause.flags[at].end(), row);
    } else {
      std::fill_n(row, kFlags, 0.0f);
    }
    row += kFlags;
  }
  row[0] = static_cast<float>(std::min(index, 30)) / 15.0f;
  row[1] = static_cast<float>(std::min(n - 1 - index, 30)) / 15.0f;
}

void DurationModel::Run(const PhoneSpan& clause, double stretch, bool first_of_stream,
                        Buffers* buffers, Ends* ends) const {
  const int n = static_cast<int>(clause.phones.size());
  ends->clear();
  ends->reserve(n);
  double sum = 0;
  for (int begin = 0; begin < n; begin += kRows) {
    const int rows = std::min(kRows, n - begin);
    for (int r = 0; r < rows; ++r) {
      FillRow(clause, begin + r, buffers->input.data() + r * in_.inputs());
    }
    float* hidden = buffers->hidden.data();
    in_.Forward(buffers->input.data(), rows, hidden, nn::Epilogue::kSilu);
    mid_.Forward(hidden, rows, buffers->residual.data(), nn::Epilogue::kSilu);
    kernels_->add(buffers->residual.data(), static_cast<int64_t>(rows) * in_.outputs(), hidden);
    float* durations = buffers->log_durations.data();
    out_.Forward(hidden, rows, durations);
    kernels_->exp(durations, rows, durations);
    for (int r = 0; r < rows; ++r) {
      float d =
          durations[r] * static_cast<float>(config_.scale_mel_frames) * static_cast<float>(stretch);
      d = std::clamp(d, 1.0f, 1000.0f);  // the upper bound only guards against damaged weights
      const bool crop = first_of_stream && begin + r == 0 && clause.phones[0] == pause_phone_;
      sum += crop ? std::min(d, static_cast<float>(first_pause_)) : d;
      const int rounded = static_cast<int>(std::floor(sum + 0.5));
      ends->push_back(ends->empty() ? rounded : std::max(rounded, ends->back() + 1));
    }
  }
  ends->back() = (ends->back() + kStack - 1) / kStack * kStack;
}

}  // namespace firstbyte::aligned_mel
