// The transformer of dit.h on a GPU: the same passes of the same rows, with the memory of all slots
// there (gpu_rings.h).
//
// T is what activations and memory are made of: float, or cuda::Bf16, as which its weights were
// published; between the branches a token is float. What a pass gives lies within rounding of the
// CPU's. Used by its lane's thread only; errors are those of cuda/gpu.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/cuda/gpu_linear.h"
#include "model/cuda/gpu_stage.h"
#include "model/world/waypoint/dit.h"
#include "model/world/waypoint/dit_weights.h"
#include "model/world/waypoint/gpu_rings.h"
#include "model/world/waypoint/gpu_size.h"

namespace firstbyte::waypoint {

template <typename T>
class GpuDit {
 public:
  // Copies the weights, allocates the rings and records the graphs. `gpu` outlives it; `dit` is the
  // CPU's, of the same weights. The weights' own errors are in weights->status().
  static absl::StatusOr<std::unique_ptr<GpuDit>> Create(cuda::Gpu* gpu, const Config& config,
                                                        const Dit& dit, nn::WeightLoader* weights,
                                                        const GpuSize& size);

  // Start a pass; at most two of a kind are under way. Latents and controls are read before they
  // return; caches are not used.
  absl::StatusOr<Ticket> Denoise(absl::Span<const PassRow> rows);
  absl::StatusOr<Ticket> Commit(absl::Span<const PassRow> rows);
  // Waits for a pass, of the rows it was given, and writes their velocities; a commit has none.
  absl::Status FinishDenoise(Ticket ticket, absl::Span<const PassRow> rows);
  absl::Status FinishCommit(Ticket ticket);

  const GpuRings<T>& rings() const { return rings_; }

 private:
  // Where the frames of a session are, in a ring of either kind: [slots] int32 each, in bytes.
  struct Places {
    int64_t here;  // token that the frame at hand begins at
    int64_t seen;  // tokens
  };
  // Places in the memory that a pass is filled into, in bytes.
  struct Inputs {
    Inputs(const Config& config, const GpuSize& size);
    int latents_stride, controls_stride;  // elements
    int64_t latents;                      // [rows * tokens, latents_stride] of T
    int64_t controls;                     // [rows, controls_stride] of T
    int64_t levels;                       // [rows] int32: index of sigma
    int64_t positions;                    // [slots] int64, in time
    Places local, global;
    int64_t bytes;
  };
  struct Fusion {
    cuda::GpuLinear x, control, out;
  };
  struct Layer {
    cuda::GpuLinear qkv, out, fc1, fc2;
    float value_mix = 0;
    std::unique_ptr<Fusion> fusion;
  };
  // The numbers that modulate, of a level; null where there are none.
  struct Modulation {
    const float *gate = nullptr, *scale = nullptr, *shift = nullptr;
  };

  GpuDit(cuda::Gpu* gpu, const Config& config, const GpuSize& size);
  absl::Status Load(const Dit& dit, nn::WeightLoader* weights);
  absl::Status LoadLayer(int index, nn::WeightLoader* weights);
  absl::Status LoadTable(const Conditioning& conditioning);
  absl::Status LoadAngles();
  absl::Status Linear(nn::WeightLoader* weights, const std::string& name,
                      cuda::GpuLinear::Shape shape, cuda::GpuLinear* linear) const;
  absl::Status Linear(const nn::WeightLoader& weights, const Matrix& matrix,
                      cuda::GpuLinear::Shape shape, cuda::GpuLinear* linear) const;
  absl::Status Allocate();
  absl::Status OpenStages();

  void Fill(absl::Span<const PassRow> rows, char* inputs) const;
  void FillPlaces(const PassRow& row, const Ring& ring, const Places& places, char* inputs) const;
  absl::StatusOr<Ticket> Submit(cuda::GpuStage* stage, absl::Span<const PassRow> rows);

  using Step = cuda::GpuStage::Step;
  absl::Status Body(const Step& step, bool commit) const;
  absl::Status Embed(const Step& step) const;
  absl::Status RunLayer(int index, const Step& step, bool last) const;
  absl::Status Heads(int index, const Step& step, T* qkv) const;
  absl::Status Attend(int index, const Step& step, const T* qkv) const;
  absl::Status Fuse(const Fusion& fusion, const Step& step) const;
  // x += gate * branch_, where there is a gate; then normed_ = rms(x) (1 + scale) + shift.
  absl::Status Modulate(const Step& step, const Modulation& modulation) const;
  absl::Status Activate(T* y, int rows, int width, const T* add) const;

  int qkv_width() const { return config_.d_model + 2 * config_.kv_size(); }
  // In the table of levels.
  int64_t level_floats() const { return (int64_t{kModulations} * config_.n_layers + 3) * width(); }
  int64_t width() const { return config_.d_model; }
  const float* Modulated(int layer, int index) const {
    return table_.get() + (int64_t{kModulations} * layer + index) * width();
  }
  const float* Zeros() const { return Modulated(config_.n_layers, 2); }
  const Places& PlacesOf(int layer) const {
    return config_.is_global(layer) ? inputs_.global : inputs_.local;
  }

  cuda::Gpu* const gpu_;
  const cuda::TypedKernels<T>& kernels_;
  const Config config_;
  const GpuSize size_;
  const Inputs inputs_;
  GpuRings<T> rings_;
  cuda::GpuLinear patchify_, unpatchify_, control1_, control2_;
  std::vector<Layer> layers_;
  cuda::DeviceArray<float> table_;  // [sigmas] of modulations by layer, of the output's, of zeros
  cuda::DeviceArray<double> frequencies_;
  cuda::DeviceArray<float> offsets_, ones_;
  cuda::DeviceArray<float> x_, control_x_, extremes_, partials_;
  cuda::DeviceArray<T> normed_, qkv_, first_qkv_, attended_, branch_, hidden_;
  cuda::DeviceArray<T> control_hidden_, control_, fused_;
  std::unique_ptr<cuda::GpuStage> denoise_, commit_;  // go first
};

extern template class GpuDit<float>;
extern template class GpuDit<cuda::Bf16>;

}  // namespace firstbyte::waypoint
