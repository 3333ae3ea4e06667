#include <algorithm>

#include "absl/strings/str_cat.h"
#include "model/world/waypoint/ops.h"
#include "model/world/waypoint/taehv.h"
#include "model/world/waypoint/widths.h"

namespace firstbyte::waypoint {
namespace {

constexpr int kPatch = 2;  // pixels of a picture in a pixel of the last map
constexpr int kPatchChannels = 3 * kPatch * kPatch;
constexpr int kStrides[TaehvDecoder::kStages] = {1, 2, 2};

// Layers are numbered as in the published module list: 3 memory blocks, upsampling, growing, conv.
int FirstOf(int stage) { return 3 + 6 * stage; }
std::string Name(int layer) { return absl::StrCat("decoder.", layer); }

// A published file may hold rows for more frames than version 1.5 shows; the last are the right
// ones.
nn::Linear LoadGrow(const std::string& name, int n, int channels, const SafeTensors& file,
                    const nn::KernelTable& kernels, nn::WeightLoader* weights) {
  constexpr int64_t kMostFrames = 4;
  const std::string tensor = name + ".weight";
  auto found = file.tensors().find(tensor);
  int64_t rows = n;
  if (found != file.tensors().end() && !found->second.shape.empty()) {
    rows = std::clamp<int64_t>(found->second.shape[0], n, kMostFrames * channels);
  }
  std::vector<float> weight = weights->LoadTensor(tensor, {rows, channels, 1, 1});
  if (!weights->status().ok()) return {};
  weight.erase(weight.begin(), weight.end() - int64_t{n} * channels);
  return nn::Linear(kernels, weight, {}, n, channels);
}

}  // namespace

TaehvDecoder::TaehvDecoder(const Config& config, const SafeTensors& file,
                           const nn::KernelTable& kernels, nn::WeightLoader* weights)
    : kernels_(&kernels), size_{config.latent_height(), config.latent_width(), config.channels} {
  int widths[kStages + 1] = {WidthOf(Name(1), file, weights)};
  for (int s = 0; s < kStages; ++s) widths[s + 1] = WidthOf(Name(FirstOf(s) + 5), file, weights);
  if (!weights->status().ok()) return;

  conv_in_ = LoadConv3x3(Name(1), widths[0], size_.channels, nn::Bias::kYes, kernels, weights);
  int frames = 1;
  for (int s = 0; s < kStages; ++s) {
    Stage& stage = stages_[s];
    const int n = widths[s], first = FirstOf(s);
    stage.size = {size_.height << s, size_.width << s, n};
    stage.frames = frames;
    stage.stride = kStrides[s];
    for (int j = 0; j < 3; ++j) {
      stage.blocks[j] = MemoryBlock(Name(first + j), n, kernels, weights);
    }
    stage.grow = LoadGrow(Name(first + 4) + ".conv", n * stage.stride, n, file, kernels, weights);
    stage.conv = LoadConv3x3(Name(first + 5), widths[s + 1], n, nn::Bias::kNo, kernels, weights);
    frames *= stage.stride;
    history_floats_ += 3 * stage.size.floats();
    const MapSize made = {2 * stage.size.height, 2 * stage.size.width, std::max(n, widths[s + 1])};
    const MapSize both = {stage.size.height, stage.size.width, 2 * n};
    largest_ = std::max({largest_, made.bordered_floats(), both.bordered_floats()});
  }
  conv_out_ =
      LoadConv3x3(Name(22), kPatchChannels, widths[kStages], nn::Bias::kYes, kernels, weights);
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
