#include "model/world/state_dit/gpu_rings.h"

#include <cstring>

namespace firstbyte::state_dit {
namespace {

using cuda::Queue;
using cuda::Take;

}  // namespace

absl::StatusOr<std::unique_ptr<GpuRings>> GpuRings::Create(cuda::Gpu* gpu, const DitConfig& config,
                                                           const GpuDit* dit) {
  std::unique_ptr<GpuRings> rings(new GpuRings(gpu, config, dit));
  absl::Status status =
      Take(gpu->NewPinned<char>(2 * rings->layers_ * rings->array_bytes_), &rings->staged_);
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
      head_elements_(int64_t{1} * dit->capacity() * kHeadDim),
      array_bytes_(cuda::BytesOf(dit->number()) * heads_ * head_elements_) {}

// The device may still read what is about to go.
GpuRings::~GpuRings() { gpu_->Call(gpu_->plugin().wait_event, restored_.get()).IgnoreError(); }

template <typename Visit>
absl::Status GpuRings::ForEachArray(int slot, Visit visit) const {
  absl::Status status;
  char* staged = staged_.get();
  for (int layer = 0; layer < layers_; ++layer) {
    for (char* all : {dit_->keys(layer), dit_->values(layer)}) {
      if (status.ok()) status = visit(all + slot * array_bytes_, staged);
      staged += array_bytes_;
    }
  }
  return status;
}

// Of each head keys lie by token on the device and by dimension when saved, values by token in
// both.
template <typename T>
void GpuRings::Gather(int tokens, char* out) const {
  const auto* from = static_cast<const T*>(static_cast<const void*>(staged_.get()));
  const auto put = [&](int token, int i) {
    const float value = cuda::ToFloat(from[token * kHeadDim + i]);
    std::memcpy(out, &value, sizeof(value));
    out += sizeof(value);
  };
  for (int layer = 0; layer < layers_; ++layer) {
    for (int head = 0; head < heads_; ++head, from += head_elements_) {
      for (int i = 0; i < kHeadDim; ++i) {
        for (int token = 0; token < tokens; ++token) put(token, i);
      }
    }
    for (int head = 0; head < heads_; ++head, from += head_elements_) {
      for (int i = 0; i < tokens * kHeadDim; ++i) put(0, i);
    }
  }
}

template <typename T>
void GpuRings::Spread(int tokens, const char* saved) const {
  auto* to = static_cast<T*>(static_cast<void*>(staged_.get()));
  const auto take = [&](int token, int i) {
    float value = 0;
    std::memcpy(&value, saved, sizeof(value));
    saved += sizeof(value);
    cuda::Store(value, to + token * kHeadDim + i);
  };
  for (int layer = 0; layer < layers_; ++layer) {
    for (int head = 0; head < heads_; ++head, to += head_elements_) {
      for (int i = 0; i < kHeadDim; ++i) {
        for (int token = 0; token < tokens; ++token) take(token, i);
      }
    }
    for (int head = 0; head < heads_; ++head, to += head_elements_) {
      for (int i = 0; i < tokens * kHeadDim; ++i) take(0, i);
    }
  }
}

// Beside the steps: other sessions' may be long. What was restored last may not be there yet.
absl::Status GpuRings::Save(int slot, int frames, char* out) const {
  const cuda::PluginTable& plugin = gpu_->plugin();
  absl::Status status = gpu_->Call(plugin.follow, Queue::kMedia, restored_.get());
  if (status.ok()) {
    status = ForEachArray(slot, [&](const char* device, char* staged) {
      return gpu_->Call(plugin.to_host, Queue::kMedia, staged, device, array_bytes_);
    });
  }
  if (status.ok()) status = gpu_->Call(plugin.mark, Queue::kMedia, saved_.get());
  if (status.ok()) status = gpu_->Call(plugin.wait_event, saved_.get());
  if (!status.ok()) return status;
  cuda::OfNumber(dit_->number(), [&]<typename T>(T) { Gather<T>(frames * kTokens, out); });
  return absl::OkStatus();
}

absl::Status GpuRings::Restore(int slot, int frames, const char* saved) const {
  const cuda::PluginTable& plugin = gpu_->plugin();
  absl::Status status = gpu_->Call(plugin.wait_event, restored_.get());  // of the memory below
  if (!status.ok()) return status;
  cuda::OfNumber(dit_->number(), [&]<typename T>(T) { Spread<T>(frames * kTokens, saved); });
  status = ForEachArray(slot, [&](char* device, const char* staged) {
    return gpu_->Call(plugin.to_device, Queue::kSteps, device, staged, array_bytes_);
  });
  if (status.ok()) status = gpu_->Call(plugin.mark, Queue::kSteps, restored_.get());
  return status;
}

}  // namespace firstbyte::state_dit
