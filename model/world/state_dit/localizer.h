// Where in the world a picture was taken: first guesses by a network, then a random search that
// compares the renderer's estimates with the picture's latents. About 40 ms.
//
// Immutable, thread-safe: it allocates what a search needs.
#pragma once

#include <vector>

#include "model/world/state_dit/renderer.h"

namespace firstbyte::state_dit {

class Localizer {
 public:
  struct Found {
    Pose pose;
    int theme;
  };

  Localizer() = default;
  Localizer(const Config& config, nn::WeightLoader* weights);

  // latents [16, latent_channels]
  Found Find(const std::vector<float>& latents, const Renderer& renderer) const;

 private:
  struct Guess {
    std::vector<Pose> poses;  // positions * turns
    int theme;
  };
  struct Candidate {
    Pose pose;
    float error;
  };

  Guess FirstGuess(const std::vector<float>& latents) const;
  // `count` poses around the candidates, further for the first rounds.
  std::vector<Pose> Scatter(const std::vector<Candidate>& around, int round, int count) const;

  Config config_{};
  nn::Linear layer1_, layer2_, head_;
};

}  // namespace firstbyte::state_dit
