// Causal transformers of published sizes on a GPU, with weights that nobody trained: what the way
// through the plugin costs, whatever the model.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/cuda/gpu_lm.h"

namespace firstbyte::shapes {

struct Shape {
  std::string name, about;
  cuda::LlamaShape llama;  // most_rows sessions, of `tokens` each
  int vocabulary;
  bool tied = false;

  // With one token of each session a step it decodes: it draws a token and goes on. With more it
  // goes forward, from the first to the last layer and the logits, and that is all.
  bool decodes() const { return llama.tokens == 1; }
  int64_t parameters() const;
};

// Those that can be named.
const std::vector<Shape>& Known();
const Shape* Find(const std::string& name);  // nullptr: no such shape

struct Run {
  cuda::Number number = cuda::Number::kBf16;
  cuda::GraphMode mode = cuda::GraphMode::kGraphs;
  int warmup = 10, steps = 100;
};

struct Result {
  std::vector<double> seconds;  // of each step after the warm-up
  double tokens = 0;            // of a step
  double bytes = 0;  // that a step has to move, in the mean: weights, caches, logits written once
  double flops = 0;  // of a step's products
};

// Opens the model on `gpu`, and measures its steps. A step that decodes is given before the one
// before it is read, as a lane does it, and its time is from one result to the next; a step that
// goes forward is waited for.
absl::StatusOr<Result> Measure(cuda::Gpu* gpu, const Shape& shape, const Run& run);

}  // namespace firstbyte::shapes
