#include "model/world/waypoint/attention.h"

#include <algorithm>
#include <cmath>

#include "model/world/waypoint/ops.h"

namespace firstbyte::waypoint {
namespace {

using kernels::Epilogue;
using kernels::kPanel;

constexpr int kQueryRows = 64;  // at a time: their scores over 17 frames of 720p take 2 MB

int64_t KeyFloats(const Config& c) { return kernels::PackedFloats(c.tokens(), c.head_dim()); }
int64_t ValueFloats(const Config& c) { return kernels::PackedFloats(c.head_dim(), c.tokens()); }

int MostPlaces(const Config& c) {
  int most = 0;
  for (int i = 0; i < c.n_layers; ++i) most = std::max(most, c.ring(i).places);
  return most;
}

// Calls f(where a number of a key is in a packed frame, where of a value, where plainly).
template <typename Function>
void ForEachNumber(const Config& c, int64_t token_stride, int64_t head_stride, Function f) {
  const int tokens = c.tokens(), head_dim = c.head_dim();
  for (int token = 0; token < tokens; ++token) {
    for (int h = 0; h < c.n_kv_heads; ++h) {
      const int64_t head = h * (KeyFloats(c) + ValueFloats(c));
      const int64_t key = head + token / kPanel * kPanel * head_dim + token % kPanel;
      const int64_t value = head + KeyFloats(c) + token * kPanel;
      const int64_t plain = token * token_stride + h * head_stride;
      for (int i = 0; i < head_dim; ++i) {
        f(key + i * kPanel, value + i / kPanel * int64_t{tokens} * kPanel + i % kPanel, plain + i);
      }
    }
  }
}

}  // namespace

void PackFrame(const Config& c, const PlainFrame<const float>& plain, float* frame) {
  ForEachNumber(c, plain.token_stride, plain.head_stride,
                [&](int64_t key, int64_t value, int64_t at) {
                  frame[key] = plain.keys[at];
                  frame[value] = plain.values[at];
                });
}

void UnpackFrame(const Config& c, const float* frame, const PlainFrame<float>& plain) {
  ForEachNumber(c, plain.token_stride, plain.head_stride,
                [&](int64_t key, int64_t value, int64_t at) {
                  plain.keys[at] = frame[key];
                  plain.values[at] = frame[value];
                });
}

int64_t KvCache::FrameFloats(const Config& c) {
  return c.n_kv_heads * (KeyFloats(c) + ValueFloats(c));
}

int64_t KvCache::Frames(const Config& c) {
  int64_t frames = 0;
  for (int i = 0; i < c.n_layers; ++i) frames += c.ring(i).places + 1;
  return frames;
}

KvCache::KvCache(const Config& c)
    : frame_floats_(FrameFloats(c)), data_({Frames(c), FrameFloats(c)}) {
  int64_t first = 0;
  for (int i = 0; i < c.n_layers; ++i) {
    first_.push_back(first);
    first += c.ring(i).places + 1;
  }
}

Attention::Buffers::Buffers(const Config& c)
    : scores({std::min(kQueryRows, c.tokens()), int64_t{MostPlaces(c) + 1} * c.tokens()}),
      zeros({std::max(c.tokens(), c.head_dim()) + kPanel}) {}

Attention::Attention(const Config& c, const kernels::KernelTable& kernels)
    : kernels_(&kernels),
      config_(c),
      tokens_(c.tokens()),
      heads_(c.n_heads),
      kv_heads_(c.n_kv_heads),
      head_dim_(c.head_dim()),
      stride_(c.d_model + 2 * c.kv_size()),
      key_floats_(KeyFloats(c)),
      value_floats_(ValueFloats(c)) {}

void Attention::Store(const float* qkv, float* frame) const {
  const float* keys = qkv + heads_ * head_dim_;
  PackFrame(config_, {keys, keys + kv_heads_ * head_dim_, stride_, head_dim_}, frame);
}

// q and out are rows of one head, `stride_` and d_model apart.
void Attention::RunHead(const float* q, int rows, int kv_head,
                        const std::vector<const float*>& seen, Buffers* buffers, float* out) const {
  const int width = static_cast<int>(seen.size()) * tokens_;
  const int64_t offset = kv_head * (key_floats_ + value_floats_);
  float* scores = buffers->scores.data();
  const float* zeros = buffers->zeros.data();
  for (size_t i = 0; i < seen.size(); ++i) {
    const kernels::PackedWeights keys = {seen[i] + offset, zeros, tokens_, head_dim_};
    kernels_->linear(keys, q, stride_, rows, scores + i * tokens_, width, Epilogue::kNone);
  }
  Softmax(*kernels_, 1 / std::sqrt(static_cast<float>(head_dim_)), rows, width, scores);
  for (size_t i = 0; i < seen.size(); ++i) {
    const kernels::PackedWeights values = {seen[i] + offset + key_floats_, zeros, head_dim_,
                                           tokens_};
    kernels_->linear(values, scores + i * tokens_, width, rows, out, heads_ * head_dim_,
                     i == 0 ? Epilogue::kNone : Epilogue::kAdd);
  }
}

void Attention::Run(const float* qkv, const std::vector<const float*>& seen, Buffers* buffers,
                    float* out) const {
  for (int h = 0; h < heads_; ++h) {
    const int kv_head = h / (heads_ / kv_heads_);
    for (int token = 0; token < tokens_; token += kQueryRows) {
      RunHead(qkv + static_cast<int64_t>(token) * stride_ + h * head_dim_,
              std::min(kQueryRows, tokens_ - token), kv_head, seen, buffers,
              out + static_cast<int64_t>(token) * heads_ * head_dim_ + h * head_dim_);
    }
  }
}

}  // namespace firstbyte::waypoint
