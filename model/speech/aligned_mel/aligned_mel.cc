#include "model/speech/aligned_mel/aligned_mel.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace firstbyte::aligned_mel {
namespace {

AlignedMelSession& Mine(Session* session) { return *static_cast<AlignedMelSession*>(session); }

ModelInfo InfoOf(const Voice& voice, const LaneSize& size) {
  const AcousticConfig& c = voice.config.acoustic;
  ModelInfo info;
  info.name = voice.config.name;
  info.version = voice.version;
  info.sample_rate_hertz = kSampleRate;
  info.samples_per_frame = kFrameSamples;
  for (const VoiceEntry& entry : voice.config.voices) {
    info.voices.push_back({entry.name, entry.language_codes, ""});
  }
  info.min_speaking_rate = 0.7;
  info.max_speaking_rate = 1.4;
  info.slots = size.slots;
  info.max_batch = size.max_batch;
  info.slot_bytes = int64_t{4} * c.num_hidden_layers * 2 * c.num_attention_heads *
                    kernels::kHeadDim * c.sliding_window;
  return info;
}

}  // namespace

absl::StatusOr<std::unique_ptr<AlignedMel>> AlignedMel::Create(std::shared_ptr<const Voice> voice,
                                                               const LaneSize& size) {
  if (size.slots < 1 || size.max_batch < 1) {
    return Error(absl::StatusCode::kInvalidArgument, "BAD_LANE_SIZE",
                 "slots and batch must be positive");
  }
  try {  // LibTorch reports a failed allocation by an exception
    return std::unique_ptr<AlignedMel>(new AlignedMel(std::move(voice), size));
  } catch (const std::exception& e) {
    return Error(absl::StatusCode::kResourceExhausted, "NO_MEMORY",
                 absl::StrCat(size.slots, " slots: ", e.what()));
  }
}

AlignedMel::AlignedMel(std::shared_ptr<const Voice> voice, const LaneSize& size)
    : voice_(std::move(voice)),
      info_(InfoOf(*voice_, size)),
      durations_(voice_->durations),
      conditions_(voice_->conditioner),
      acoustic_(voice_->config.acoustic, size.slots, size.max_batch),
      vocoder_(voice_->vocoder) {
  for (int slot = size.slots; slot-- > 0;) free_slots_.push_back(slot);
  frame_rows_.reserve(size.max_batch);
  decode_rows_.reserve(size.max_batch);
  running_.reserve(size.max_batch);
}

absl::StatusOr<std::unique_ptr<Prepared>> AlignedMel::Prepare(const RawInput& input) const {
  absl::StatusOr<ClausePhones> clause = voice_->front_end->Process(input.text);
  if (!clause.ok()) return clause.status();
  const int pause = voice_->config.pause_phone;
  bool speakable = std::any_of(clause->phones.begin(), clause->phones.end(),
                               [&](int phone) { return phone != pause; });
  if (!speakable) return nullptr;
  return std::make_unique<PreparedClause>(*std::move(clause));
}

absl::StatusOr<std::unique_ptr<Session>> AlignedMel::Open(const SessionSpec& spec) {
  if (free_slots_.empty()) {
    return Error(absl::StatusCode::kResourceExhausted, "NO_SLOT", "all slots are taken");
  }
  const int slot = free_slots_.back();
  auto release = [this](int freed) { free_slots_.push_back(freed); };
  try {
    auto session = std::make_unique<AlignedMelSession>(*voice_, spec, slot, release);
    free_slots_.pop_back();
    return session;
  } catch (const std::exception& e) {
    return Error(absl::StatusCode::kResourceExhausted, "NO_MEMORY", e.what());
  }
}

Ticket AlignedMel::Submit(Stage stage, absl::Span<Session* const> batch, int frames) {
  report_.session_status.assign(batch.size(), absl::OkStatus());
  step_status_ = absl::OkStatus();
  if (batch.size() > static_cast<size_t>(info_.max_batch)) {
    step_status_ = Error(absl::StatusCode::kResourceExhausted, "BATCH_TOO_LARGE",
                         absl::StrCat("at most ", info_.max_batch, " sessions fit one step"));
  } else if (stage == Stage::kPrefill) {
    Prefill(batch);
  } else if (stage == Stage::kGenerate) {
    Generate(batch);
  } else if (stage == Stage::kDecode) {
    Decode(batch, frames);
  } else {
    report_.session_status.assign(
        batch.size(), Error(absl::StatusCode::kInternal, "NO_SUCH_STAGE", "speech has no commit"));
  }
  return ++ticket_;
}

absl::Status AlignedMel::Wait(Ticket, StepReport* report) {
  *report = std::move(report_);
  return step_status_;
}

// One clause's frames fill the kernels' tiles by themselves: nothing to gain from one large matrix.
void AlignedMel::Prefill(absl::Span<Session* const> batch) {
  for (size_t i = 0; i < batch.size(); ++i) {
    if (!batch[i]->work().prefill) continue;
    report_.session_status[i] = Mine(batch[i]).Prefill(&durations_, &conditions_);
  }
}

void AlignedMel::Generate(absl::Span<Session* const> batch) {
  frame_rows_.clear();
  running_.clear();
  for (size_t i = 0; i < batch.size(); ++i) {
    if (!batch[i]->work().generate) continue;
    running_.push_back(i);
    frame_rows_.push_back(Mine(batch[i]).NextFrame());
  }
  voice_->acoustic.Step(frame_rows_, &acoustic_);
  for (size_t i : running_) report_.session_status[i] = Mine(batch[i]).FinishFrame();
}

void AlignedMel::Decode(absl::Span<Session* const> batch, int frames) {
  decode_rows_.clear();
  for (Session* session : batch) decode_rows_.push_back(Mine(session).NextDecode(frames));
  voice_->vocoder.Decode(decode_rows_, &vocoder_);
  for (size_t i = 0; i < batch.size(); ++i) Mine(batch[i]).FinishDecode(decode_rows_[i]);
}

}  // namespace firstbyte::aligned_mel
