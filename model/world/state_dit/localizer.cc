#include "model/world/state_dit/localizer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/kernels/philox.h"

namespace firstbyte::state_dit {
namespace {

constexpr float kSide = 10;                           // cells that the bins span
constexpr float kNearest = 0.22f, kFarthest = 9.78f;  // where a player can stand
constexpr double kNarrowing = 0.6;                    // of the search, from round to round

// Indices of the largest values, the largest first.
std::vector<int> Largest(const float* values, int size, int count) {
  std::vector<int> order(size);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return values[a] > values[b]; });
  order.resize(count);
  return order;
}

float MeanDistance(const float* a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < b.size(); ++i) sum += std::abs(a[i] - b[i]);
  // What is no number must not be sorted.
  return std::isfinite(sum) ? static_cast<float>(sum / static_cast<double>(b.size())) : 1e30f;
}

}  // namespace

Localizer::Localizer(const Config& config, nn::WeightLoader* weights) : config_(config) {
  const LocalizerConfig& d = config_.localizer;
  const int outputs = d.bins * d.bins + 2 + d.headings + static_cast<int>(config_.themes.size());
  layer1_ = weights->LoadLinear("localizer.layer1", d.width, kVideoTokens * config_.latent_channels,
                                nn::Bias::kYes);
  layer2_ = weights->LoadLinear("localizer.layer2", d.width, d.width, nn::Bias::kYes);
  head_ = weights->LoadLinear("localizer.head", outputs, d.width, nn::Bias::kYes);
}

Localizer::Guess Localizer::FirstGuess(const std::vector<float>& latents) const {
  const LocalizerConfig& d = config_.localizer;
  std::vector<float> x(d.width), y(d.width), out(head_.outputs());
  layer1_.Forward(latents.data(), 1, x.data(), nn::Epilogue::kSilu);
  layer2_.Forward(x.data(), 1, y.data(), nn::Epilogue::kSilu);
  head_.Forward(y.data(), 1, out.data());
  const float* offset = out.data() + d.bins * d.bins;
  const float* headings = offset + 2;
  const float* themes = headings + d.headings;
  const float size = kSide / static_cast<float>(d.bins);
  Guess guess;
  guess.theme = Largest(themes, static_cast<int>(config_.themes.size()), 1)[0];
  const std::vector<int> turns = Largest(headings, d.headings, d.turns);
  for (int bin : Largest(out.data(), d.bins * d.bins, d.positions)) {
    const float x0 = (static_cast<float>(bin % d.bins) + 0.5f) * size + offset[0];
    const float y0 = (static_cast<float>(bin / d.bins) + 0.5f) * size + offset[1];
    for (int turn : turns) {
      guess.poses.push_back(
          {x0, y0, static_cast<float>(turn) * (2 * kPi / static_cast<float>(d.headings))});
    }
  }
  return guess;
}

std::vector<Pose> Localizer::Scatter(const std::vector<Candidate>& around, int round,
                                     int count) const {
  const LocalizerConfig& d = config_.localizer;
  std::vector<float> noise(3 * count);
  kernels::UniformNoise(0, int64_t{3} * round * count, 3 * count,
                        static_cast<kernels::NoisePurpose>(config_.localizer_noise_purpose),
                        noise.data());
  const auto scale = static_cast<float>(std::pow(kNarrowing, round));
  const auto near = static_cast<float>(d.position_spread);
  const auto turn = static_cast<float>(d.heading_spread);
  std::vector<Pose> moved;
  for (int i = 0; i < count; ++i) {
    const Pose& from = around[i % around.size()].pose;
    const float* n = &noise[3 * i];
    moved.push_back({std::clamp(from.x + n[0] * near * scale, kNearest, kFarthest),
                     std::clamp(from.y + n[1] * near * scale, kNearest, kFarthest),
                     from.heading + n[2] * turn * scale});
  }
  return moved;
}

Localizer::Found Localizer::Find(const std::vector<float>& latents,
                                 const Renderer& renderer) const {
  const LocalizerConfig& d = config_.localizer;
  const int count = d.positions * d.turns, size = static_cast<int>(latents.size());
  Guess guess = FirstGuess(latents);
  Renderer::Buffers buffers(config_, count);
  std::vector<float> estimates(static_cast<size_t>(count) * size);
  std::vector<Candidate> candidates;
  auto judge = [&](const std::vector<Pose>& poses) {
    std::vector<Renderer::Place> places;
    for (size_t i = 0; i < poses.size(); ++i) {
      places.push_back({poses[i], guess.theme, nullptr, &estimates[i * size]});
    }
    renderer.See(places, /*always=*/true, &buffers);
    for (size_t i = 0; i < poses.size(); ++i) {
      candidates.push_back({poses[i], MeanDistance(&estimates[i * size], latents)});
    }
  };
  auto better = [](const Candidate& a, const Candidate& b) { return a.error < b.error; };
  judge(guess.poses);
  for (int round = 0; round < d.rounds; ++round) {
    std::stable_sort(candidates.begin(), candidates.end(), better);
    candidates.resize(d.keep);
    judge(Scatter(candidates, round, count));
  }
  Pose best = std::min_element(candidates.begin(), candidates.end(), better)->pose;
  best.heading = WrapAngle(best.heading);
  return {best, guess.theme};
}

}  // namespace firstbyte::state_dit
