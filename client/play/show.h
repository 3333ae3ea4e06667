// What comes from the server, taken apart: pictures decoded, films written, sound played, figures
// kept.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/image.h"
#include "client/audio_sink.h"
#include "client/chunk_decoder.h"
#include "client/play/figures.h"
#include "client/play/film.h"
#include "firstbyte/v1/world.pb.h"

namespace firstbyte {

// Used by the thread that reads the stream.
class Show {
 public:
  // `player`: null: the sound is not played. One that breaks is dropped; the show goes on.
  Show(std::vector<std::unique_ptr<Film>> films, std::unique_ptr<AudioSink> player,
       PlayFigures* figures);

  // Takes any message of the server. An error is a film's, or of a picture that does not decode.
  absl::Status Take(const v1::StepWorldResponse& response);
  // Completes what is written. `abruptly`: without waiting until the sound has played out.
  absl::Status Close(bool abruptly);

  const RgbImage& frame() const { return frame_; }           // the newest
  const v1::WorldOpened& opened() const { return opened_; }  // the newest
  const v1::WorldSummary& summary() const { return summary_; }
  bool closed_by_server() const { return has_summary_; }
  int64_t last_block() const { return last_block_; }
  const std::vector<v1::WorldSnapshot>& snapshots() const { return snapshots_; }

 private:
  absl::Status Open(const v1::WorldOpened& opened);
  absl::Status AddBlock(const v1::Block& block);
  absl::Status AddSound(const v1::AudioChunk& chunk);

  const std::vector<std::unique_ptr<Film>> films_;
  std::unique_ptr<AudioSink> player_;
  PlayFigures* const figures_;
  bool started_ = false;
  std::unique_ptr<ChunkDecoder> decoder_;
  RgbImage frame_;
  v1::WorldOpened opened_;
  v1::WorldSummary summary_;
  bool has_summary_ = false;
  int64_t last_block_ = -1;
  std::vector<v1::WorldSnapshot> snapshots_;
};

}  // namespace firstbyte
