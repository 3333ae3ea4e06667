// One stream: its clauses on their way from phones to samples.
//
//   inputs -> conditioning clause -> ring of conditions -> ring of frames -> samples
//             (prefill, <= 64 frames) (generate, one frame)  (decode)
//
// Touched only by its lane. Memory is fixed when the stream opens, but for the clauses that wait
// and the samples that were not taken. Frames are counted from the start of the stream in three
// counters (conditioned >= generated >= decoded); a clause boundary resets position and feedback of
// the acoustic model and nothing else.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "model/io/front_end.h"
#include "model/model.h"
#include "model/slotted_model.h"
#include "model/speech/aligned_mel/voice.h"

namespace firstbyte::aligned_mel {

struct PreparedClause : Prepared {
  explicit PreparedClause(ClausePhones c) : clause(std::move(c)) {
    ends.reserve(clause.phones.size());  // here, so that no step waits for memory
  }
  PhoneSpan span() const { return {clause.phones, clause.flags}; }
  ClausePhones clause;
  Ends ends;  // once it has begun
};

// Who makes the conditions of frames: a prefill, some seconds ahead, or whoever makes the frames.
enum class Conditions { kAhead, kWithTheFrame };

class AlignedMelSession : public Session {
 public:
  // `voice` must outlive it.
  AlignedMelSession(const Voice& voice, const SessionSpec& spec, Slot slot,
                    Conditions conditions = Conditions::kAhead);

  absl::Status Push(Input input) override;
  Work work() const override;
  Output Take() override;

  // The steps. Prefill: durations, if a clause begins, and the next conditions of it; `conditions`
  // may be null where these are made with the frame.
  absl::Status Prefill(DurationModel::Buffers* durations, Conditioner::Buffers* conditions);
  // Generate: fill in this stream's row of an acoustic step; account for it once it ran.
  FrameRow NextFrame();
  // What that frame must say. Stays until it is accounted for.
  const PreparedClause& clause() const { return *begun_.front().clause; }
  double stretch() const { return stretch_; }
  absl::Status FinishFrame();
  // Decode: fill in this stream's row of a vocoder step; account for it once it ran.
  DecodeRow NextDecode(int frames);
  void FinishDecode(const DecodeRow& row);

 private:
  struct Begun {
    std::unique_ptr<PreparedClause> clause;
    int frames, conditioned = 0;
  };

  absl::Status BeginClause(DurationModel::Buffers* buffers);
  bool Conditioning() const;  // whether a clause has begun and lacks conditions
  bool CanPrefill() const;
  bool Flushing(int64_t decoded) const;
  void PassMarkers();
  float* Condition(int64_t frame);
  float* Frame(int64_t frame);

  const Voice& voice_;
  const double stretch_;
  const Slot slot_;
  const std::vector<float> silence_;  // feedback of a clause's first frame: zeros

  std::deque<Input> inputs_;  // clauses not begun, and the markers between them
  bool closed_ = false, spoken_ = false, flushed_ = false;
  std::deque<Begun> begun_;  // from the clause being generated to the one being conditioned
  int position_ = 0;         // in the first of them
  int64_t planned_ = 0, conditioned_ = 0, generated_ = 0, decoded_ = 0;
  const bool ahead_;       // conditions are made
  nn::Tensor conditions_;  // [kConditionRing, hidden], or nothing
  nn::Tensor frames_;      // [kFrameRing, kFrameFeatures]
  VocoderState vocoder_;

  std::deque<MarkerAt> markers_;  // waiting for their audio
  int64_t taken_ = 0;
  Output output_;
};

}  // namespace firstbyte::aligned_mel
