// A world without weights: pictures and sound are a fixed function of what the player did, at no
// cost.
//
// It keeps the whole contract of model.h (slots, prefill in slices, several denoise passes, commit,
// saving, poisoning), so everything above the model is tested and measured with it. Every input
// leaves a trace in all later blocks: one that is lost, doubled or out of place shows.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "model/model.h"

namespace firstbyte {

struct ScriptedWorldOptions {
  std::string name = "scripted-world";
  std::string version = "scripted-world-1";
  int slots = 64;
  int max_batch = 32;
  int width = 8, height = 6;
  double frames_per_second = 20;
  int frames_per_block = 2;
  int samples_per_frame = 800;  // at 16 kHz; 0: a silent world
  int prefill_slices = 2;       // of a scene or prompt
  int passes = 2;               // denoise passes a block
  // Called on the lane inside each step with the stage and batch size: advance a fake clock,
  // block, or return an error to fail the whole step.
  std::function<absl::Status(Stage, int batch)> on_step;
  // A session fails in the step that generates a block while this key is held.
  std::string poison_key;
  // Called in Prepare(); an error is its answer.
  std::function<absl::Status(const RawInput&)> on_prepare;
};

std::unique_ptr<Model> MakeScriptedWorld(ScriptedWorldOptions options = {});

// What a session of the scripted world shows, block by block, for tests to compare with. `options`
// must outlive it.
class ScriptedWorldReplay {
 public:
  // As a session whose scene was made of `scene`.
  ScriptedWorldReplay(const ScriptedWorldOptions& options, uint64_t seed,
                      const RawInput& scene = {});

  void Prompt(const RawInput& prompt);
  void Reset();
  // The block that `actions` begin.
  Output Next(const BlockActions& actions);

 private:
  friend class ScriptedWorldSession;
  struct State {  // plain: Save() is its bytes
    uint64_t seed = 0;
    uint64_t scene = 0;   // hash of where it began
    uint64_t prompt = 0;  // hash of the prompt in force
    uint64_t memory = 0;  // hash of all that happened since the origin
    int64_t block = 0;
  };
  ScriptedWorldReplay(const ScriptedWorldOptions& options, const State& state)
      : options_(&options), state_(state) {}
  ScriptedWorldReplay(const ScriptedWorldOptions& options, uint64_t seed, uint64_t scene);

  const ScriptedWorldOptions* options_;
  State state_;
};

}  // namespace firstbyte
