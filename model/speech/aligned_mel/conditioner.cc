#include "model/speech/aligned_mel/conditioner.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace firstbyte::aligned_mel {
namespace {

constexpr int kNumbers = 5;

}  // namespace

Conditioner::Conditioner(const Config& config, nn::WeightLoader* weights) {
  const AcousticConfig& c = config.acoustic;
  const std::string prefix = "acoustic.conditioner.";
  for (int i = 0; i < c.phones_ahead; ++i) {
    embeddings_.push_back(weights->LoadEmbedding(prefix + "phone_embeddings." + std::to_string(i),
                                                 static_cast<int>(config.phones.size()),
                                                 c.phone_embedding_size));
  }
  const int inputs = c.phones_ahead * c.phone_embedding_size + 2 * kFlags + kNumbers;
  in_ = weights->LoadLinear(prefix + "in_proj", c.first_condition_size, inputs, nn::Bias::kYes);
  mid_ = weights->LoadLinear(prefix + "mid_proj", c.second_condition_size, c.first_condition_size,
                             nn::Bias::kYes);
  out_ = weights->LoadLinear(prefix + "out_proj", c.hidden_size, kStack * c.second_condition_size,
                             nn::Bias::kYes);
}

Conditioner::Buffers::Buffers(const Conditioner& model)
    : input({kStack * kMaxFrames, model.in_.inputs()}),
      first({kStack * kMaxFrames, model.in_.outputs()}),
      second({kStack * kMaxFrames, model.mid_.outputs()}) {}

void Conditioner::FillRow(const PhoneSpan& clause, const Ends& ends, float log_stretch, int phone,
                          int mel, float* row) const {
  const int n = static_cast<int>(clause.phones.size());
  for (int i = 0; i < static_cast<int>(embeddings_.size()); ++i) {
    embeddings_[i].Copy(phone + i < n ? clause.phones[phone + i] : 0, row);
    row += embeddings_[i].size();
  }
  row = std::copy(clause.flags[phone].begin(), clause.flags[phone].end(), row);
  if (phone + 1 < n) {
    row = std::copy(clause.flags[phone + 1].begin(), clause.flags[phone + 1].end(), row);
  } else {
    row = std::fill_n(row, kFlags, 0.0f);
  }
  const int start = phone > 0 ? ends[phone - 1] : 0;
  const int following = phone + 1 < n ? ends[phone + 1] - ends[phone] : 0;
  row[0] = static_cast<float>((ends[phone] - mel - 0.5) / 10);
  row[1] = mel == start ? 1.0f : 0.0f;
  row[2] = static_cast<float>(std::log(following + 1.0) / 2);
  row[3] = static_cast<float>(std::min(n - 1 - phone, 40) / 20.0);
  row[4] = log_stretch;
}

void Conditioner::Describe(const PhoneSpan& clause, const Ends& ends, double stretch, int begin,
                           int count, int stride, float* rows) const {
  const auto log_stretch = static_cast<float>(4 * std::log(stretch));
  int phone =
      static_cast<int>(std::upper_bound(ends.begin(), ends.end(), begin * kStack) - ends.begin());
  for (int mel = begin * kStack; mel < (begin + count) * kStack; ++mel, rows += stride) {
    while (mel >= ends[phone]) ++phone;
    FillRow(clause, ends, log_stretch, phone, mel, rows);
  }
}

void Conditioner::Run(const PhoneSpan& clause, const Ends& ends, double stretch, int begin,
                      int count, Buffers* buffers, float* out) const {
  Describe(clause, ends, stretch, begin, count, in_.inputs(), buffers->input.data());
  const int rows = count * kStack;
  in_.Forward(buffers->input.data(), rows, buffers->first.data(), nn::Epilogue::kSilu);
  mid_.Forward(buffers->first.data(), rows, buffers->second.data(), nn::Epilogue::kSilu);
  // Four mel frames of `second` lie together: they are one row of the last layer.
  out_.Forward(buffers->second.data(), count, out);
}

}  // namespace firstbyte::aligned_mel
