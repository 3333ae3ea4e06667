// From a prompt to a theme of the world: it snaps to one of the themes that the world was trained
// with, so that unseen wordings cannot leave what the networks know.
//
// Immutable, thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/nn/weight_loader.h"
#include "model/world/state_dit/config.h"

namespace firstbyte::state_dit {

// Counts of hashed words: lower-case runs of a-z, by 32-bit FNV-1a modulo `buckets`. Everything
// else, whatever bytes it is made of, only separates words.
std::vector<float> WordBag(const std::string& text, int buckets);

class Prompt {
 public:
  Prompt() = default;
  Prompt(const Config& config, nn::WeightLoader* weights);

  // nullopt when there is no word in it.
  std::optional<int> ThemeOf(const std::string& text) const;

 private:
  nn::Linear linear_;
};

}  // namespace firstbyte::state_dit
