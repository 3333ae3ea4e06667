// A model without weights: it "speaks" one frame for each letter, at no cost.
//
// It keeps the whole contract of model.h (slots, stages, markers, poisoning), so everything above
// the model is tested and measured with it, and a build without LibTorch still serves something.
// Sample i of the stream is a fixed function of the letter it belongs to, the seed and i.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "model/model.h"

namespace firstbyte {

struct ScriptedOptions {
  std::string name = "scripted";
  int slots = 64;
  int max_batch = 32;
  int samples_per_frame = 640;  // 40 ms at 16 kHz
  // Called on the lane inside each step with the stage and batch size: advance a fake clock,
  // block, or return an error to fail the whole step.
  std::function<absl::Status(Stage, int batch)> on_step;
  // A session fails in the step that generates this letter.
  char poison_letter = '\0';
};

std::unique_ptr<Model> MakeScriptedModel(ScriptedOptions options = {});

// The samples that a stream of `letters` (spaces and punctuation already removed) yields.
std::vector<float> ScriptedSamples(const std::string& letters, uint64_t seed,
                                   int samples_per_frame = 640);

}  // namespace firstbyte
