#include "model/world/state_dit/prompt.h"

#include <algorithm>
#include <cstdint>

namespace firstbyte::state_dit {

std::vector<float> WordBag(const std::string& text, int buckets) {
  std::vector<float> bag(buckets, 0.0f);
  constexpr uint32_t kBasis = 2166136261;
  uint32_t hash = kBasis;
  bool in_word = false;
  auto end_word = [&] {
    if (in_word) ++bag[hash % static_cast<uint32_t>(buckets)];
    hash = kBasis;
    in_word = false;
  };
  for (char c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c >= 'a' && c <= 'z') {
      hash = (hash ^ static_cast<uint8_t>(c)) * 16777619;
      in_word = true;
    } else {
      end_word();
    }
  }
  end_word();
  return bag;
}

Prompt::Prompt(const Config& config, nn::WeightLoader* weights)
    : linear_(weights->LoadLinear("prompt.linear", static_cast<int>(config.themes.size()),
                                  config.prompt_buckets, nn::Bias::kYes)) {}

std::optional<int> Prompt::ThemeOf(const std::string& text) const {
  const std::vector<float> bag = WordBag(text, linear_.inputs());
  if (std::all_of(bag.begin(), bag.end(), [](float n) { return n == 0; })) return std::nullopt;
  std::vector<float> logits(linear_.outputs());
  linear_.Forward(bag.data(), 1, logits.data());
  return static_cast<int>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace firstbyte::state_dit
