#include "model/speech/aligned_mel/session.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace firstbyte::aligned_mel {
namespace {

constexpr int kConditionRing = 128;  // two full prefill steps: 5 s of speech ahead
constexpr int kFrameRing = 32;       // two of the largest decode steps
// The first prefill step of a clause stands before its first sound; it is kept short.
constexpr int kFirstPrefill = 16;
constexpr int kMaxClauseFrames = 7500;  // 5 minutes
// Of a decode step, with what a flush adds.
constexpr int kMostSamples = (DecodeRow::kMaxFrames + 1) * kFrameSamples;

bool IsClause(const Input& input) {
  return std::holds_alternative<std::unique_ptr<Prepared>>(input);
}

absl::Status CheckClause(const Prepared* prepared, const Config& config) {
  auto* mine = dynamic_cast<const PreparedClause*>(prepared);
  bool good = mine != nullptr && !mine->clause.phones.empty() &&
              mine->clause.phones.size() == mine->clause.flags.size();
  for (size_t i = 0; good && i < mine->clause.phones.size(); ++i) {
    const int phone = mine->clause.phones[i];
    good = phone >= 0 && phone < static_cast<int>(config.phones.size());
  }
  if (good) return absl::OkStatus();
  return Invalid("BAD_CLAUSE", "the clause was not prepared by this model");
}

}  // namespace

AlignedMelSession::AlignedMelSession(const Voice& voice, const SessionSpec& spec, Slot slot,
                                     Conditions conditions)
    : voice_(voice),
      stretch_(1 / spec.speaking_rate),
      slot_(std::move(slot)),
      silence_(kFrameFeatures, 0.0f),
      ahead_(conditions == Conditions::kAhead),
      conditions_({ahead_ ? kConditionRing : 0, voice.conditioner.outputs()}),
      frames_({kFrameRing, kFrameFeatures}),
      vocoder_(voice.vocoder.NewState(spec.seed)) {
  output_.samples.reserve(kMostSamples);
}

float* AlignedMelSession::Condition(int64_t frame) {
  return conditions_.data() + frame % kConditionRing * voice_.conditioner.outputs();
}

float* AlignedMelSession::Frame(int64_t frame) {
  return frames_.data() + frame % kFrameRing * kFrameFeatures;
}

absl::Status AlignedMelSession::Push(Input input) {
  if (closed_) {
    return Error(absl::StatusCode::kFailedPrecondition, "INPUT_AFTER_END",
                 "nothing may follow the end of input");
  }
  if (IsClause(input)) {
    auto& clause = std::get<std::unique_ptr<Prepared>>(input);
    if (absl::Status good = CheckClause(clause.get(), voice_.config); !good.ok()) return good;
  }
  if (std::holds_alternative<EndOfInput>(input)) {
    closed_ = true;
  } else {
    inputs_.push_back(std::move(input));
    PassMarkers();
  }
  return absl::OkStatus();
}

bool AlignedMelSession::Conditioning() const {
  return !begun_.empty() && begun_.back().conditioned < begun_.back().frames;
}

bool AlignedMelSession::CanPrefill() const {
  const int64_t room = kConditionRing - (conditioned_ - generated_);
  if (!Conditioning()) {
    return !inputs_.empty() && room >= Conditioner::kMaxFrames;  // a marker in front has passed
  }
  return room >=
         std::min(Conditioner::kMaxFrames, begun_.back().frames - begun_.back().conditioned);
}

// Whether nothing will follow frame `decoded`, so that what the vocoder holds back can leave.
bool AlignedMelSession::Flushing(int64_t decoded) const {
  return closed_ && spoken_ && !flushed_ && inputs_.empty() && !Conditioning() &&
         decoded == conditioned_;
}

Work AlignedMelSession::work() const {
  Work work;
  work.closed = closed_;
  for (const Input& input : inputs_) work.clauses_waiting += IsClause(input);
  work.prefill = CanPrefill();
  work.generate = generated_ < conditioned_ && generated_ - decoded_ < kFrameRing;
  work.decode_frames = static_cast<int>(generated_ - decoded_);
  // The input may end after the last frame was decoded: then its tail is work of its own.
  if (Flushing(decoded_)) work.decode_frames = 1;
  work.done = closed_ && inputs_.empty() && !work.any() && !Conditioning() &&
              output_.samples.empty() && output_.markers.empty();
  return work;
}

