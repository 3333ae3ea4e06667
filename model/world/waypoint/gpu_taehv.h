// The decoder of taehv.h on a GPU, within rounding of the CPU's, as far as the bytes that a player
// sees; each slot's history is there, too.
//
// It works on Queue::kMedia, where the next frame's passes leave room. T is float or cuda::Bf16.
// Used by its lane's thread only; errors are those of cuda/gpu.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/cuda/gpu_maps.h"
#include "model/cuda/gpu_stage.h"
#include "model/world/waypoint/config.h"
#include "model/world/waypoint/gpu_size.h"
#include "model/world/waypoint/taehv_weights.h"

namespace firstbyte::waypoint {

template <typename T>
class GpuTaehv {
 public:
  struct Feed {
    int slot;          // of the session; no two of a batch share one
    const float* map;  // its latent, [height, width, channels]
  };

  // Copies the weights, allocates histories and maps and records the graphs. `gpu` outlives it. The
  // weights' own errors are in weights->status().
  static absl::StatusOr<std::unique_ptr<GpuTaehv>> Create(cuda::Gpu* gpu, const Config& config,
                                                          const SafeTensors& file,
                                                          nn::WeightLoader* weights,
                                                          const GpuSize& size);

  // Start to decode; at most two of a kind are under way. Latents are read before they return.
  // Prime: a stream's first latent, kPrimingFeeds times over no history and without pictures.
  absl::StatusOr<Ticket> Prime(absl::Span<const Feed> feeds);
  absl::StatusOr<Ticket> Show(absl::Span<const Feed> feeds);
  absl::Status FinishPrime(Ticket ticket);
  // picture_bytes() for each feed, in order, of its four pictures [picture_height, picture_width,
  // 3]. They stay until the next but one Show().
  absl::StatusOr<const uint8_t*> FinishShow(Ticket ticket);
  int64_t picture_bytes() const;

  // A slot's history, as the CPU's decoder has it; no step of the slot is under way.
  absl::Status SaveHistory(int slot, std::vector<float>* history) const;
  absl::Status LoadHistory(int slot, const std::vector<float>& history) const;

 private:
  struct MemoryBlock {
    cuda::GpuConv3x3 convs[3];
    cuda::DeviceArray<T> history;  // [slots, pixels, Padded(channels)]
  };
  // Maps of one size, for a bucket.
  struct Level {
    int height, width, channels;
    cuda::DeviceArray<T> x, hidden, other;
    cuda::DeviceArray<T> packed;  // what a pixel grows to, or the pictures' pixels that it holds

    int pixels() const { return height * width; }
    int64_t floats() const { return int64_t{cuda::Padded(channels)} * pixels(); }
  };
  struct Stage {
    MemoryBlock blocks[3];
    cuda::GpuLinear grow;
    cuda::GpuConv3x3 conv;
  };
  using Step = cuda::GpuStage::Step;

  GpuTaehv(cuda::Gpu* gpu, const Config& config, const GpuSize& size);
  absl::Status Load(const SafeTensors& file, nn::WeightLoader* weights);
  absl::Status LoadStage(int index, const SafeTensors& file, nn::WeightLoader* weights);
  absl::Status LoadConv(nn::WeightLoader* weights, const std::string& name, nn::Bias bias,
                        cuda::GpuConv3x3::Shape shape, cuda::GpuConv3x3* conv) const;
  absl::Status LoadOut(nn::WeightLoader* weights);
  absl::Status Allocate();
  absl::Status OpenStages();
  cuda::Number number() const;

  void Fill(absl::Span<const Feed> feeds, char* inputs);
  absl::StatusOr<Ticket> Submit(cuda::GpuStage* stage, absl::Span<const Feed> feeds);

  absl::Status Body(const Step& step, bool prime) const;
  absl::Status FeedOnce(const Step& step, bool shown) const;
  // What the map in a level becomes: its pictures, of which the first is number `picture`.
  absl::Status RunStage(int index, const Step& step, bool shown, int picture) const;
  absl::Status Remember(const MemoryBlock& block, const Level& level, const Step& step,
                        const T* map) const;
  absl::Status Run(const MemoryBlock& block, const Level& level, const Step& step) const;
  absl::Status ShowLast(const Step& step, int picture) const;
  cuda::Maps MapsOf(const Level& level, const Step& step) const {
    return {step.slots, step.rows, level.height, level.width};
  }

  cuda::Gpu* const gpu_;
  const cuda::TypedKernels<T>& kernels_;
  const Config config_;
  const GpuSize size_;
  cuda::GpuConv3x3 in_, out_;
  Stage stages_[kDecoderStages];
  Level levels_[kDecoderStages + 1];
  cuda::DeviceArray<T> taps_;
  cuda::DeviceArray<int64_t> places_;             // of a history: the first
  std::vector<float> clamped_;                    // [latent_size], on the host
  std::unique_ptr<cuda::GpuStage> prime_, show_;  // go first
};

extern template class GpuTaehv<float>;
extern template class GpuTaehv<cuda::Bf16>;

}  // namespace firstbyte::waypoint
