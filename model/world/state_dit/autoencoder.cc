#include "model/world/state_dit/autoencoder.h"

#include <algorithm>

#include "model/kernels/maps.h"

namespace firstbyte::state_dit {
namespace {

constexpr int kPatchSize = kPatch * kPatch * 3;

int64_t Bordered(int side) { return int64_t{1} * (side + 2) * (side + 2); }

// Start of line `line` inside a bordered map.
float* InsideLine(float* map, int side, int channels, int line) {
  const int64_t pixel = (line + 1) * (side + 2) + 1;
  return map + pixel * channels;
}

// from [side, side, 2, 2, channels] -> to [2 side, 2 side, channels]
void ShuffleUp(const float* from, int side, int channels, float* to) {
  const int run = 2 * channels;
  for (int line = 0; line < side; ++line) {
    for (int place = 0; place < side; ++place, from += 2 * run) {
      for (int i = 0; i < 2; ++i) {
        std::copy_n(from + i * run, run, to + ((2 * line + i) * side + place) * int64_t{run});
      }
    }
  }
}

// PyTorch's pixel_unshuffle: from [side, side, channels] -> [side / r, side / r, channels * r * r]
std::vector<float> ShuffleDown(const float* from, int side, int channels, int r) {
  std::vector<float> to(int64_t{1} * side * side * channels);
  const int small = side / r;
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x, from += channels) {
      float* out = &to[(y / r * small + x / r) * int64_t{channels} * r * r + y % r * r + x % r];
      for (int c = 0; c < channels; ++c) out[c * r * r] = from[c];
    }
  }
  return to;
}

}  // namespace

MapBuffers::MapBuffers(int maps, int s, int c)
    : side(s),
      channels(c),
      x({maps, s, s, c}),
      normed({maps, Bordered(s), c}),
      hidden({maps, Bordered(s), c}),
      scratch({kernels::WinogradScratchFloats(s, s, c, c)}) {}

ResidualBlock::ResidualBlock(const std::string& name, int channels, nn::WeightLoader* weights)
    : norm_(weights->LoadMapNorm(name + ".norm", channels, kMapEpsilon)),
      conv1_(weights->LoadWinogradConv(name + ".conv1", channels, channels)),
      conv2_(weights->LoadWinogradConv(name + ".conv2", channels, channels)) {}

void ResidualBlock::Run(int maps, MapBuffers* b) const {
  norm_.Forward(b->x.data(), maps, b->side, b->side, /*silu=*/false, b->normed.data());
  conv1_.Forward(b->normed.data(), maps, b->side, b->side, b->hidden.data(), nn::Epilogue::kSilu,
                 /*bordered=*/true, b->scratch.data());
  conv2_.Forward(b->hidden.data(), maps, b->side, b->side, b->x.data(), nn::Epilogue::kAdd,
                 /*bordered=*/false, b->scratch.data());
}

Whitening::Whitening(const Config& config, nn::WeightLoader* weights)
    : mean(weights->LoadVector("autoencoder.mean", config.latent_channels)),
      std(weights->LoadVector("autoencoder.std", config.latent_channels)) {}

Decoder::Buffers::Buffers(const Config& c, int maps)
    : latents({maps, Bordered(4), c.latent_channels}),
      at4(maps, 4, c.decoder[0]),
      at8(maps, 8, c.decoder[1]),
      at16(maps, 16, c.decoder[2]),
      shuffled({maps, std::max({64 * c.decoder[1], 256 * c.decoder[2], 256 * kPatchSize})}),
      pixels({maps, kPicture, kPicture, 3}) {}

Decoder::Decoder(const Config& config, const nn::KernelTable& kernels, nn::WeightLoader* weights)
    : kernels_(&kernels), whitening_(config, weights) {
  const std::string p = "autoencoder.decoder.";
  const int a = config.decoder[0], b = config.decoder[1], c = config.decoder[2];
  // cppcheck-suppress useInitializationList; what follows reads as the network runs
  in_ = weights->LoadConv3x3(p + "conv_in", a, config.latent_channels);
  block4_ = ResidualBlock(p + "block4", a, weights);
  up8_ = weights->LoadConv1x1(p + "up8", 4 * b, a, /*shuffle=*/2);
  block8a_ = ResidualBlock(p + "block8a", b, weights);
  block8b_ = ResidualBlock(p + "block8b", b, weights);
  up16_ = weights->LoadConv1x1(p + "up16", 4 * c, b, /*shuffle=*/2);
  block16a_ = ResidualBlock(p + "block16a", c, weights);
  block16b_ = ResidualBlock(p + "block16b", c, weights);
  out_ = weights->LoadConv3x3(p + "conv_out", kPatchSize, c, /*shuffle=*/kPatch);
}

