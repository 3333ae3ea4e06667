#include "model/speech/aligned_mel/aligned_mel.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "model/no_memory.h"

namespace firstbyte::aligned_mel {
namespace {

AlignedMelSession& Mine(Session* session) { return *static_cast<AlignedMelSession*>(session); }

ModelInfo InfoOf(const Voice& voice, const LaneSize& size) {
  ModelInfo info = AlignedMel::Describe(voice.config, size);
  info.version = voice.version;
  return info;
}

}  // namespace

ModelInfo AlignedMel::Describe(const Config& config, const LaneSize& size) {
  const AcousticConfig& c = config.acoustic;
  ModelInfo info;
  info.name = config.name;
  info.sample_rate_hertz = kSampleRate;
  info.samples_per_frame = kFrameSamples;
  for (const VoiceEntry& entry : config.voices) {
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

absl::Status AlignedMel::Check(const LaneSize& size) {
  if (size.slots >= 1 && size.max_batch >= 1) return absl::OkStatus();
  return Invalid("BAD_LANE_SIZE", "slots and batch must be positive");
}

absl::StatusOr<std::unique_ptr<AlignedMel>> AlignedMel::Create(std::shared_ptr<const Voice> voice,
                                                               const LaneSize& size) {
  if (absl::Status good = Check(size); !good.ok()) return good;
  return OrNoMemory(absl::StrCat(size.slots, " slots"), [&] {
    return absl::StatusOr<std::unique_ptr<AlignedMel>>(new AlignedMel(std::move(voice), size));
  });
}

AlignedMel::AlignedMel(std::shared_ptr<const Voice> voice, const LaneSize& size)
    : SlottedModel(size.slots),
      voice_(std::move(voice)),
      info_(InfoOf(*voice_, size)),
      durations_(voice_->durations),
      conditions_(voice_->conditioner),
      acoustic_(voice_->config.acoustic, size.slots, size.max_batch),
      vocoder_(voice_->vocoder) {
  frame_rows_.reserve(size.max_batch);
  decode_rows_.reserve(size.max_batch);
  running_.reserve(size.max_batch);
}

absl::StatusOr<std::unique_ptr<Prepared>> AlignedMel::Prepare(const RawInput& input) const {
  return PrepareFor(*voice_, input);
}

absl::StatusOr<std::unique_ptr<Prepared>> AlignedMel::PrepareFor(const Voice& voice,
                                                                 const RawInput& input) {
  absl::StatusOr<ClausePhones> clause = voice.front_end->Process(input.text);
  if (!clause.ok()) return clause.status();
  const int pause = voice.config.pause_phone;
  bool speakable = std::any_of(clause->phones.begin(), clause->phones.end(),
                               [&](int phone) { return phone != pause; });
  if (!speakable) return nullptr;
  return std::make_unique<PreparedClause>(*std::move(clause));
}

absl::StatusOr<std::unique_ptr<Session>> AlignedMel::NewSession(const SessionSpec& spec,
                                                                Slot slot) {
  return std::make_unique<AlignedMelSession>(*voice_, spec, std::move(slot));
}

void AlignedMel::Run(Stage stage, absl::Span<Session* const> batch, int frames,
                     absl::Span<absl::Status> statuses) {
  switch (stage) {
    case Stage::kPrefill:
      return Prefill(batch, statuses);
    case Stage::kGenerate:
      return Generate(batch, statuses);
    case Stage::kDecode:
      return Decode(batch, frames);
    case Stage::kCommit:
      for (absl::Status& status : statuses) {
        status = Error(absl::StatusCode::kInternal, "NO_SUCH_STAGE", "speech has no commit");
      }
  }
}

// One clause's frames fill the kernels' tiles by themselves: nothing to gain from one large matrix.
void AlignedMel::Prefill(absl::Span<Session* const> batch, absl::Span<absl::Status> statuses) {
  for (size_t i = 0; i < batch.size(); ++i) {
    if (!batch[i]->work().prefill) continue;
    statuses[i] = Mine(batch[i]).Prefill(&durations_, &conditions_);
  }
}

void AlignedMel::Generate(absl::Span<Session* const> batch, absl::Span<absl::Status> statuses) {
  frame_rows_.clear();
  running_.clear();
  for (size_t i = 0; i < batch.size(); ++i) {
    if (!batch[i]->work().generate) continue;
    running_.push_back(i);
    frame_rows_.push_back(Mine(batch[i]).NextFrame());
  }
  voice_->acoustic.Step(frame_rows_, &acoustic_);
  for (size_t i : running_) statuses[i] = Mine(batch[i]).FinishFrame();
}

void AlignedMel::Decode(absl::Span<Session* const> batch, int frames) {
  decode_rows_.clear();
  for (Session* session : batch) decode_rows_.push_back(Mine(session).NextDecode(frames));
  voice_->vocoder.Decode(decode_rows_, &vocoder_);
  for (size_t i = 0; i < batch.size(); ++i) Mine(batch[i]).FinishDecode(decode_rows_[i]);
}

}  // namespace firstbyte::aligned_mel
