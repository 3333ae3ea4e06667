// One player's world: a latent on its way from noise to pictures, and what is remembered of the
// past.
//
//   seed picture -> prefill: cache at sigma 0, decoder primed        (five quanta, once)
//   actions -> generate: a denoise pass (four quanta) -> decode: four pictures -> commit: cache
//
// Touched only by its lane. Memory is fixed when the session opens, but for the pictures that were
// not taken.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/slotted_model.h"
#include "model/world/waypoint/checkpoint.h"
#include "model/world/waypoint/saved_world.h"

namespace firstbyte::waypoint {

// Where a world begins: at a picture, or, with no latent, out of noise.
struct Scene : Prepared {
  std::vector<float> latent;  // [latent_size], token order
};

class WaypointSession : public Session {
 public:
  // `checkpoint` and `cache`, the slot's own, must outlive it. Where no cache of the host's is,
  // `cache` is null, and a subclass says how the world is written.
  WaypointSession(const Checkpoint& checkpoint, Journey journey, bool scene_pending, Slot slot,
                  KvCache* cache);

  absl::Status Push(Input input) override;
  Work work() const override;
  Output Take() override;
  absl::StatusOr<std::string> Save() const override;

  // The clean latent of the newest block, in token order.
  const std::vector<float>& latent() const { return latent_; }

  // The steps: this session's row of a pass, and accounting for it once it ran.
  // Prefill: the scene's commit first, then priming of the decoder, a feed each.
  bool SceneIsInCache() const { return primed_feeds_ >= 0; }
  PassRow SceneRow();
  void FinishSceneRow() { primed_feeds_ = 0; }
  void Prime(TaehvDecoder::Buffers* buffers, float* pictures);
  void FinishPriming();  // that all feeds are done
  // Generate.
  PassRow NextPass(float* velocity);
  absl::Status FinishPass(const float* velocity);
  // Decode: `pictures` [4, decoded height, decoded width, 3] is workspace.
  void Decode(TaehvDecoder::Buffers* buffers, float* pictures);
  void FinishDecode(std::vector<uint8_t> frames);  // the block's pictures, as Output has them
  // Commit.
  PassRow CommitRow();
  void FinishCommit();

  int slot() const { return slot_.index(); }
  // Whether the decoder has seen a latent; one that has not is fed the first kPrimingFeeds times
  // more.
  bool primed() const { return journey_.primed; }
  // What the decoder is to be fed next, [latent_height, latent_width, channels]: the scene or the
  // newest latent.
  const float* LatentMap();

 protected:
  const Journey& journey() const { return journey_; }
  virtual absl::StatusOr<std::string> Write() const;  // between blocks

 private:
  bool AtBoundary() const;
  void Begin(const BlockActions& actions);
  void Reset();
  void Feed(TaehvDecoder::Buffers* buffers, float* pictures);

  const Checkpoint& checkpoint_;
  const Config& config_;
  const Slot slot_;
  KvCache* const cache_;

  Journey journey_;
  bool scene_pending_;
  int primed_feeds_ = -1;             // of the scene; -1 until it is in the cache
  std::optional<BlockActions> deed_;  // that waits for the scene
  bool closed_ = false;

  bool in_block_ = false, decoded_ = false;
  int pass_ = 0;                 // the next denoise pass of the block
  std::vector<float> latent_;    // [latent_size], token order
  std::vector<float> controls_;  // [controls]
  std::vector<float> map_;       // the latent as the decoder wants it
  Output output_;
};

}  // namespace firstbyte::waypoint
