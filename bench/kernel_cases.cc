#include "bench/kernel_cases.h"

#include <algorithm>
#include <array>
#include <memory>

#include "absl/strings/str_cat.h"
#include "codec/pcm.h"
#include "model/kernels/philox.h"
#include "model/nn/layers.h"

namespace firstbyte {
namespace {

using kernels::KernelTable;
using kernels::kHeadDim;
using nn::Tensor;

constexpr double kExpFlops = 20, kSinCosFlops = 30;  // multiply-adds count twice
constexpr int kHeads = 4, kWindow = 32, kLayers = 4;

Tensor Filled(const std::vector<int64_t>& shape) {
  Tensor tensor(shape);
  for (int64_t i = 0; i < tensor.size(); ++i) {
    tensor.data()[i] = 0.01f * static_cast<float>(i % 17 - 8);
  }
  return tensor;
}

// A step walks through all weights of the network, 7 MB of them, before it comes back to these: so
// each call takes the next of enough copies to find them in the third-level cache.
KernelCase LinearCase(const KernelTable& table, const std::string& what, int n, int k, int m) {
  struct Memory {
    std::vector<nn::Linear> copies;
    Tensor x, y;
    size_t next = 0;
  };
  auto memory = std::make_shared<Memory>();
  const std::vector<float> weight(static_cast<size_t>(n) * k, 0.125f), bias(n, 0.0f);
  const int64_t bytes = 2 * kernels::PackedFloats(n, k);
  for (int64_t total = 0; total < 7 << 20; total += bytes) {
    memory->copies.emplace_back(table, weight, bias, n, k);
  }
  memory->x = Filled({m, k});
  memory->y = Filled({m, n});
  return {absl::StrCat("linear ", what, " ", k, "->", n),
          m,
          {2.0 * n * k * m, static_cast<double>(bytes) + 4.0 * m * (n + k), 7 << 20},
          [memory, m] {
            memory->copies[memory->next].Forward(memory->x.data(), m, memory->y.data());
            memory->next = (memory->next + 1) % memory->copies.size();
          }};
}

// The vocoder's convolutions, 192 -> 384 channels; its operations are counted as written down, so
// that Winograd's method may be faster than the core.
KernelCase CausalCase(const KernelTable& table, int tiles) {
  constexpr int kIn = 192, kOut = 384, kTaps = nn::CausalConv::kTaps;
  struct Memory {
    std::vector<nn::CausalConv> copies;
    nn::CausalConv::Scratch scratch;
    Tensor tail, x, y;
    size_t next = 0;
  };
  const int rows = tiles * kernels::kCausalRows;
  auto memory = std::make_shared<Memory>(
      Memory{{}, {tiles, kIn}, Tensor({2, kIn}), Filled({rows, kIn}), Filled({rows, kOut})});
  const std::vector<float> weight(size_t{kTaps} * kIn * kOut, 0.125f), bias(kOut, 0.0f);
  const int64_t bytes = 2 * kernels::PackedFloats(kOut, kTaps * kIn);
  for (int64_t total = 0; total < 7 << 20; total += bytes) {
    memory->copies.emplace_back(table, weight, bias, kOut, kIn);
  }
  return {absl::StrCat("causal conv ", kIn, "->", kOut),
          rows,
          {2.0 * kTaps * kIn * kOut * rows, static_cast<double>(bytes) + 4.0 * rows * (kIn + kOut),
           7 << 20},
          [memory, tiles] {
            Memory& b = *memory;
            const nn::ConvSegment segment{b.tail.data(), tiles};
            b.copies[b.next].Forward(b.x.data(), {&segment, 1}, &b.scratch, b.y.data());
            b.next = (b.next + 1) % b.copies.size();
          }};
}

KernelCase AttentionCase(const KernelTable& table, int m) {
  struct Memory {
    Tensor rings, qkv, cosines, sines, out;
    std::vector<int32_t> positions;
    std::array<std::vector<float*>, kLayers> keys, values;
    int layer = 0;
  };
  auto memory = std::make_shared<Memory>();
  const int64_t ring = int64_t{kHeads} * kHeadDim * kWindow;
  memory->rings = Filled({m, kLayers, 2, ring});
  memory->qkv = Filled({m, 3 * kHeads * kHeadDim});
  memory->cosines = Filled({m, kHeadDim / 2});
  memory->sines = Filled({m, kHeadDim / 2});
  memory->out = Filled({m, kHeads * kHeadDim});
  memory->positions.assign(m, 100);
  for (int layer = 0; layer < kLayers; ++layer) {
    for (int row = 0; row < m; ++row) {
      float* keys = memory->rings.data() + (row * kLayers + layer) * 2 * ring;
      memory->keys[layer].push_back(keys);
      memory->values[layer].push_back(keys + ring);
    }
  }
  const double products = 4.0 * ring;  // scores and mix: a multiply-add for each key and value
  return {"attention, 4 heads, window 32",
          m,
          {m * (products + kHeads * kWindow * kExpFlops), m * 8.0 * static_cast<double>(ring),
           m * kLayers * 8 * ring},
          [memory, m, &table] {
            Memory& b = *memory;
            table.attention({b.qkv.data(), b.cosines.data(), b.sines.data(), b.positions.data(),
                             b.keys[b.layer].data(), b.values[b.layer].data(), b.out.data(), m,
                             kHeads, kWindow});
            b.layer = (b.layer + 1) % kLayers;
          }};
}

// Three transforms, the log spectra of two sub-frames and two filters, exp and sincos of each bin.
KernelCase FilterCase(const KernelTable& table) {
  constexpr int kLanes = kernels::kFilterLanes, kHarmonic = 40, kNoise = 25;
  struct Memory {
    Tensor excitation, cepstra, harmonic_basis, noise_basis, window, scratch, pieces;
    std::vector<const float*> harmonic, noise, rows;
    std::vector<float*> out;
  };
  auto memory = std::make_shared<Memory>();
  Memory& b = *memory;
  b.excitation = Filled({2, kLanes, 240});
  b.cepstra = Filled({kLanes, 2 * (kHarmonic + kNoise)});
  b.harmonic_basis = Filled({2 * kernels::kFilterBins, kHarmonic});
  b.noise_basis = Filled({2 * kernels::kFilterBins, kNoise});
  b.window = Filled({160});
  b.scratch = Filled({kernels::FilterScratchFloats()});
  b.pieces = Filled({kLanes, 2, kernels::kFftSize});
  for (int i = 0; i < kLanes; ++i) {
    b.harmonic.push_back(b.excitation.data() + i * 240);
    b.noise.push_back(b.excitation.data() + (kLanes + i) * 240);
    b.rows.push_back(b.cepstra.data() + i * 2 * (kHarmonic + kNoise));
    b.out.push_back(b.pieces.data() + i * 2 * kernels::kFftSize);
  }
  const double transforms = 3 * 5.0 * kernels::kFftSize * 9;
  const double spectra = 2 * 2.0 * 2 * kernels::kFilterBins * (kHarmonic + kNoise);
  const double filters = 2 * kernels::kFilterBins * (2 * (kExpFlops + kSinCosFlops) + 24);
  return {"filter of mel frames",
          kLanes,
          {kLanes * (transforms + spectra + filters),
           4.0 * static_cast<double>(b.scratch.size()) * 4, 400 << 10},
          [memory, &table] {
            Memory& m = *memory;
            table.filter({kLanes, m.harmonic.data(), m.noise.data(), m.rows.data(), kHarmonic,
                          kNoise, m.harmonic_basis.data(), m.noise_basis.data(), m.window.data(),
                          m.scratch.data(), m.out.data()});
          }};
}

using RowKernel = void (*)(const float* x, int m, int n, float* y);

KernelCase GateCase(const std::string& name, RowKernel kernel, int m, int n, double flops) {
  auto x = Filled({m, 2 * n}), y = Filled({m, n});
  return {name, m, {flops * m * n, 12.0 * m * n, int64_t{12} * m * n}, [=] {
            kernel(x.data(), m, n, y.data());
          }};
}

KernelCase NormCase(const KernelTable& table, int m, int n) {
  auto x = Filled({m, n}), gain = Filled({n}), y = Filled({m, n});
  return {"rms_norm", m, {4.0 * m * n, 8.0 * m * n, int64_t{8} * m * n}, [=, &table] {
            table.rms_norm(x.data(), gain.data(), 1e-5f, m, n, y.data());
          }};
}

void AddSampleCases(const KernelTable& table, std::vector<KernelCase>* cases) {
  const int samples = kernels::kMelSamples;
  auto out = Filled({samples});
  auto phase = std::make_shared<double>(0);
  cases->push_back(
      {"pulses of a mel frame", samples, {60.0 * samples, 4.0 * samples, 4 * samples}, [=, &table] {
         table.pulses(4.6, 4.7, true, 16000, phase.get(), out.data());
       }});
  // Ten rounds of two products, six exclusive-ors and two sums for four samples.
  cases->push_back(
      {"noise of a mel frame", samples, {25.0 * samples, 4.0 * samples, 4 * samples}, [=] {
         kernels::UniformNoise(7, 0, samples, kernels::NoisePurpose::kExcitation, out.data());
       }});
  const int chunk = 16 * 640;
  auto audio = Filled({chunk});
  auto bytes = std::make_shared<std::string>();
  cases->push_back({"samples to PCM16", chunk, {5.0 * chunk, 6.0 * chunk, 6 * chunk}, [=] {
                      bytes->clear();
                      AppendPcm16({audio.data(), static_cast<size_t>(chunk)}, bytes.get());
                    }});
}

}  // namespace

std::vector<KernelCase> VoiceKernelCases(const KernelTable& table) {
  std::vector<KernelCase> cases;
  for (int m : {1, 8, 32, 64, 128}) {
    cases.push_back(LinearCase(table, "qkv", 768, 256, m));
    cases.push_back(LinearCase(table, "gate_up", 1408, 256, m));
    cases.push_back(LinearCase(table, "down", 256, 704, m));
    cases.push_back(AttentionCase(table, m));
  }
  for (int m : {4, 64, 256}) {
    cases.push_back(CausalCase(table, m / kernels::kCausalRows));
    cases.push_back(LinearCase(table, "vocoder proj", 192, 192, m));
  }
  cases.push_back(FilterCase(table));
  cases.push_back(GateCase("tanh_gate", table.tanh_gate, 256, 192, 2 * kExpFlops + 6));
  cases.push_back(GateCase("swiglu", table.swiglu, 64, 704, kExpFlops + 4));
  cases.push_back(NormCase(table, 64, 256));
  AddSampleCases(table, &cases);
  return cases;
}

}  // namespace firstbyte
