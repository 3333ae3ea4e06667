// Attention of a frame's tokens over the frames a layer keeps, and the cache of those frames.
//
// Keys and values lie in the cache as packed weight matrices (model/kernels/kernels.h), a frame's
// tokens being the columns of one and the rows of the other. So q K' and P V are the same kernel as
// every other product, and its promise holds: a row's result does not depend on its company.
#pragma once

#include <cstdint>
#include <vector>

#include "model/kernels/kernels.h"
#include "model/nn/tensor.h"
#include "model/world/waypoint/config.h"

namespace firstbyte::waypoint {

// The cache of one slot: for each layer ring.places frames and the tail.
class KvCache {
 public:
  explicit KvCache(const Config& config);

  // Frame `place` of a layer; keys and values of all its kv heads are contiguous.
  float* Frame(int layer, int place) const {
    return data_.data() + (first_[layer] + place) * frame_floats_;
  }
  int64_t frame_floats() const { return frame_floats_; }
  static int64_t FrameFloats(const Config& config);
  static int64_t Frames(const Config& config);  // of all layers, tails included

 private:
  int64_t frame_floats_;
  std::vector<int64_t> first_;  // [layers] frames before the layer's
  nn::Tensor data_;
};

// A frame's keys and values, plainly: token t of kv head h has head_dim numbers at
// t * token_stride + h * head_stride of both arrays.
template <typename Float>
struct PlainFrame {
  Float *keys, *values;
  int64_t token_stride, head_stride;
};
// To and from a frame of the cache.
void PackFrame(const Config& config, const PlainFrame<const float>& plain, float* frame);
void UnpackFrame(const Config& config, const float* frame, const PlainFrame<float>& plain);

class Attention {
 public:
  // Workspace of a lane.
  struct Buffers {
    explicit Buffers(const Config& config);
    nn::Tensor scores;  // [query rows, seen tokens]
    nn::Tensor zeros;   // bias of the products
  };

  Attention() = default;
  Attention(const Config& config, const kernels::KernelTable& kernels);

  // Writes the keys and values of one frame to a place of the cache. qkv: see Run().
  void Store(const float* qkv, float* frame) const;

  // qkv [tokens, (n_heads + 2 n_kv_heads) * head_dim], q and k rotated; the frames seen, in order
  // -> out [tokens, n_heads * head_dim].
  void Run(const float* qkv, const std::vector<const float*>& seen, Buffers* buffers,
           float* out) const;

 private:
  void RunHead(const float* q, int rows, int kv_head, const std::vector<const float*>& seen,
               Buffers* buffers, float* out) const;

  const kernels::KernelTable* kernels_ = nullptr;
  Config config_{};
  int tokens_ = 0, heads_ = 0, kv_heads_ = 0, head_dim_ = 0, stride_ = 0;
  int64_t key_floats_ = 0, value_floats_ = 0;  // of one kv head of a frame
};

}  // namespace firstbyte::waypoint
