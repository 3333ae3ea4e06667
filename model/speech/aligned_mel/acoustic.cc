#include "model/speech/aligned_mel/acoustic.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace firstbyte::aligned_mel {

using kernels::kHeadDim;

AcousticBuffers::AcousticBuffers(const AcousticConfig& c, int slots, int batch)
    : max_batch(batch),
      caches({slots, c.num_hidden_layers, 2,
              static_cast<int64_t>(c.num_attention_heads) * kHeadDim * c.sliding_window}),
      feedback({batch, kFrameFeatures}),
      feedback_hidden({batch, c.feedback_size}),
      x({batch, c.hidden_size}),
      normed({batch, c.hidden_size}),
      qkv({batch, 3 * c.num_attention_heads * kHeadDim}),
      attended({batch, c.num_attention_heads * kHeadDim}),
      gate_up({batch, 2 * c.intermediate_size}),
      mlp({batch, c.intermediate_size}),
      features({batch, kFrameFeatures}),
      cosines({batch, kHeadDim / 2}),
      sines({batch, kHeadDim / 2}),
      positions(batch),
      key_rings(batch),
      value_rings(batch),
      layers_(c.num_hidden_layers),
      ring_(static_cast<int64_t>(c.num_attention_heads) * kHeadDim * c.sliding_window) {}

AcousticModel::AcousticModel(const AcousticConfig& config, const nn::KernelTable& kernels,
                             nn::WeightLoader* weights)
    : kernels_(&kernels), config_(config) {
  for (int i = 0; i < kHeadDim / 2; ++i) {
    frequencies_[i] = std::pow(config.rope_theta, -i / (kHeadDim / 2.0));
  }
  feedback_down_ = weights->LoadLinear("acoustic.feedback_down", config.feedback_size,
                                       kFrameFeatures, nn::Bias::kYes);
  feedback_up_ = weights->LoadLinear("acoustic.feedback_up", config.hidden_size,
                                     config.feedback_size, nn::Bias::kNo);
  for (int i = 0; i < config.num_hidden_layers; ++i) blocks_.push_back(LoadBlock(i, weights));
  norm_ = weights->LoadRmsNorm("acoustic.norm", config.hidden_size,
                               static_cast<float>(config.rms_norm_eps));
  head_ = weights->LoadLinear("acoustic.head", kFrameFeatures, config.hidden_size, nn::Bias::kYes);
}

AcousticModel::Block AcousticModel::LoadBlock(int index, nn::WeightLoader* weights) const {
  const std::string p = "acoustic.layers." + std::to_string(index) + ".";
  const int hidden = config_.hidden_size, inner = config_.num_attention_heads * kHeadDim;
  const auto epsilon = static_cast<float>(config_.rms_norm_eps);
  Block block;
  block.attention_norm = weights->LoadRmsNorm(p + "input_layernorm", hidden, epsilon);
  block.mlp_norm = weights->LoadRmsNorm(p + "post_attention_layernorm", hidden, epsilon);
  block.qkv = weights->LoadStacked(
      {p + "self_attn.q_proj", p + "self_attn.k_proj", p + "self_attn.v_proj"}, inner, hidden);
  block.attention_out = weights->LoadLinear(p + "self_attn.o_proj", hidden, inner, nn::Bias::kNo);
  block.gate_up = weights->LoadStacked({p + "mlp.gate_proj", p + "mlp.up_proj"},
                                       config_.intermediate_size, hidden);
  block.down =
      weights->LoadLinear(p + "mlp.down_proj", hidden, config_.intermediate_size, nn::Bias::kNo);
  return block;
}

void AcousticModel::Step(absl::Span<const FrameRow> rows, AcousticBuffers* b) const {
  const int m = static_cast<int>(rows.size()), hidden = config_.hidden_size;
  for (int r = 0; r < m; ++r) {
    std::copy_n(rows[r].feedback, kFrameFeatures, b->feedback.data() + r * kFrameFeatures);
    std::copy_n(rows[r].condition, hidden, b->x.data() + r * hidden);
    b->positions[r] = rows[r].position;
  }
  kernels_->rope_table(b->positions.data(), frequencies_, m, b->cosines.data(), b->sines.data());
  feedback_down_.Forward(b->feedback.data(), m, b->feedback_hidden.data(), nn::Epilogue::kSilu);
  feedback_up_.Forward(b->feedback_hidden.data(), m, b->x.data(), nn::Epilogue::kAdd);
  for (int i = 0; i < config_.num_hidden_layers; ++i) RunBlock(i, rows, b);
  norm_.Forward(b->x.data(), m, b->normed.data());
  head_.Forward(b->normed.data(), m, b->features.data());
  for (int r = 0; r < m; ++r) {
    std::copy_n(b->features.data() + r * kFrameFeatures, kFrameFeatures, rows[r].out);
  }
}

void AcousticModel::RunBlock(int index, absl::Span<const FrameRow> rows, AcousticBuffers* b) const {
  const Block& block = blocks_[index];
  const int m = static_cast<int>(rows.size());
  for (int r = 0; r < m; ++r) {
    b->key_rings[r] = b->Keys(rows[r].slot, index);
    b->value_rings[r] = b->Values(rows[r].slot, index);
  }
  block.attention_norm.Forward(b->x.data(), m, b->normed.data());
  block.qkv.Forward(b->normed.data(), m, b->qkv.data());
  kernels_->attention({b->qkv.data(), b->cosines.data(), b->sines.data(), b->positions.data(),
                       b->key_rings.data(), b->value_rings.data(), b->attended.data(), m,
                       config_.num_attention_heads, config_.sliding_window});
  block.attention_out.Forward(b->attended.data(), m, b->x.data(), nn::Epilogue::kAdd);
  block.mlp_norm.Forward(b->x.data(), m, b->normed.data());
  block.gate_up.Forward(b->normed.data(), m, b->gate_up.data());
  kernels_->swiglu(b->gate_up.data(), m, config_.intermediate_size, b->mlp.data());
  block.down.Forward(b->mlp.data(), m, b->x.data(), nn::Epilogue::kAdd);
}

}  // namespace firstbyte::aligned_mel
