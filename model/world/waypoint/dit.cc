#include "model/world/waypoint/dit.h"

#include <algorithm>
#include <string>

#include "model/world/waypoint/dit_weights.h"
#include "model/world/waypoint/ops.h"

namespace firstbyte::waypoint {
namespace {

nn::RmsNorm PlainNorm(const nn::KernelTable& kernels, int size) {
  return nn::RmsNorm(kernels, std::vector<float>(size, 1.0f), kEpsilon);
}

nn::Linear ToLinear(const nn::KernelTable& kernels, const Matrix& matrix, int n, int k) {
  if (matrix.weight.empty()) return {};
  return nn::Linear(kernels, matrix.weight, matrix.bias, n, k);
}

}  // namespace

DitBuffers::DitBuffers(const Config& c, int max_batch) : max_batch(max_batch), attention(c) {
  const int64_t batch = max_batch, rows = batch * c.tokens();
  x = nn::Tensor({rows, c.d_model});
  normed = nn::Tensor({rows, c.d_model});
  qkv = nn::Tensor({rows, c.d_model + 2 * c.kv_size()});
  first_v = nn::Tensor({rows, c.kv_size()});
  attended = nn::Tensor({rows, c.d_model});
  hidden = nn::Tensor({rows, c.d_model * c.mlp_ratio});
  cosines = nn::Tensor({rows, c.head_dim() / 2});
  sines = nn::Tensor({rows, c.head_dim() / 2});
  controls = nn::Tensor({batch, c.controls()});
  control_hidden = nn::Tensor({batch, c.d_model * c.mlp_ratio});
  control = nn::Tensor({batch, c.d_model});
  fused = nn::Tensor({batch, c.d_model});
}

Dit::Dit(const Config& config, const SafeTensors& file, const nn::KernelTable& kernels,
         nn::WeightLoader* weights)
    : kernels_(&kernels),
      config_(config),
      conditioning_(config, file, kernels, weights),
      rope_(config, kernels),
      attention_(config, kernels),
      norm_(PlainNorm(kernels, config.d_model)),
      head_norm_(PlainNorm(kernels, config.head_dim())),
      patchify_(
          ToLinear(kernels, LoadPatchify(config, weights), config.d_model, config.token_latents())),
      unpatchify_(ToLinear(kernels, LoadUnpatchify(config, weights), config.token_latents(),
                           config.d_model)) {
  const int d = config.d_model, hidden = d * config.mlp_ratio;
  control1_ = weights->LoadLinear("ctrl_emb.mlp.fc1", hidden, config.controls(), nn::Bias::kNo);
  control2_ = weights->LoadLinear("ctrl_emb.mlp.fc2", d, hidden, nn::Bias::kNo);
  for (int i = 0; i < config.n_layers; ++i) layers_.push_back(LoadLayer(i, weights));
}

Dit::Layer Dit::LoadLayer(int index, nn::WeightLoader* weights) const {
  const int d = config_.d_model, hidden = d * config_.mlp_ratio;
  const std::string prefix = BlockPrefix(index);
  auto linear = [&](const char* name, int n, int k) {
    return weights->LoadLinear(prefix + name, n, k, nn::Bias::kNo);
  };
  Layer layer;
  layer.qkv = ToLinear(*kernels_, LoadQkv(config_, index, weights), d + 2 * config_.kv_size(), d);
  layer.attention_out = linear("attn.out_proj", d, d);
  layer.fc1 = linear("dit_mlp.fc1", hidden, d);
  layer.fc2 = linear("dit_mlp.fc2", d, hidden);
  layer.v_lamb = LoadValueMix(index, weights);
  if (config_.has_control(index)) {
    layer.fusion = {linear("ctrl_mlpfusion.fc1_x", d, d), linear("ctrl_mlpfusion.fc1_c", d, d),
                    linear("ctrl_mlpfusion.fc2", d, d)};
  }
  return layer;
}

int Dit::Tokens(absl::Span<const PassRow> rows) const {
  return static_cast<int>(rows.size()) * config_.tokens();
}

void Dit::Run(Pass pass, absl::Span<const PassRow> rows, DitBuffers* buffers) const {
  Embed(rows, buffers);
  for (int i = 0; i < config_.n_layers; ++i) RunLayer(i, pass, rows, buffers);
  if (pass == Pass::kDenoise) Project(rows, buffers);
}

void Dit::Embed(absl::Span<const PassRow> rows, DitBuffers* b) const {
  const int batch = static_cast<int>(rows.size()), tokens = config_.tokens();
  const int64_t angles = int64_t{tokens} * config_.head_dim() / 2;
  for (int i = 0; i < batch; ++i) {
    patchify_.Forward(rows[i].latent, tokens, b->x.data() + int64_t{i} * tokens * config_.d_model);
    rope_.Tables(rows[i].frame, b->cosines.data() + i * angles, b->sines.data() + i * angles);
    std::copy_n(rows[i].controls, config_.controls(), b->controls.data() + i * config_.controls());
  }
  control1_.Forward(b->controls.data(), batch, b->control_hidden.data(), nn::Epilogue::kSilu);
  control2_.Forward(b->control_hidden.data(), batch, b->fused.data());
  norm_.Forward(b->fused.data(), batch, b->control.data());  // as every fusion wants it
}

// normed = rms(x) (1 + scale) + shift, with modulations `first` and `first` + 1.
void Dit::Modulated(int layer, int first, absl::Span<const PassRow> rows, DitBuffers* b) const {
  const int d = config_.d_model, tokens = config_.tokens();
  norm_.Forward(b->x.data(), Tokens(rows), b->normed.data());
  float* x = b->normed.data();
  for (const PassRow& row : rows) {
    const float* scale = conditioning_.Layer(row.sigma, layer) + first * d;
    Modulate(scale, scale + d, tokens, d, x);
    x += int64_t{tokens} * d;
  }
}

void Dit::AddGatedRows(int layer, int gate, absl::Span<const PassRow> rows, const float* from,
                       DitBuffers* b) const {
  const int d = config_.d_model, tokens = config_.tokens();
  float* x = b->x.data();
  for (const PassRow& row : rows) {
    AddGated(from, conditioning_.Layer(row.sigma, layer) + gate * d, tokens, d, x);
    from += int64_t{tokens} * d;
    x += int64_t{tokens} * d;
  }
}

// q and k normed and rotated, v mixed with the first layer's, which is kept as it was before.
void Dit::MakeQkv(int layer, int rows, DitBuffers* b) const {
  const int d = config_.d_model, kv = config_.kv_size(), head = config_.head_dim();
  const int turning = config_.n_heads + config_.n_kv_heads;
  const float mix = layers_[layer].v_lamb;
  layers_[layer].qkv.Forward(b->normed.data(), rows, b->qkv.data());
  for (int64_t r = 0; r < rows; ++r) {
    float* q = b->qkv.data() + r * (d + 2 * kv);
    float *v = q + d + kv, *first = b->first_v.data() + r * kv;
    if (layer == 0) std::copy_n(v, kv, first);
    for (int i = 0; i < kv; ++i) v[i] += mix * (first[i] - v[i]);
    head_norm_.Forward(q, turning, q);
    OrthoRope::Rotate(b->cosines.data() + r * head / 2, b->sines.data() + r * head / 2, turning,
                      head, q);
  }
}

void Dit::Attend(int layer, Pass pass, absl::Span<const PassRow> rows, DitBuffers* b) const {
  const Ring ring = config_.ring(layer);
  const int64_t tokens = config_.tokens(), stride = config_.d_model + 2 * config_.kv_size();
  for (size_t i = 0; i < rows.size(); ++i) {
    const KvCache& cache = *rows[i].cache;
    const int64_t frame = rows[i].frame;
    const float* qkv = b->qkv.data() + i * tokens * stride;
    // A frame that stays is written where it stays: that place is hidden, so nobody reads it.
    const bool keep = pass == Pass::kCommit && ring.Keeps(frame);
    float* here = cache.Frame(layer, keep ? ring.PlaceOf(frame) : ring.tail());
    attention_.Store(qkv, here);
    // Keys and values are all that a commit is for.
    if (pass == Pass::kCommit && layer + 1 == config_.n_layers) continue;
    b->seen.clear();
    for (int place = 0; place < ring.places; ++place) {
      if (ring.Visible(frame, place)) b->seen.push_back(cache.Frame(layer, place));
    }
    b->seen.push_back(here);
    attention_.Run(qkv, b->seen, &b->attention, b->attended.data() + i * tokens * config_.d_model);
  }
}

void Dit::Fuse(const Fusion& fusion, int rows, DitBuffers* b) const {
  const int d = config_.d_model, tokens = config_.tokens(), all = rows * tokens;
  norm_.Forward(b->x.data(), all, b->normed.data());
  fusion.x.Forward(b->normed.data(), all, b->attended.data());
  fusion.control.Forward(b->control.data(), rows, b->fused.data());
  for (int64_t i = 0; i < rows; ++i) {
    AddRow(b->fused.data() + i * d, tokens, d, b->attended.data() + i * tokens * d);
  }
  Silu(*kernels_, int64_t{all} * d, b->attended.data());
  fusion.out.Forward(b->attended.data(), all, b->x.data(), nn::Epilogue::kAdd);
}

void Dit::RunLayer(int index, Pass pass, absl::Span<const PassRow> rows, DitBuffers* b) const {
  const Layer& layer = layers_[index];
  const int all = Tokens(rows);
  Modulated(index, 0, rows, b);
  MakeQkv(index, all, b);
  Attend(index, pass, rows, b);
  if (pass == Pass::kCommit && index + 1 == config_.n_layers) return;
  layer.attention_out.Forward(b->attended.data(), all, b->normed.data());
  AddGatedRows(index, 2, rows, b->normed.data(), b);
  if (layer.fusion) Fuse(*layer.fusion, static_cast<int>(rows.size()), b);
  Modulated(index, 3, rows, b);
  layer.fc1.Forward(b->normed.data(), all, b->hidden.data(), nn::Epilogue::kSilu);
  layer.fc2.Forward(b->hidden.data(), all, b->attended.data());
  AddGatedRows(index, 5, rows, b->attended.data(), b);
}

void Dit::Project(absl::Span<const PassRow> rows, DitBuffers* b) const {
  const int d = config_.d_model, tokens = config_.tokens();
  norm_.Forward(b->x.data(), Tokens(rows), b->normed.data());
  float* x = b->normed.data();
  for (const PassRow& row : rows) {
    const float* scale = conditioning_.Output(row.sigma);
    Modulate(scale, scale + d, tokens, d, x);
    Silu(*kernels_, int64_t{tokens} * d, x);
    unpatchify_.Forward(x, tokens, row.velocity);
    x += int64_t{tokens} * d;
  }
}

}  // namespace firstbyte::waypoint
