#include "model/world/state_dit/dit.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "model/kernels/tokens.h"

namespace firstbyte::state_dit {
namespace {

constexpr int kHeadDim = Rings::kHeadDim, kPairs = kHeadDim / 2;
constexpr int kLevels = 4;  // harmonics of sigma
constexpr int kAudioToken = kVideoTokens, kStateToken = kVideoTokens + 1;

}  // namespace

int Dit::FactsSize(const Config& c) {
  return 2 * kLevels + kActionSize + static_cast<int>(c.themes.size()) + c.dit.events + 4 + 2 +
         c.one_hots() + 3 + kSighted;
}

Dit::Buffers::Buffers(const Config& c, int n)
    : facts({n, FactsSize(c)}),
      latents({n * kVideoTokens, c.latent_channels}),
      estimates({n * kVideoTokens, c.latent_channels}),
      columns({n * kLatentSide, c.column_features()}),
      audio({n, c.audio_channels}),
      frames(n),
      slots(n),
      valid(n),
      next(n),
      notes({n, kNoteSize}),
      hidden({n, c.dit.width}),
      condition({n, c.dit.condition}),
      modulation({n, 6 * c.dit.width}),
      video_rows({n * kVideoTokens, c.dit.width}),
      ray_rows({n * kLatentSide, c.dit.width}),
      audio_rows({n, c.dit.width}),
      state_rows({n, c.dit.width}),
      x({n * kTokens, c.dit.width}),
      normed({n * kTokens, c.dit.width}),
      qkv({n * kTokens, 3 * c.dit.heads * kHeadDim}),
      attended({n * kTokens, c.dit.heads * kHeadDim}),
      branch({n * kTokens, c.dit.width}),
      mlp({n * kTokens, c.dit.mlp}),
      scores({kTokens, ((c.dit.window + 1) * kTokens + 15) / 16 * 16}),
      cosines({n * kTokens, kPairs}),
      sines({n * kTokens, kPairs}),
      keys(n),
      values(n),
      places(n),
      lengths(n) {}

Dit::Dit(const Config& config, const nn::KernelTable& kernels, nn::WeightLoader* weights)
    : kernels_(&kernels), config_(config) {
  const DitConfig& d = config_.dit;
  std::vector<double> speeds[3];
  for (int part = 0; part < 3; ++part) {
    const int pairs = d.rope_pairs[part];
    for (int i = 0; i < pairs; ++i) speeds[part].push_back(std::pow(d.rope_base, -1.0 * i / pairs));
  }
  time_speeds_ = speeds[0];
  for (int token = 0; token < kTokens; ++token) {
    const bool video = token < kVideoTokens;
    const int place[3] = {0, video ? token / kLatentSide : 0, video ? token % kLatentSide : 0};
    for (int part = 0; part < 3; ++part) {
      for (double speed : speeds[part]) {
        place_cosines_.push_back(static_cast<float>(std::cos(place[part] * speed)));
        place_sines_.push_back(static_cast<float>(std::sin(place[part] * speed)));
      }
    }
  }
  using nn::Bias;
  const int facts = FactsSize(config_), channels = config_.latent_channels;
  condition_in_ = weights->LoadLinear("dit.condition_in", d.width, facts, Bias::kYes);
  condition_out_ = weights->LoadLinear("dit.condition_out", d.condition, d.width, Bias::kYes);
  video_in_ = weights->LoadLinear("dit.video_in", d.width, channels, Bias::kYes);
  estimate_in_ = weights->LoadLinear("dit.estimate_in", d.width, channels, Bias::kNo);
  rays_in_ = weights->LoadLinear("dit.rays_in", d.width, config_.column_features(), Bias::kNo);
  audio_in_ = weights->LoadLinear("dit.audio_in", d.width, config_.audio_channels, Bias::kYes);
  state_in_ = weights->LoadLinear("dit.state_in", d.width, facts, Bias::kYes);
  tokens_ = weights->LoadTensor("dit.tokens", {kTokens, d.width});
  for (int i = 0; i < d.layers; ++i) blocks_.push_back(LoadBlock(i, weights));
  final_ = weights->LoadLinear("dit.final", 2 * d.width, d.condition, Bias::kYes);
  video_out_ = weights->LoadLinear("dit.video_out", channels, d.width, Bias::kYes);
  audio_out_ = weights->LoadLinear("dit.audio_out", config_.audio_channels, d.width, Bias::kYes);
  note_out_ = weights->LoadLinear("dit.note_out", kNoteSize, d.width, Bias::kYes);
  note_past_ = weights->LoadLinear("dit.note_past", kNoteSize, facts, Bias::kNo);
}

Dit::Block Dit::LoadBlock(int index, nn::WeightLoader* weights) const {
  const DitConfig& d = config_.dit;
  const std::string p = "dit.blocks." + std::to_string(index) + ".";
  const int inner = d.heads * kHeadDim;
  Block block;
  block.modulation =
      weights->LoadLinear(p + "modulation", 6 * d.width, d.condition, nn::Bias::kYes);
  block.qkv = weights->LoadLinear(p + "qkv", 3 * inner, d.width, nn::Bias::kNo);
  block.query_gain = weights->LoadVector(p + "query_gain", kHeadDim);
  block.key_gain = weights->LoadVector(p + "key_gain", kHeadDim);
  block.out = weights->LoadLinear(p + "out", d.width, inner, nn::Bias::kNo);
  block.up = weights->LoadLinear(p + "up", d.mlp, d.width, nn::Bias::kNo);
  block.down = weights->LoadLinear(p + "down", d.width, d.mlp, nn::Bias::kNo);
  return block;
}

void Dit::Describe(const PassRow& row, float* out) const {
  const DynamicsConfig& d = config_.dynamics;
  const State &before = row.facts->before, &after = row.facts->after;
  Harmonics(*kernels_, row.sigma * (kPi / 2), kLevels, out);
  out += 2 * kLevels;
  out = std::copy(row.facts->action.begin(), row.facts->action.end(), out);
  std::fill_n(out, config_.themes.size(), 0.0f);
  out[row.theme] = 1;
  out += config_.themes.size();
  out = std::copy(row.facts->events.begin(), row.facts->events.end(), out);
  Harmonics(*kernels_, after[2], 2, out);
  const float sine = out[0], cosine = out[2];
  out += 4;
  *out++ = after[0] / 5 - 1;
  *out++ = after[1] / 5 - 1;
  OneHots(config_, after, out);
  out += config_.one_hots();
  const auto move = static_cast<float>(d.move), turn = static_cast<float>(d.turn);
  const float dx = (after[0] - before[0]) / move, dy = (after[1] - before[1]) / move;
  *out++ = dx * cosine + dy * sine;
  *out++ = dx * sine - dy * cosine;
  *out++ = WrapAngle(after[2] - before[2]) / turn;
  Sighted(*row.note, out);
}

void Dit::Positions(int n, Buffers* b) const {
  const double turn = 2 * M_PI;
  float angles[kPairs], cosines[kPairs], sines[kPairs];
  const int times = static_cast<int>(time_speeds_.size());
  for (int s = 0; s < n; ++s) {
    for (int i = 0; i < times; ++i) {
      // Whole turns go in double, so that long sessions keep their precision.
      const double angle = static_cast<double>(b->frames[s]) * time_speeds_[i];
      angles[i] = static_cast<float>(angle - turn * std::nearbyint(angle / turn));
    }
    kernels_->sincos(angles, times, sines, cosines);
    for (int token = 0; token < kTokens; ++token) {
      const int at = (s * kTokens + token) * kPairs;
      std::copy_n(&place_cosines_[token * kPairs], kPairs, b->cosines.data() + at);
      std::copy_n(&place_sines_[token * kPairs], kPairs, b->sines.data() + at);
      std::copy_n(cosines, times, b->cosines.data() + at);
      std::copy_n(sines, times, b->sines.data() + at);
    }
  }
}

void Dit::Fill(absl::Span<const PassRow> rows, Buffers* b) const {
  const int n = static_cast<int>(rows.size()), window = config_.dit.window;
  const int video = kVideoTokens * config_.latent_channels, facts = FactsSize(config_);
  const int columns = kLatentSide * config_.column_features();
  for (int s = 0; s < n; ++s) {
    Describe(rows[s], b->facts.data() + s * facts);
    std::copy_n(rows[s].video, video, b->latents.data() + s * video);
    std::copy_n(rows[s].estimate, video, b->estimates.data() + s * video);
    std::copy_n(rows[s].columns, columns, b->columns.data() + s * columns);
    std::copy_n(rows[s].audio, config_.audio_channels,
                b->audio.data() + s * config_.audio_channels);
    b->frames[s] = rows[s].frame;
    b->slots[s] = rows[s].slot;
    b->valid[s] = rows[s].ring.valid(window);
    b->next[s] = rows[s].ring.next(window);
  }
}

void Dit::Embed(int n, Buffers* b) const {
  const int width = config_.dit.width;
  condition_in_.Forward(b->facts.data(), n, b->hidden.data(), nn::Epilogue::kSilu);
  condition_out_.Forward(b->hidden.data(), n, b->condition.data(), nn::Epilogue::kSilu);
  video_in_.Forward(b->latents.data(), n * kVideoTokens, b->video_rows.data());
  if (config_.dit.renderer) {
    estimate_in_.Forward(b->estimates.data(), n * kVideoTokens, b->video_rows.data(),
                         nn::Epilogue::kAdd);
  }
  rays_in_.Forward(b->columns.data(), n * kLatentSide, b->ray_rows.data());
  audio_in_.Forward(b->audio.data(), n, b->audio_rows.data());
  state_in_.Forward(b->facts.data(), n, b->state_rows.data());
  float* x = b->x.data();
  for (int s = 0; s < n; ++s) {
    std::copy_n(b->video_rows.data() + s * kVideoTokens * width, kVideoTokens * width, x);
    std::copy_n(b->audio_rows.data() + s * width, width, x + kAudioToken * width);
    std::copy_n(b->state_rows.data() + s * width, width, x + kStateToken * width);
    for (int t = 0; t < kVideoTokens; ++t) {
      const int column = s * kLatentSide + t % kLatentSide;
      kernels_->add(b->ray_rows.data() + column * width, width, x + t * width);
    }
    kernels_->add(tokens_.data(), kTokens * width, x);
    x += kTokens * width;
  }
}

void Dit::Attend(int layer, int n, const Rings& rings, bool keys_only, Buffers* b) const {
  const Block& block = blocks_[layer];
  const DitConfig& d = config_.dit;
  const int inner = d.heads * kHeadDim;
  const auto epsilon = static_cast<float>(config_.norm_epsilon);
  for (int s = 0; s < n; ++s) {
    b->keys[s] = rings.keys(b->slots[s], layer);
    b->values[s] = rings.values(b->slots[s], layer);
    b->places[s] = b->valid[s] * kTokens;
    b->lengths[s] = b->places[s] + kTokens;
  }
  const float* modulation = b->modulation.data();
  kernels_->modulate({b->x.data(), modulation, modulation + d.width, 6 * d.width, epsilon,
                      b->normed.data(), n, kTokens, d.width});
  block.qkv.Forward(b->normed.data(), n * kTokens, b->qkv.data());
  kernels_->heads({b->qkv.data(), block.query_gain.data(), block.key_gain.data(), b->cosines.data(),
                   b->sines.data(), b->keys.data(), b->values.data(), b->places.data(), epsilon, n,
                   kTokens, d.heads, rings.capacity()});
  if (keys_only) return;
  kernels_->block_attention({b->qkv.data(), 3 * inner, b->keys.data(), b->values.data(),
                             b->lengths.data(), b->attended.data(), b->scores.data(),
                             1 / std::sqrt(static_cast<float>(kHeadDim)), n, kTokens, d.heads,
                             kHeadDim, rings.capacity()});
  block.out.Forward(b->attended.data(), n * kTokens, b->branch.data());
  kernels_->gate(
      {b->x.data(), b->branch.data(), modulation + 2 * d.width, 6 * d.width, n, kTokens, d.width});
}

void Dit::Mlp(const Block& block, int n, Buffers* b) const {
  const int width = config_.dit.width;
  const float* modulation = b->modulation.data() + 3 * width;
  kernels_->modulate({b->x.data(), modulation, modulation + width, 6 * width,
                      static_cast<float>(config_.norm_epsilon), b->normed.data(), n, kTokens,
                      width});
  block.up.Forward(b->normed.data(), n * kTokens, b->mlp.data(), nn::Epilogue::kReluSquared);
  block.down.Forward(b->mlp.data(), n * kTokens, b->branch.data());
  kernels_->gate(
      {b->x.data(), b->branch.data(), modulation + 2 * width, 6 * width, n, kTokens, width});
}

void Dit::Head(int n, Buffers* b) const {
  const int width = config_.dit.width;
  final_.Forward(b->condition.data(), n, b->modulation.data());
  kernels_->modulate({b->x.data(), b->modulation.data(), b->modulation.data() + width, 2 * width,
                      static_cast<float>(config_.norm_epsilon), b->normed.data(), n, kTokens,
                      width});
  for (int s = 0; s < n; ++s) {
    const float* from = b->normed.data() + s * kTokens * width;
    std::copy_n(from, kVideoTokens * width, b->video_rows.data() + s * kVideoTokens * width);
    std::copy_n(from + kAudioToken * width, width, b->audio_rows.data() + s * width);
    std::copy_n(from + kStateToken * width, width, b->state_rows.data() + s * width);
  }
  // Onto the estimates, which Fill() gathered.
  video_out_.Forward(b->video_rows.data(), n * kVideoTokens, b->estimates.data(),
                     nn::Epilogue::kAdd);
  audio_out_.Forward(b->audio_rows.data(), n, b->audio.data());
  note_out_.Forward(b->state_rows.data(), n, b->notes.data());
  note_past_.Forward(b->facts.data(), n, b->notes.data(), nn::Epilogue::kAdd);
}

void Dit::Read(absl::Span<const PassRow> rows, const Buffers& b) const {
  const int video = kVideoTokens * config_.latent_channels, audio = config_.audio_channels;
  for (size_t s = 0; s < rows.size(); ++s) {
    std::copy_n(b.estimates.data() + s * video, video, rows[s].video_out);
    std::copy_n(b.audio.data() + s * audio, audio, rows[s].audio_out);
    std::copy_n(b.notes.data() + s * kNoteSize, kNoteSize, rows[s].note_out->begin());
  }
}

void Dit::Predict(int n, const Rings& rings, Buffers* b) const {
  Embed(n, b);
  Positions(n, b);
  for (int layer = 0; layer < config_.dit.layers; ++layer) {
    blocks_[layer].modulation.Forward(b->condition.data(), n, b->modulation.data());
    Attend(layer, n, rings, /*keys_only=*/false, b);
    Mlp(blocks_[layer], n, b);
  }
  Head(n, b);
}

void Dit::Write(int n, const Rings& rings, Buffers* b) const {
  const int window = config_.dit.window;
  Embed(n, b);
  Positions(n, b);
  for (int layer = 0; layer < config_.dit.layers; ++layer) {
    // Of the last layer only keys and values are wanted.
    const bool last = layer + 1 == config_.dit.layers;
    blocks_[layer].modulation.Forward(b->condition.data(), n, b->modulation.data());
    Attend(layer, n, rings, last, b);
    if (!last) Mlp(blocks_[layer], n, b);
    for (int s = 0; s < n; ++s) {
      // A ring that is not full has the frame in its place already.
      if (b->valid[s] == window) rings.TakeTail(b->slots[s], layer, b->next[s]);
    }
  }
}

void Dit::Denoise(absl::Span<const PassRow> rows, const Rings& rings, Buffers* b) const {
  Fill(rows, b);
  Predict(static_cast<int>(rows.size()), rings, b);
  Read(rows, *b);
}

void Dit::Commit(absl::Span<const PassRow> rows, const Rings& rings, Buffers* b) const {
  Fill(rows, b);
  Write(static_cast<int>(rows.size()), rings, b);
}

}  // namespace firstbyte::state_dit