void Decoder::Run(absl::Span<const float* const> latents, Buffers* b) const {
  const int maps = static_cast<int>(latents.size()), channels = in_.inputs();
  for (int map = 0; map < maps; ++map) {
    const float* from = latents[map];
    float* inside = b->latents.data() + map * Bordered(4) * channels;
    for (int i = 0; i < kVideoTokens; ++i, from += channels) {
      float* to = InsideLine(inside, 4, channels, i / 4) + i % 4 * channels;
      for (int c = 0; c < channels; ++c) to[c] = from[c] * whitening_.std[c] + whitening_.mean[c];
    }
  }
  in_.Forward(b->latents.data(), maps, 4, 4, b->at4.x.data());
  block4_.Run(maps, &b->at4);
  up8_.Forward(b->at4.x.data(), maps * 16, b->shuffled.data());
  for (int map = 0; map < maps; ++map) {
    const int64_t size = int64_t{64} * b->at8.channels;
    ShuffleUp(b->shuffled.data() + map * size, 4, b->at8.channels, b->at8.x.data() + map * size);
  }
  block8a_.Run(maps, &b->at8);
  block8b_.Run(maps, &b->at8);
  up16_.Forward(b->at8.x.data(), maps * 64, b->shuffled.data());
  const int c16 = b->at16.channels;
  for (int map = 0; map < maps; ++map) {
    const int64_t size = int64_t{256} * c16;
    ShuffleUp(b->shuffled.data() + map * size, 8, c16, b->at16.x.data() + map * size);
  }
  block16a_.Run(maps, &b->at16);
  block16b_.Run(maps, &b->at16);
  for (int line = 0; line < maps * 16; ++line) {
    kernels_->silu(
        b->at16.x.data() + int64_t{line} * 16 * c16, 16 * c16,
        InsideLine(b->at16.normed.data() + line / 16 * Bordered(16) * c16, 16, c16, line % 16));
  }
  out_.Forward(b->at16.normed.data(), maps, 16, 16, b->shuffled.data());
  const float* from = b->shuffled.data();
  for (int patch = 0; patch < maps * 256; ++patch) {
    float* corner =
        b->pixels.data() + (patch / 16 * kPatch * 16 + patch % 16) * int64_t{kPatch} * 3;
    for (int i = 0; i < kPatch; ++i, corner += kPicture * 3) {
      for (int j = 0; j < kPatch * 3; ++j) corner[j] = *from++ + 0.5f;
    }
  }
}

Encoder::Encoder(const Config& config, nn::WeightLoader* weights)
    : config_(config), whitening_(config, weights) {
  const std::string p = "autoencoder.encoder.";
  const int a = config.encoder[0], b = config.encoder[1], c = config.encoder[2];
  // cppcheck-suppress useInitializationList; what follows reads as the network runs
  in_ = weights->LoadConv3x3(p + "conv_in", a, kPatchSize);
  block16_ = ResidualBlock(p + "block16", a, weights);
  down8_ = weights->LoadConv1x1(p + "down8", b, 4 * a);
  block8_ = ResidualBlock(p + "block8", b, weights);
  down4_ = weights->LoadConv1x1(p + "down4", c, 4 * b);
  block4_ = ResidualBlock(p + "block4", c, weights);
  out_ = weights->LoadConv1x1(p + "conv_out", config.latent_channels, c);
}

std::vector<float> Encoder::Run(const std::vector<float>& pixels) const {
  MapBuffers at16(1, 16, config_.encoder[0]), at8(1, 8, config_.encoder[1]);
  MapBuffers at4(1, 4, config_.encoder[2]);
  std::vector<float> centred = pixels;
  for (float& v : centred) v -= 0.5f;
  std::vector<float> patches = ShuffleDown(centred.data(), kPicture, 3, kPatch);
  nn::Tensor bordered({Bordered(16), kPatchSize});
  for (int line = 0; line < 16; ++line) {
    std::copy_n(&patches[line * 16 * kPatchSize], 16 * kPatchSize,
                InsideLine(bordered.data(), 16, kPatchSize, line));
  }
  in_.Forward(bordered.data(), 1, 16, 16, at16.x.data());
  block16_.Run(1, &at16);
  down8_.Forward(ShuffleDown(at16.x.data(), 16, at16.channels, 2).data(), 64, at8.x.data());
  block8_.Run(1, &at8);
  down4_.Forward(ShuffleDown(at8.x.data(), 8, at8.channels, 2).data(), 16, at4.x.data());
  block4_.Run(1, &at4);
  std::vector<float> latents(kVideoTokens * config_.latent_channels);
  out_.Forward(at4.x.data(), kVideoTokens, latents.data());
  for (size_t i = 0; i < latents.size(); ++i) {
    const size_t c = i % whitening_.mean.size();
    latents[i] = (latents[i] - whitening_.mean[c]) / whitening_.std[c];
  }
  return latents;
}

AudioCode::AudioCode(const Config& config, const nn::KernelTable& kernels,
                     nn::WeightLoader* weights) {
  const int n = config.samples_per_frame, k = config.audio_channels;
  std::vector<float> basis = weights->LoadTensor("audio.basis", {k, n});
  std::vector<float> mean = weights->LoadVector("audio.mean", n);
  if (!weights->status().ok()) return;
  std::vector<float> transposed(basis.size());
  for (int i = 0; i < k; ++i) {
    for (int j = 0; j < n; ++j) transposed[j * k + i] = basis[i * n + j];
  }
  basis_ = nn::Linear(kernels, transposed, mean, n, k);
}

void ToBytes(const float* values, int64_t count, uint8_t* bytes) {
  for (int64_t i = 0; i < count; ++i) {
    // Not std::clamp: a value that is no number must come out in range, too.
    bytes[i] = static_cast<uint8_t>(std::min(1.0f, std::max(0.0f, values[i])) * 255 + 0.5f);
  }
}

}  // namespace firstbyte::state_dit
