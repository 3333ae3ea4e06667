// What each frame must say: the phones under its four mel frames, as the acoustic model's input.
#pragma once

#include <vector>

#include "model/nn/weight_loader.h"
#include "model/speech/aligned_mel/clause.h"
#include "model/speech/aligned_mel/config.h"

namespace firstbyte::aligned_mel {

// Immutable weights; thread-safe on distinct buffers. Every frame is computed alone, so a clause
// may be conditioned in any pieces.
class Conditioner {
 public:
  static constexpr int kMaxFrames = 64;  // in one Run()

  struct Buffers {
    explicit Buffers(const Conditioner& model);
    nn::Tensor input, first, second;  // [kStack * kMaxFrames, ...]
  };

  Conditioner() = default;
  Conditioner(const Config& config, nn::WeightLoader* weights);

  int inputs() const { return in_.inputs(); }     // numbers that describe a mel frame
  int outputs() const { return out_.outputs(); }  // the acoustic model's hidden size

  // Frames [begin, begin + count) of a clause -> out [count, outputs()]. 0 <= begin,
  // begin + count <= ends.back() / kStack, count <= kMaxFrames.
  void Run(const PhoneSpan& clause, const Ends& ends, double stretch, int begin, int count,
           Buffers* buffers, float* out) const;
  // The same frames as the network is given them: kStack * count rows of inputs(), `stride` apart.
  void Describe(const PhoneSpan& clause, const Ends& ends, double stretch, int begin, int count,
                int stride, float* rows) const;

 private:
  void FillRow(const PhoneSpan& clause, const Ends& ends, float log_stretch, int phone, int mel,
               float* row) const;

  std::vector<nn::Embedding> embeddings_;  // one table per position
  nn::Linear in_, mid_, out_;
};

}  // namespace firstbyte::aligned_mel
