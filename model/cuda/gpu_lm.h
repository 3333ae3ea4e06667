// A causal language model on a GPU whose sessions go on by themselves: embedding, Llama blocks,
// logits and the draw of the next token are one graph, and so are positions, lengths, seeds and who
// has stopped. The host says who takes part and hears what was drawn, a step late.
//
// T as in gpu_llama.h. Used by its lane's thread only; errors are those of gpu.h.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/cuda/gpu_llama.h"
#include "model/cuda/gpu_stage.h"

namespace firstbyte::cuda {

struct LmShape {
  LlamaShape llama;   // of one token a step
  int vocabulary;     // a multiple of 8
  int32_t end = -1;   // who draws this token stops; -1: nobody does
  bool tied = false;  // the embedding is the head's weights
  GraphMode mode = GraphMode::kGraphs;
};

// What is empty becomes zeros, or ones if it is a gain.
struct LmWeights {
  std::vector<float> embedding;  // [vocabulary, width]; none where the model is tied
  std::vector<float> gain;       // [width], of the last norm
  std::vector<float> head;       // [vocabulary, width]
};

template <typename T>
class GpuLm {
 public:
  using Loader = typename GpuLlama<T>::Loader;

  // `gpu` outlives the model.
  static absl::StatusOr<std::unique_ptr<GpuLm>> Create(Gpu* gpu, const LmShape& shape,
                                                       const LmWeights& weights,
                                                       const Loader& load);
  // With weights that nobody trained, made on the device.
  static absl::StatusOr<std::unique_ptr<GpuLm>> Random(Gpu* gpu, const LmShape& shape,
                                                       uint64_t seed);

  // One token for each of `slots`, different ones; given[i] is for slots[i]. A slot's first row
  // begins a session. Two steps may be under way.
  absl::StatusOr<Ticket> Submit(absl::Span<const int32_t> slots,
                                absl::Span<const SpeakerRow> given);
  // What was drawn, in the order of the slots; -1: the session had stopped before. It stays until
  // the next but one Submit(). Tickets in their order.
  absl::StatusOr<const int32_t*> Wait(Ticket ticket);

 private:
  GpuLm(Gpu* gpu, const LmShape& shape);
  absl::Status Open(const LmWeights& weights, const Loader& load);
  absl::Status LoadEnds(const LmWeights& weights);
  absl::Status Allocate();
  absl::Status Body(const GpuStage::Step& step) const;
  absl::Status Draw(const GpuStage::Step& step) const;
  Speakers speakers() const;

  Gpu* const gpu_;
  const LmShape shape_;
  const TypedKernels<T>& kernels_;
  std::unique_ptr<GpuLlama<T>> llama_;
  GpuLinear head_;
  DeviceArray<T> embedding_;  // none where the model is tied
  DeviceArray<uint64_t> seeds_;
  DeviceArray<int64_t> draws_, positions_, limits_;
  DeviceArray<int32_t> top_ks_, tokens_, stopped_, places_, lengths_, active_, heard_;
  DeviceArray<float> temperatures_, top_ps_, penalties_, logits_;
  DeviceArray<uint32_t> seen_;
  std::unique_ptr<GpuStage> stage_;  // goes first
};

extern template class GpuLm<float>;
extern template class GpuLm<Bf16>;
extern template class GpuLm<F16>;

}  // namespace firstbyte::cuda
