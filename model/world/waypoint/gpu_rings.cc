#include "model/world/waypoint/gpu_rings.h"

#include <utility>

#include "model/world/waypoint/attention.h"
#include "model/world/waypoint/gpu_copy.h"

namespace firstbyte::waypoint {

using cuda::Take;

template <typename T>
absl::StatusOr<GpuRings<T>> GpuRings<T>::Create(cuda::Gpu* gpu, const Config& config, int slots) {
  GpuRings rings;
  rings.gpu_ = gpu;
  rings.config_ = config;
  for (int i = 0; i < config.n_layers; ++i) {
    Layer& layer = rings.layers_.emplace_back();
    layer.capacity = (config.ring(i).places + 1) * config.tokens();
    const int64_t count = int64_t{slots} * layer.capacity * config.kv_size();
    absl::Status status = Take(gpu->NewArray<T>(count), &layer.keys);
    if (status.ok()) status = Take(gpu->NewArray<T>(count), &layer.values);
    if (!status.ok()) return status;
  }
  return rings;
}

template <typename T>
GpuRings<T>::Copy::Copy(const GpuRings& rings, int slot)
    : rings_(rings), slot_(slot), frame_(KvCache::FrameFloats(rings.config_)) {}

template <typename T>
void GpuRings<T>::Copy::Turn(int layer, bool read) {
  if (layer == layer_) return;
  PutBack();
  layer_ = layer;
  const Layer& from = rings_.layers_[layer];
  const int64_t count = int64_t{from.capacity} * rings_.config_.kv_size();
  keys_.assign(count, 0);
  values_.assign(count, 0);
  if (!read) return;
  status_.Update(CopyFrom(rings_.gpu_, from.keys.get() + slot_ * count, count, keys_.data()));
  status_.Update(CopyFrom(rings_.gpu_, from.values.get() + slot_ * count, count, values_.data()));
}

template <typename T>
void GpuRings<T>::Copy::PutBack() {
  if (!std::exchange(written_, false)) return;
  const Layer& to = rings_.layers_[layer_];
  const auto count = static_cast<int64_t>(keys_.size());
  status_.Update(CopyInto(rings_.gpu_, keys_.data(), count, to.keys.get() + slot_ * count));
  status_.Update(CopyInto(rings_.gpu_, values_.data(), count, to.values.get() + slot_ * count));
}

template <typename T>
const float* GpuRings<T>::Copy::Read(int layer, int place) {
  Turn(layer, /*read=*/true);
  const Config& c = rings_.config_;
  const int64_t first = int64_t{place} * c.tokens() * c.head_dim();
  const int64_t head = int64_t{rings_.layers_[layer].capacity} * c.head_dim();
  PackFrame(c, {keys_.data() + first, values_.data() + first, c.head_dim(), head}, frame_.data());
  return frame_.data();
}

template <typename T>
void GpuRings<T>::Copy::Write(int layer, int place, const float* frame) {
  Turn(layer, /*read=*/false);
  const Config& c = rings_.config_;
  const int64_t first = int64_t{place} * c.tokens() * c.head_dim();
  const int64_t head = int64_t{rings_.layers_[layer].capacity} * c.head_dim();
  UnpackFrame(c, frame, {keys_.data() + first, values_.data() + first, c.head_dim(), head});
  written_ = true;
}

template <typename T>
absl::Status GpuRings<T>::Copy::Finish() {
  PutBack();
  return status_;
}

template class GpuRings<float>;
template class GpuRings<cuda::Bf16>;

}  // namespace firstbyte::waypoint
