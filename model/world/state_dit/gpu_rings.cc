#include "model/world/state_dit/gpu_rings.h"

#include <cstring>

namespace firstbyte::state_dit {
namespace {

using cuda::Queue;
using cuda::Take;

constexpr int kHeadDim = Rings::kHeadDim;

// Of one head: keys lie by token on the device and by dimension when saved, values by token in
// both.
void SaveKeys(const float* keys, int tokens, char** out) {
  for (int i = 0; i < kHeadDim; ++i) {
    for (int token = 0; token < tokens; ++token, *out += sizeof(float)) {
      std::memcpy(*out, keys + token * kHeadDim + i, sizeof(float));
    }
  }
}
void RestoreKeys(int tokens, const char** saved, float* keys) {
  for (int i = 0; i < kHeadDim; ++i) {
    for (int token = 0; token < tokens; ++token, *saved += sizeof(float)) {
      std::memcpy(keys + token * kHeadDim + i, *saved, sizeof(float));
    }
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<GpuRings>> GpuRings::Create(cuda::Gpu* gpu, const DitConfig& config,
                                                           const GpuDit* dit) {
  std::unique_ptr<GpuRings> rings(new GpuRings(gpu, config, dit));
  absl::Status status =
      Take(gpu->NewPinned<float>(2 * rings->layers_ * rings->kv_floats_), &rings->staged_);
  status.Update(Take(gpu->NewEvent(), &rings->restored_));
  status.Update(Take(gpu->NewEvent(), &rings->saved_));
  if (!status.ok()) return status;
  return rings;
}

GpuRings::GpuRings(cuda::Gpu* gpu, const DitConfig& config, const GpuDit* dit)
    : RingMemory(config),
      gpu_(gpu),
      dit_(dit),
      layers_(config.layers),
      heads_(config.heads),
      kv_floats_(int64_t{1} * config.heads * dit->capacity() * kHeadDim) {}

template <typename Visit>
absl::Status GpuRings::ForEachArray(int slot, Visit visit) const {
  absl::Status status;
  float* staged = staged_.get();
  for (int layer = 0; layer < layers_; ++layer) {
    for (float* all : {dit_->keys(layer), dit_->values(layer)}) {
      if (status.ok()) status = visit(all + slot * kv_floats_, staged);
      staged += kv_floats_;
    }
  }
  return status;
}

// Beside the steps: other sessions' may be long. What was restored last may not be there yet.
absl::Status GpuRings::Save(int slot, int frames, char* out) const {
  const cuda::PluginTable& plugin = gpu_->plugin();
  const int64_t bytes = int64_t{sizeof(float)} * kv_floats_;
  absl::Status status = gpu_->Call(plugin.follow, Queue::kMedia, restored_.get());
  if (status.ok()) {
    status = ForEachArray(slot, [&](const float* device, float* staged) {
      return gpu_->Call(plugin.to_host, Queue::kMedia, staged, device, bytes);
    });
  }
  if (status.ok()) status = gpu_->Call(plugin.mark, Queue::kMedia, saved_.get());
  if (status.ok()) status = gpu_->Call(plugin.wait_event, saved_.get());
  if (!status.ok()) return status;
  const int tokens = frames * kTokens;
  const int64_t head = int64_t{dit_->capacity()} * kHeadDim;
  const float* from = staged_.get();
  for (int layer = 0; layer < layers_; ++layer) {
    for (int i = 0; i < heads_; ++i, from += head) SaveKeys(from, tokens, &out);
    for (int i = 0; i < heads_; ++i, from += head) {
      const int64_t size = int64_t{sizeof(float)} * tokens * kHeadDim;
      std::memcpy(out, from, size);
      out += size;
    }
  }
  return absl::OkStatus();
}

absl::Status GpuRings::Restore(int slot, int frames, const char* saved) const {
  const cuda::PluginTable& plugin = gpu_->plugin();
  absl::Status status = gpu_->Call(plugin.wait_event, restored_.get());  // of the memory below
  if (!status.ok()) return status;
  const int tokens = frames * kTokens;
  const int64_t head = int64_t{dit_->capacity()} * kHeadDim;
  float* to = staged_.get();
  for (int layer = 0; layer < layers_; ++layer) {
    for (int i = 0; i < heads_; ++i, to += head) RestoreKeys(tokens, &saved, to);
    for (int i = 0; i < heads_; ++i, to += head) {
      const int64_t size = int64_t{sizeof(float)} * tokens * kHeadDim;
      std::memcpy(to, saved, size);
      saved += size;
    }
  }
  status = ForEachArray(slot, [&](float* device, const float* staged) {
    return gpu_->Call(plugin.to_device, Queue::kSteps, device, staged,
                      int64_t{sizeof(float)} * kv_floats_);
  });
  if (status.ok()) status = gpu_->Call(plugin.mark, Queue::kSteps, restored_.get());
  return status;
}

}  // namespace firstbyte::state_dit
