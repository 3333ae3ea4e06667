// The pictures and the sound of blocks as they are sent.
//
// One stream, one thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "codec/audio_encoder.h"
#include "server/scheduler/media_cost.h"
#include "server/stream/saved_world.h"
#include "server/stream/world_messages.h"

namespace firstbyte {

class WorldMedia {
 public:
  // kInvalidArgument or kUnimplemented, naming the field of `open` that this world cannot send.
  static absl::StatusOr<std::unique_ptr<WorldMedia>> Create(const ModelInfo& info,
                                                            const OpenWorld& open);

  // What fits into a microsecond may be done on the lane.
  bool cheap() const { return cheap_; }
  // AdmissionRequest::encoding.
  double EncodingCost(const MediaCosts& costs) const;
  // No block's messages hold more media.
  int64_t max_block_bytes() const { return max_block_bytes_; }
  // The fields of WorldOpened that say how to read the media.
  void Describe(WorldOpened* opened) const;

  struct Coded {
    WorldBlock block;
    std::optional<SpeechAudio> audio;
    int64_t block_bytes = 0;
  };
  absl::StatusOr<Coded> Encode(const SavedBlock& block);
  // The rest of the sound. Call once, last.
  std::optional<SpeechAudio> Finish();

 private:
  WorldMedia(const ModelInfo& info, const OpenWorld& open) : info_(info), format_(open) {}
  absl::Status SetAudio();
  std::optional<SpeechAudio> Audio(EncodedAudio audio);

  const ModelInfo& info_;
  struct Format {
    explicit Format(const OpenWorld& open)
        : video(open.video), jpeg_quality(open.jpeg_quality), audio(open.audio) {}
    ImageFormat video;
    int jpeg_quality;
    std::optional<AudioFormat> audio;
  } format_;
  bool cheap_ = false;
  int64_t max_block_bytes_ = 0;
  std::unique_ptr<AudioEncoder> encoder_;
  int64_t sequence_ = 0;
  int64_t appended_ = 0, sent_ = 0;  // samples; an encoder may hold some back
  // Where sample 0 of this stream is on the clock of the pictures. Moves with each block when the
  // world is not shown at its own rate: then the sound has gaps, or overlaps.
  int64_t media_clock_ = 0;
};

}  // namespace firstbyte
