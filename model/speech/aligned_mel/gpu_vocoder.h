// The vocoder of vocoder.h on a GPU: frames to samples, with what streams remember in device memory
// by slot.
//
// What it gives lies within rounding of the CPU's; a stream is the same however it is cut, alone or
// beside others. It works on Queue::kMedia, where the steps of the acoustic model leave room. Used
// by its lane's thread only; errors are those of cuda/gpu.h.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/cuda/gpu_causal.h"
#include "model/cuda/gpu_stage.h"
#include "model/speech/aligned_mel/vocoder.h"

namespace firstbyte::aligned_mel {

class GpuVocoder {
 public:
  struct Size {
    int slots, max_batch;
    cuda::GraphMode mode = cuda::GraphMode::kGraphs;
    cuda::Number number = cuda::Number::kF32;  // of the network's products; or kTf32
  };
  // A decode that is under way.
  struct Started {
    size_t chunk;
    Ticket ticket;
  };

  // What a stream remembers on the device.
  static int64_t SlotBytes(const VocoderConfig& config);

  // Copies the weights, allocates all memory and records the graphs. `gpu` and `vocoder`, which is
  // the CPU's, outlive it. The weights' own errors are in weights->status().
  static absl::StatusOr<std::unique_ptr<GpuVocoder>> Create(cuda::Gpu* gpu,
                                                            const VocoderConfig& config,
                                                            const Vocoder& vocoder,
                                                            nn::WeightLoader* weights,
                                                            const Size& size);

  // Starts to decode; at most two are under way. A stream's state is the CPU's (NewState), of which
  // tails and source stay as they are. What rows point to is read before it returns.
  absl::StatusOr<Started> Decode(absl::Span<const DecodeRow> rows);
  // Waits for a decode, of the rows it was given, and appends their samples.
  absl::Status Finish(const Started& started, absl::Span<const DecodeRow> rows);

 private:
  struct Layer {
    cuda::GpuCausalConv conv;
    cuda::GpuLinear proj;
  };
  // Of a row's samples on the device, those that leave.
  struct Part {
    int first, count;
  };
  // A stage for decodes of up to so many frames a stream.
  struct Chunk {
    int frames;
    std::array<std::vector<Part>, 2> parts;  // of the steps under way, by ticket
    std::unique_ptr<cuda::GpuStage> stage;

    int places() const { return kStack * frames + 1; }  // a stream's end has one more mel frame
    int samples() const { return (2 * places() + 1) * kSubframe; }
  };
  // Places in the memory that a step of a chunk is filled into, in bytes.
  struct Inputs {
    Inputs(const Chunk& chunk, int max_batch);
    int64_t pitches;   // [rows, places] MelPitch
    int64_t segments;  // [rows] Segment
    int64_t seeds;     // [rows] uint64
    int64_t mels;      // [rows, places, Padded(kFeatures)] floats
    int64_t bytes;
  };

  GpuVocoder(cuda::Gpu* gpu, const VocoderConfig& config, const Vocoder& vocoder, const Size& size);
  absl::Status Load(nn::WeightLoader* weights);
  absl::Status LoadConv(nn::WeightLoader* weights, const std::string& name,
                        cuda::GpuCausalConv::Shape shape, cuda::GpuCausalConv* conv) const;
  absl::Status LoadProj(nn::WeightLoader* weights, const std::string& name,
                        cuda::GpuLinear* proj) const;
  absl::Status LoadOut(nn::WeightLoader* weights);
  absl::Status LoadSpectra();
  absl::Status LoadTables();
  absl::Status Allocate();
  absl::Status OpenStages();

  int cepstra() const { return config_.harmonic_cepstra + config_.noise_cepstra; }
  Part Fill(const DecodeRow& row, const Chunk& chunk, int at, char* inputs) const;
  absl::Status Body(const cuda::GpuStage::Step& step, const Chunk& chunk) const;
  absl::Status Network(const cuda::Streams& streams, const float* mels) const;
  absl::Status Speak(const cuda::GpuStage::Step& step, const cuda::Streams& streams,
                     const Inputs& inputs) const;

  cuda::Gpu* const gpu_;
  const VocoderConfig config_;
  const Vocoder& vocoder_;
  const Size size_;
  cuda::GpuCausalConv in_;
  std::vector<Layer> layers_;
  cuda::GpuLinear out_, spectra_;
  cuda::DeviceArray<float> window_, twiddles_;
  cuda::DeviceArray<cuda::Glide> last_;  // by slot; so are overlaps_
  cuda::DeviceArray<float> overlaps_;
  // What a step works in.
  cuda::DeviceArray<float> taps_, hidden_, gates_, gated_, cepstra_, spectrum_;
  cuda::DeviceArray<cuda::Glide> glides_;
  cuda::DeviceArray<float> harmonic_, noise_, pieces_;
  std::array<Chunk, 4> chunks_;  // smallest first; go first
};

}  // namespace firstbyte::aligned_mel
