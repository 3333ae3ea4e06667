// One player's world: its place, its ring and the frame being made.
//
//   Push(BlockActions) -> generate (denoise passes) -> decode -> Take() -> commit -> next block
//
// Frame 0 is the seed frame: a prefill step puts it into the ring, and it is not shown. A prompt of
// another theme computes the ring anew, one frame a prefill step, the oldest first, as if the world
// had always looked so. Touched only by its lane; memory is fixed when the session opens.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/slotted_model.h"
#include "model/world/state_dit/scene.h"
#include "model/world/state_dit/world.h"

namespace firstbyte::state_dit {

// What recaching a frame needs: its conditions, and what the DiT put on top of the renderer's
// estimate.
struct Memory {
  int64_t frame = 0;
  FrameFacts facts;
  std::vector<float> residual;  // [16, latent_channels]: latents less the estimate
  std::vector<float> audio;     // [audio_channels]
  Note note{};
};

class WorldSession : public Session {
 public:
  // `world` and `rings` must outlive it.
  WorldSession(const World& world, const RingMemory& rings, Slot slot);

  // One of the two, once, before anything else. Restore: DATA_LOSS when the state does not hold
  // together, else what the rings say.
  void Begin(const Scene& scene, uint64_t seed);
  absl::Status Restore(const std::string& state);

  absl::Status Push(Input input) override;
  Work work() const override;
  Output Take() override;
  absl::StatusOr<std::string> Save() const override;

  // The steps, each in the order: fill in rows, run, account for it.
  // First of prefill and of a frame's first pass: where to stand and what to see from there.
  bool WantsMove() const { return phase_ == Phase::kDenoise && pass_ == 0; }
  MoveRow NextMove();
  bool WantsView() const { return phase_ == Phase::kPrefill || WantsMove(); }
  Renderer::Place NextView();
  void FinishView();  // draws the frame's noise, or takes up what is to be recached
  // A pass at the frame's sigma, or at zero to write it into the ring.
  PassRow NextPass();
  absl::Status FinishDenoise();
  void FinishCommit();
  int slot() const { return slot_.index(); }
  const float* latents() const { return video_.data(); }
  const float* audio_code() const { return audio_.data(); }
  void FinishDecode(const float* pixels);  // [64, 64, 3]

  // For tests: the player's state, and the frame that was written into the ring last.
  const State& state() const { return state_; }
  int last_place() const { return static_cast<int>((ring_.committed - 1) % window()); }
  const Memory& memory() const { return memories_[last_place()]; }
  const float* estimate() const { return estimate_.data(); }
  const RingMemory& rings() const { return rings_; }

 private:
  enum class Phase { kIdle, kPrefill, kDenoise, kDecode, kCommit };

  bool TakesInputs() const;
  void BeginFrame();
  void BeginOrigin();
  void BeginRecache(int theme);
  void DrawNoise();
  void Mix(float sigma);
  void Remember();
  int window() const { return world_.config.dit.window; }

  const World& world_;
  const RingMemory& rings_;
  const Slot slot_;

  // Saved.
  uint64_t seed_ = 1;
  State origin_{};
  int origin_theme_ = 0;
  std::vector<float> origin_latents_;  // empty: none
  State state_{};
  int theme_ = 0;
  int64_t frame_ = 0;  // number of the next frame, from the origin on
  int64_t block_ = 0;  // index of the next block
  RingIndex ring_;
  std::vector<Memory> memories_;  // [window], as in the ring

  // Of the frame being made.
  Phase phase_ = Phase::kIdle;
  bool closed_ = false;
  bool acting_ = false;  // `action_` waits for the end of a prefill
  std::array<float, kActionSize> action_{};
  int pass_ = 0;
  int recache_left_ = 0;  // memories of the old ring still to be written into the new one
  int64_t current_ = 0;   // its number
  FrameFacts facts_;
  std::vector<float> noise_;          // video, audio, events
  std::vector<float> video_, audio_;  // what the last pass predicted
  Note note_{};
  std::vector<float> in_video_, in_audio_;  // what the next one sees
  Note in_note_{};
  std::vector<float> estimate_, columns_;
  Output output_;
};

}  // namespace firstbyte::state_dit