// Memory for the next samples is taken here, so that no step waits for it.
Output AlignedMelSession::Take() {
  Output taken;
  taken.start_sample = taken_;
  taken.markers.swap(output_.markers);
  if (output_.samples.empty()) return taken;
  taken.samples.swap(output_.samples);
  output_.samples.reserve(kMostSamples);
  taken_ += static_cast<int64_t>(taken.samples.size());
  return taken;
}

absl::Status AlignedMelSession::BeginClause(DurationModel::Buffers* buffers) {
  std::unique_ptr<PreparedClause> clause(
      static_cast<PreparedClause*>(std::get<std::unique_ptr<Prepared>>(inputs_.front()).release()));
  inputs_.pop_front();
  voice_.durations.Run(clause->span(), stretch_, /*first_of_stream=*/!spoken_, buffers,
                       &clause->ends);
  spoken_ = true;
  const int frames = clause->ends.back() / kStack;
  if (frames > kMaxClauseFrames) {
    return Invalid("CLAUSE_TOO_LONG", "a clause would last more than five minutes");
  }
  begun_.push_back({std::move(clause), frames});
  planned_ += frames;
  PassMarkers();
  return absl::OkStatus();
}

absl::Status AlignedMelSession::Prefill(DurationModel::Buffers* durations,
                                        Conditioner::Buffers* conditions) {
  if (!Conditioning()) {
    if (absl::Status begun = BeginClause(durations); !begun.ok()) return begun;
  }
  Begun& c = begun_.back();
  int count = std::min(c.conditioned == 0 ? kFirstPrefill : Conditioner::kMaxFrames,
                       c.frames - c.conditioned);
  // In two runs where the ring wraps: every frame is conditioned by itself.
  while (count > 0) {
    const int run =
        std::min<int>(count, kConditionRing - static_cast<int>(conditioned_ % kConditionRing));
    if (ahead_) {
      voice_.conditioner.Run(c.clause->span(), c.clause->ends, stretch_, c.conditioned, run,
                             conditions, Condition(conditioned_));
    }
    c.conditioned += run;
    conditioned_ += run;
    count -= run;
  }
  return absl::OkStatus();
}

FrameRow AlignedMelSession::NextFrame() {
  const float* feedback = position_ == 0 ? silence_.data() : Frame(generated_ - 1);
  const float* condition = ahead_ ? Condition(generated_) : nullptr;
  return {condition, feedback, slot_.index(), position_, Frame(generated_)};
}

absl::Status AlignedMelSession::FinishFrame() {
  const float* frame = Frame(generated_);
  if (!std::all_of(frame, frame + kFrameFeatures, [](float v) { return std::isfinite(v); })) {
    return Error(absl::StatusCode::kInternal, "NOT_FINITE",
                 "the acoustic model gave a value that is not a number");
  }
  ++generated_;
  if (++position_ == begun_.front().frames) {
    begun_.pop_front();
    position_ = 0;
  }
  return absl::OkStatus();
}

DecodeRow AlignedMelSession::NextDecode(int frames) {
  DecodeRow row{&vocoder_, {}, 0, false, &output_.samples, slot_.index()};
  row.count = static_cast<int>(std::min<int64_t>(
      {generated_ - decoded_, static_cast<int64_t>(frames), DecodeRow::kMaxFrames}));
  for (int i = 0; i < row.count; ++i) row.frames[i] = Frame(decoded_ + i);
  row.flush = Flushing(decoded_ + row.count);
  return row;
}

void AlignedMelSession::FinishDecode(const DecodeRow& row) {
  decoded_ += row.count;
  flushed_ = flushed_ || row.flush;
  PassMarkers();
}

// A marker's place is known when all clauses before it have begun, and it leaves with their audio.
void AlignedMelSession::PassMarkers() {
  while (!inputs_.empty() && std::holds_alternative<Marker>(inputs_.front())) {
    markers_.push_back({std::get<Marker>(inputs_.front()).id, planned_ * kFrameSamples});
    inputs_.pop_front();
  }
  while (!markers_.empty() && markers_.front().sample <= decoded_ * kFrameSamples) {
    output_.markers.push_back(std::move(markers_.front()));
    markers_.pop_front();
  }
}

}  // namespace firstbyte::aligned_mel
