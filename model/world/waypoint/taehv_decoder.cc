#include <algorithm>

#include "model/world/waypoint/ops.h"
#include "model/world/waypoint/taehv.h"
#include "model/world/waypoint/taehv_weights.h"

namespace firstbyte::waypoint {

TaehvDecoder::TaehvDecoder(const Config& config, const SafeTensors& file,
                           const nn::KernelTable& kernels, nn::WeightLoader* weights)
    : kernels_(&kernels), size_{config.latent_height(), config.latent_width(), config.channels} {
  const std::array<int, kStages + 1> widths = DecoderWidths(file, weights);
  if (!weights->status().ok()) return;

  conv_in_ = LoadConv3x3(DecoderLayer(kDecoderIn), widths[0], size_.channels, nn::Bias::kYes,
                         kernels, weights);
  int frames = 1;
  for (int s = 0; s < kStages; ++s) {
    Stage& stage = stages_[s];
    const int n = widths[s], first = FirstOfStage(s);
    stage.size = {size_.height << s, size_.width << s, n};
    stage.frames = frames;
    stage.stride = kDecoderStrides[s];
    for (int j = 0; j < 3; ++j) {
      stage.blocks[j] = MemoryBlock(DecoderLayer(first + j), n, kernels, weights);
    }
    const std::vector<float> grow = LoadGrow(s, n, file, weights);
    if (!grow.empty()) stage.grow = nn::Linear(kernels, grow, {}, n * stage.stride, n);
    stage.conv =
        LoadConv3x3(DecoderLayer(first + 5), widths[s + 1], n, nn::Bias::kNo, kernels, weights);
    frames *= stage.stride;
    history_floats_ += 3 * stage.size.floats();
    const MapSize made = {2 * stage.size.height, 2 * stage.size.width, std::max(n, widths[s + 1])};
    const MapSize both = {stage.size.height, stage.size.width, 2 * n};
    largest_ = std::max({largest_, made.bordered_floats(), both.bordered_floats()});
  }
  conv_out_ = LoadConv3x3(DecoderLayer(kDecoderOut), kPatchChannels, widths[kStages],
                          nn::Bias::kYes, kernels, weights);
  const MapSize shown = {last().height, last().width, kPatchChannels};
  largest_ = std::max({largest_, shown.floats(), last().bordered_floats(),
                       MapSize{size_.height, size_.width, size_.channels}.bordered_floats()});
}

// Two frames are the most that a stage but the last makes.
TaehvDecoder::Buffers::Buffers(const TaehvDecoder& decoder)
    : maps(decoder.largest_),
      frames(2 * decoder.largest_),
      next(2 * decoder.largest_),
      grown(decoder.largest_) {}

void TaehvDecoder::RunStage(const Stage& stage, float* history, Buffers* b) const {
  for (const MemoryBlock& block : stage.blocks) {
    block.Run(stage.size, b->frames.data(), stage.frames, history, &b->maps, b->next.data());
    b->frames.swap(b->next);
    history += stage.size.floats();
  }
}

// A frame of the last map -> the picture that it folds.
void TaehvDecoder::Show(const float* map, Buffers* b, float* picture) const {
  const MapSize size = last();
  float* made = b->maps.made.data();
  Convolve(conv_out_, {map, size, size.channels}, 1, Activation::kNone, &b->maps, made);
  const int64_t line = int64_t{size.width} * kPatch * 3;
  for (int y = 0; y < size.height * kPatch; ++y, picture += line) {
    const float* from = made + int64_t{y / kPatch} * size.width * kPatchChannels;
    for (int x = 0; x < size.width * kPatch; ++x) {
      const float* folded = from + x / kPatch * kPatchChannels + y % kPatch * kPatch + x % kPatch;
      for (int c = 0; c < 3; ++c) {
        picture[x * 3 + c] = std::clamp(folded[c * kPatch * kPatch], 0.0f, 1.0f);
      }
    }
  }
}

void TaehvDecoder::Run(const float* latent, float* history, Buffers* b, float* pictures) const {
  SoftClamp(*kernels_, latent, size_.floats(), b->grown.data());
  Convolve(conv_in_, {b->grown.data(), size_, size_.channels}, 1, Activation::kRelu, &b->maps,
           b->frames.data());
  for (int s = 0; s < kStages; ++s) {
    const Stage& stage = stages_[s];
    RunStage(stage, history, b);
    history += 3 * stage.size.floats();
    const int64_t pixels = stage.size.pixels(), made = 4 * pixels * stage.conv.outputs();
    float* to = b->next.data();
    for (int i = 0; i < stage.frames; ++i) {
      // Before doubling rather than after: the same numbers from a quarter of the products.
      stage.grow.Forward(b->frames.data() + i * stage.size.floats(), static_cast<int>(pixels),
                         b->grown.data());
      for (int part = 0; part < stage.stride; ++part) {
        const MapView view = {b->grown.data() + part * stage.size.channels, stage.size,
                              stage.size.channels * stage.stride};
        const bool shown = s + 1 == kStages;
        Convolve(stage.conv, view, 2, shown ? Activation::kRelu : Activation::kNone, &b->maps, to);
        if (!shown) {
          to += made;
        } else {
          Show(to, b, pictures);
          pictures += made / stage.conv.outputs() * kPatch * kPatch * 3;
        }
      }
    }
    b->frames.swap(b->next);
  }
}

}  // namespace firstbyte::waypoint
