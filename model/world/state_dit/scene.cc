#include "model/world/state_dit/scene.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace firstbyte::state_dit {
namespace {

absl::Status BadInput(absl::string_view reason, absl::string_view what, absl::string_view field) {
  return Error(absl::StatusCode::kInvalidArgument, reason, what, field);
}

// Part of pixel `i` that lies in [from, to).
double Overlap(int i, double from, double to) {
  return std::max(0.0, std::min(i + 1.0, to) - std::max<double>(i, from));
}

absl::StatusOr<int> ThemeOf(const World& world, const RawInput& input) {
  const std::vector<float>& numbers = input.embedding;
  if (numbers.empty()) {
    return world.prompt.ThemeOf(input.text).value_or(world.config.default_theme);
  }
  if (numbers.size() != world.config.themes.size() ||
      !std::all_of(numbers.begin(), numbers.end(), [](float v) { return std::isfinite(v); })) {
    return BadInput("BAD_EMBEDDING",
                    absl::StrCat("a prompt in numbers is ", world.config.themes.size(),
                                 " finite ones, one for each theme"),
                    "prompt.embedding");
  }
  return static_cast<int>(std::max_element(numbers.begin(), numbers.end()) - numbers.begin());
}

absl::Status Locate(const World& world, const RgbImage& image, bool theme_too, Scene* scene) {
  const int64_t bytes = int64_t{3} * image.width * image.height;
  if (image.width < 1 || image.height < 1 || static_cast<int64_t>(image.data.size()) != bytes) {
    return BadInput("BAD_IMAGE", "the picture has no pixels", "open.create.initial_image");
  }
  scene->latents = world.encoder.Run(SquarePixels(image));
  if (!std::all_of(scene->latents.begin(), scene->latents.end(),
                   [](float v) { return std::isfinite(v); })) {
    return Error(absl::StatusCode::kInternal, "NOT_FINITE",
                 "the encoder gave a value that is not a number");
  }
  const Localizer::Found found = world.localizer.Find(scene->latents, world.renderer);
  scene->state = {found.pose.x, found.pose.y, found.pose.heading};
  if (theme_too) scene->theme = found.theme;
  return absl::OkStatus();
}

}  // namespace

std::vector<float> SquarePixels(const RgbImage& image) {
  const int side = std::min(image.width, image.height);
  const int left = (image.width - side) / 2, top = (image.height - side) / 2;
  const double scale = static_cast<double>(side) / kPicture;
  std::vector<float> pixels(kPicture * kPicture * 3);
  for (int i = 0; i < kPicture * kPicture; ++i) {
    // Every source pixel by the area that it shares with this one.
    const double x = i % kPicture * scale, y = i / kPicture * scale;
    double sums[3] = {}, area = 0;
    for (int v = static_cast<int>(y); v < side && v < y + scale; ++v) {
      for (int u = static_cast<int>(x); u < side && u < x + scale; ++u) {
        const double share = Overlap(u, x, x + scale) * Overlap(v, y, y + scale);
        const uint8_t* from = &image.data[((int64_t{top} + v) * image.width + left + u) * 3];
        for (int c = 0; c < 3; ++c) sums[c] += share * from[c];
        area += share;
      }
    }
    for (int c = 0; c < 3; ++c) {
      pixels[i * 3 + c] = static_cast<float>(sums[c] / area) / 255;
    }
  }
  return pixels;
}

absl::StatusOr<std::unique_ptr<Scene>> PrepareScene(const World& world, const RawInput& input) {
  auto scene = std::make_unique<Scene>();
  for (int i = 0; i < 3; ++i) scene->state[i] = static_cast<float>(world.config.start[i]);
  absl::StatusOr<int> theme = ThemeOf(world, input);
  if (!theme.ok()) return theme.status();
  scene->theme = *theme;
  if (input.image) {
    const bool no_prompt = input.text.empty() && input.embedding.empty();
    absl::Status located = Locate(world, *input.image, no_prompt, scene.get());
    if (!located.ok()) return located;
  }
  return scene;
}

}  // namespace firstbyte::state_dit
