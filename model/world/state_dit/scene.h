// Where a world begins, and how it looks: what Prepare() makes of a prompt and a picture.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/model.h"
#include "model/world/state_dit/world.h"

namespace firstbyte::state_dit {

struct Scene : Prepared {
  State state{};  // at the start
  int theme = 0;
  std::vector<float> latents;  // [16, latent_channels] of the seed picture, or empty
};

// Any thread; about 40 ms with a picture, microseconds without. A prompt without words is the
// default theme; with a picture and no prompt at all the theme is the picture's own.
absl::StatusOr<std::unique_ptr<Scene>> PrepareScene(const World& world, const RawInput& input);

// The middle square of a picture, scaled to the world's size: [64, 64, 3] in [0, 1].
std::vector<float> SquarePixels(const RgbImage& image);

}  // namespace firstbyte::state_dit
