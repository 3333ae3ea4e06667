// A stack of Llama blocks on a GPU, over slots: RMSNorm, grouped-query attention to what the
// session's cache holds, SwiGLU, and the norm behind the last block.
//
// T is what activations and caches are made of: float, Bf16 or F16; between the blocks a token is
// float. A cache is a ring that the step says the places of, or simply long enough. Immutable but
// for the caches and the workspace; used by its lane's thread only; errors are those of gpu.h.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/cuda/gpu_linear.h"

namespace firstbyte::cuda {

struct LlamaShape {
  int layers;
  int width, mlp;  // multiples of 8
  int heads, kv_heads, head_dim;
  double rope_base;
  float epsilon;
  int slots, capacity;        // sessions, and tokens that each one's cache holds
  int most_rows, tokens = 1;  // of a step: sessions, and tokens of each
  int splits = 1;             // of a cache, see AttendStep
  bool less_precise = false;  // T = float only: products in TF32
};

// Of a block, row-major. What is empty becomes zeros, or ones if it is a gain.
struct LlamaBlockWeights {
  std::vector<float> attention_gain;  // [width]
  std::vector<float> qkv;             // [(heads + 2 kv_heads) * head_dim, width]: q, k, v
  std::vector<float> out;             // [width, heads * head_dim]
  std::vector<float> mlp_gain;        // [width]
  std::vector<float> gate_up;         // [2 * mlp, width]: gate, up
  std::vector<float> down;            // [width, mlp]
};

template <typename T>
class GpuLlama {
 public:
  // Weights of block 0, 1, ... in turn, each asked for once.
  using Loader = std::function<absl::StatusOr<LlamaBlockWeights>(int)>;
  // Where the sessions stand; all on the device. A session's tokens take the places places[slot]
  // and on; the last sees the first lengths[slot] of its cache, itself among them, and the others
  // one less each, so that no session of several tokens may have gone round its ring.
  struct Step {
    int rows;
    const int32_t* slots;      // [rows]
    const int64_t* positions;  // [slots]: of a session's first token
    const int32_t* places;     // [slots]
    const int32_t* lengths;    // [slots]
  };

  // gain [width]: of the last norm. `gpu` outlives the stack.
  static absl::StatusOr<std::unique_ptr<GpuLlama>> Create(Gpu* gpu, const LlamaShape& shape,
                                                          const Loader& load,
                                                          absl::Span<const float> gain);

  // Weights that nobody trained, and caches as if something had been said.
  absl::Status Randomise(uint64_t seed);

  // x() [rows * tokens, width], which is used up -> normed(), as large.
  absl::Status Forward(Queue queue, const Step& step) const;
  float* x() const { return x_.get(); }
  const T* normed() const { return normed_.get(); }

  // What products of T multiply.
  static Number NumberFor(const LlamaShape& shape);

 private:
  struct Block {
    DeviceArray<float> attention_scale, mlp_scale;  // gain - 1
    GpuLinear qkv, out, gate_up, down;
    DeviceArray<T> keys, values;  // [slots, kv_heads, capacity, head_dim]
  };

  GpuLlama(Gpu* gpu, const LlamaShape& shape);
  int inner() const { return shape_.heads * shape_.head_dim; }
  int qkv_width() const { return inner() + 2 * shape_.kv_heads * shape_.head_dim; }
  int64_t cache_size() const {
    return int64_t{shape_.slots} * shape_.kv_heads * shape_.capacity * shape_.head_dim;
  }
  absl::Status CheckShape() const;
  absl::Status LoadBlock(const LlamaBlockWeights& weights, Block* block) const;
  absl::Status LoadGain(absl::Span<const float> gain, DeviceArray<float>* scale) const;
  absl::Status Linear(int n, int k, absl::Span<const float> weight, GpuLinear* linear) const;
  absl::Status LoadFrequencies();
  absl::Status Allocate();

  absl::Status Attend(Queue queue, const Step& step, const Block& block) const;
  absl::Status Feed(Queue queue, const Step& step, const Block& block) const;
  // x += branch, if there is one; then normed = x / rms(x) * gain.
  absl::Status Norm(Queue queue, const Step& step, const T* branch,
                    const DeviceArray<float>& scale) const;

  Gpu* const gpu_;
  const LlamaShape shape_;
  const TypedKernels<T>& kernels_;
  std::vector<Block> blocks_;
  DeviceArray<float> scale_;  // of the last norm
  DeviceArray<double> frequencies_;
  DeviceArray<float> offsets_;  // [tokens, head_dim / 2], radians
  DeviceArray<float> x_, extremes_, partials_;
  DeviceArray<T> normed_, qkv_, attended_, branch_, gate_up_, mlp_;
};

extern template class GpuLlama<float>;
extern template class GpuLlama<Bf16>;
extern template class GpuLlama<F16>;

}  // namespace firstbyte::cuda
