#include "server/rpc/world_convert.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "server/rpc/common_convert.h"
#include "server/rpc/status.h"

namespace firstbyte {
namespace {

constexpr size_t kMaxPromptBytes = 4 << 10;
constexpr int kMaxCredit = 1024;
constexpr int64_t kMaxTimestampSeconds = 253'402'300'799;  // the end of the year 9999
constexpr int64_t kMinTimestampSeconds = -62'135'596'800;  // the beginning of the year 1
constexpr float kMaxFps = 240;

// ---- What the player says. ----

absl::StatusOr<ImageFormat> ToImageFormat(v1::VideoFormat format, const std::string& path) {
  switch (format) {
    case v1::VIDEO_FORMAT_UNSPECIFIED:
    case v1::VIDEO_FORMAT_JPEG:
      return ImageFormat::kJpeg;
    case v1::VIDEO_FORMAT_RAW_RGB:
      return ImageFormat::kRawRgb;
    case v1::VIDEO_FORMAT_PNG:
      return ImageFormat::kPng;
    default:
      return BadField(path, "is not a value of VideoFormat");
  }
}

absl::StatusOr<CreateWorld> Taken(v1::CreateOrigin&& in) {
  CreateWorld create;
  if (in.prompt().size() > kMaxPromptBytes) {
    return Invalid("TEXT_TOO_LONG", absl::StrCat("at most ", kMaxPromptBytes, " bytes"),
                   "open.create.prompt");
  }
  if (in.initial_image().size() > kMaxImageBytes) {
    return Invalid("IMAGE_TOO_LARGE", absl::StrCat("at most ", kMaxImageBytes, " bytes"),
                   "open.create.initial_image");
  }
  auto format = ToImageFormat(in.initial_image_format(), "open.create.initial_image_format");
  if (!format.ok()) return format.status();
  create.initial_image_format = *format;
  if (in.initial_image_format() == v1::VIDEO_FORMAT_UNSPECIFIED) {
    create.initial_image_format = SniffImageFormat(in.initial_image()).value_or(*format);
  }
  if (in.has_seed()) create.seed = in.seed();
  create.prompt = std::move(*in.mutable_prompt());
  create.initial_image = std::move(*in.mutable_initial_image());
  return create;
}

absl::Status TakeOrigin(v1::OpenWorld* in, OpenWorld* open) {
  switch (in->origin_case()) {
    case v1::OpenWorld::kResume:
      if (in->resume().last_block_received() < -1) {
        return BadField("open.resume.last_block_received", "must be at least -1");
      }
      open->origin = ResumeWorld{std::move(*in->mutable_resume()->mutable_session_id()),
                                 std::move(*in->mutable_resume()->mutable_token()),
                                 in->resume().last_block_received()};
      return absl::OkStatus();
    case v1::OpenWorld::kSnapshot:
      open->origin = FromSnapshot{std::move(*in->mutable_snapshot()->mutable_snapshot_id())};
      return absl::OkStatus();
    default: {
      absl::StatusOr<CreateWorld> create = Taken(std::move(*in->mutable_create()));
      if (create.ok()) open->origin = *std::move(create);
      return create.status();
    }
  }
}

absl::Status TakeVideo(const v1::VideoConfig& in, OpenWorld* open) {
  auto format = ToImageFormat(in.format(), "open.video.format");
  if (!format.ok()) return format.status();
  open->video = *format;
  if (in.quality() < 0 || in.quality() > 100) {
    return BadField("open.video.quality", "must be 0 to 100");
  }
  if (in.quality() != 0 && open->video != ImageFormat::kJpeg) {
    return BadField("open.video.quality", "is for JPEG only");
  }
  if (in.quality() != 0) open->jpeg_quality = in.quality();
  return absl::OkStatus();
}

absl::StatusOr<Pacing> ToPacing(v1::Pacing pacing) {
  switch (pacing) {
    case v1::PACING_UNSPECIFIED:
    case v1::PACING_LOCKSTEP:
      return Pacing::kLockstep;
    case v1::PACING_REALTIME:
      return Pacing::kRealtime;
    case v1::PACING_FREE_RUN:
      return Pacing::kFreeRun;
    default:
      return BadField("open.pacing", "is not a value of Pacing");
  }
}

// Not set and zero: the server's own.
absl::Status TakeLimit(bool set, const google::protobuf::Duration& in, const std::string& path,
                       std::optional<absl::Duration>* out) {
  if (!set) return absl::OkStatus();
  auto limit = ToDuration(in, absl::ZeroDuration(), absl::Hours(24 * 365), path);
  if (!limit.ok()) return limit.status();
  if (*limit > absl::ZeroDuration()) *out = *limit;
  return absl::OkStatus();
}

absl::Status TakeLimits(const v1::WorldLimits& in, OpenWorld* open) {
  absl::Status status = TakeLimit(in.has_max_session_duration(), in.max_session_duration(),
                                  "open.limits.max_session_duration", &open->max_session_duration);
  if (!status.ok()) return status;
  return TakeLimit(in.has_max_idle_duration(), in.max_idle_duration(),
                   "open.limits.max_idle_duration", &open->max_idle_duration);
}

absl::StatusOr<WorldRequest> Taken(v1::OpenWorld&& in) {
  OpenWorld open;
  if (!in.request_id().empty() && !IsRequestId(in.request_id())) {
    return BadField("open.request_id", "must be at most 128 printable ASCII characters");
  }
  open.request_id = std::move(*in.mutable_request_id());
  open.model = std::move(*in.mutable_model());
  if (absl::Status status = TakeOrigin(&in, &open); !status.ok()) return status;
  if (absl::Status status = TakeVideo(in.video(), &open); !status.ok()) return status;
  if (in.has_audio()) {
    AudioFormat audio{.sample_rate_hertz = 0};
    absl::Status status = FromProto(in.audio(), "open.audio", &audio);
    if (!status.ok()) return status;
    open.audio = audio;
  }
  absl::StatusOr<Pacing> pacing = ToPacing(in.pacing());
  if (!pacing.ok()) return pacing.status();
  open.pacing = *pacing;
  // Written so that NaN is refused too.
  if (!(in.target_fps() >= 0 && in.target_fps() <= kMaxFps)) {
    return BadField("open.target_fps", absl::StrCat("must be 0 to ", kMaxFps));
  }
  open.target_fps = in.target_fps();
  if (absl::Status status = TakeLimits(in.limits(), &open); !status.ok()) return status;
  return WorldRequest(std::move(open));
}

absl::StatusOr<WorldRequest> Taken(v1::Actions&& in) {
  WorldActions actions{.sequence = in.sequence(),
                       .pointer_dx = in.pointer_dx(),
                       .pointer_dy = in.pointer_dy(),
                       .scroll = in.scroll(),
                       .repeat = in.repeat()};
  if (in.has_client_time()) {
    const int64_t seconds = in.client_time().seconds();
    const int32_t nanos = in.client_time().nanos();
    if (seconds < kMinTimestampSeconds || seconds > kMaxTimestampSeconds || nanos < 0 ||
        nanos > 999'999'999) {
      return BadField("actions.client_time", "is not a Timestamp");
    }
    actions.client_time = absl::FromUnixSeconds(seconds) + absl::Nanoseconds(nanos);
  }
  if (in.keys_size() > WorldInfo::kMaxKeys) {
    return BadField("actions.keys", absl::StrCat("must be at most ", WorldInfo::kMaxKeys));
  }
  if (in.axes_size() > WorldInfo::kMaxKeys) {
    return BadField("actions.axes", absl::StrCat("must be at most ", WorldInfo::kMaxKeys));
  }
  for (std::string& key : *in.mutable_keys()) actions.keys.push_back(std::move(key));
  for (const auto& [name, value] : in.axes()) actions.axes[name] = value;
  return WorldRequest(std::move(actions));
}

absl::StatusOr<WorldRequest> Taken(v1::Prompt&& in) {
  WorldPrompt prompt;
  if (in.has_apply_at_block()) prompt.apply_at_block = in.apply_at_block();
  switch (in.content_case()) {
    case v1::Prompt::kText:
      if (in.text().size() > kMaxPromptBytes) {
        return Invalid("TEXT_TOO_LONG", absl::StrCat("at most ", kMaxPromptBytes, " bytes"),
                       "prompt.text");
      }
      prompt.text = std::move(*in.mutable_text());
      return WorldRequest(std::move(prompt));
    case v1::Prompt::kEmbedding:
      prompt.embedding.assign(in.embedding().values().begin(), in.embedding().values().end());
      if (prompt.embedding.empty()) return BadField("prompt.embedding", "must not be empty");
      return WorldRequest(std::move(prompt));
    default:
      return Invalid("EMPTY_MESSAGE", "the prompt sets none of text, embedding", "prompt.content");
  }
}

absl::StatusOr<WorldRequest> Taken(const v1::Control& in) {
  switch (in.kind()) {
    case v1::CONTROL_KIND_PAUSE:
      return WorldRequest(WorldControl::kPause);
    case v1::CONTROL_KIND_RESUME:
      return WorldRequest(WorldControl::kResume);
    case v1::CONTROL_KIND_RESET:
      return WorldRequest(WorldControl::kReset);
    case v1::CONTROL_KIND_SNAPSHOT:
      return WorldRequest(WorldControl::kSnapshot);
    case v1::CONTROL_KIND_CLOSE:
      return WorldRequest(WorldControl::kClose);
    default:
      return BadField("control.kind", "is not a control");
  }
}

absl::StatusOr<WorldRequest> Taken(const v1::Credit& in) {
  if (in.blocks() >= 1 && in.blocks() <= kMaxCredit) return WorldRequest(WorldCredit{in.blocks()});
  return BadField("credit.blocks", absl::StrCat("must be 1 to ", kMaxCredit));
}

// ---- What the server says. ----

v1::VideoFormat ToProto(ImageFormat format) {
  switch (format) {
    case ImageFormat::kRawRgb:
      return v1::VIDEO_FORMAT_RAW_RGB;
    case ImageFormat::kJpeg:
      return v1::VIDEO_FORMAT_JPEG;
    case ImageFormat::kPng:
      return v1::VIDEO_FORMAT_PNG;
  }
  return v1::VIDEO_FORMAT_UNSPECIFIED;
}

void SetTime(absl::Time time, google::protobuf::Timestamp* out) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  out->set_seconds(seconds);
  out->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

void FillVocabulary(const WorldInfo& info, v1::ActionVocabulary* out) {
  for (const std::string& key : info.keys) out->add_keys(key);
  for (const std::string& axis : info.axes) out->add_axes(axis);
  out->set_pointer(info.pointer);
  out->set_scroll(info.scroll);
}

v1::NoticeKind ToProto(WorldNotice::Kind kind) {
  switch (kind) {
    case WorldNotice::Kind::kDraining:
      return v1::NOTICE_KIND_DRAINING;
    case WorldNotice::Kind::kLate:
      return v1::NOTICE_KIND_LATE;
    case WorldNotice::Kind::kPaused:
      return v1::NOTICE_KIND_PAUSED;
    case WorldNotice::Kind::kContextTrimmed:
      return v1::NOTICE_KIND_CONTEXT_TRIMMED;
    case WorldNotice::Kind::kPromptApplied:
      return v1::NOTICE_KIND_PROMPT_APPLIED;
  }
  return v1::NOTICE_KIND_UNSPECIFIED;
}

v1::WorldEndReason ToProto(WorldSummary::Reason reason) {
  switch (reason) {
    case WorldSummary::Reason::kClosed:
      return v1::WORLD_END_REASON_CLOSED;
    case WorldSummary::Reason::kMaxDuration:
      return v1::WORLD_END_REASON_MAX_DURATION;
    case WorldSummary::Reason::kDrained:
      return v1::WORLD_END_REASON_DRAINED;
  }
  return v1::WORLD_END_REASON_UNSPECIFIED;
}

struct ResponseFiller {
  v1::StepWorldResponse* response;

  void operator()(WorldOpened&& in) const {
    const WorldInfo& world = *in.model->world;
    v1::WorldOpened* out = response->mutable_opened();
    out->set_session_id(std::move(in.session_id));
    out->set_token(std::move(in.token));
    out->set_model(in.model->name);
    out->set_seed(in.seed);
    out->set_width(world.width);
    out->set_height(world.height);
    out->set_fps(static_cast<float>(in.fps));
    out->set_frames_per_block(world.frames_per_block);
    FillVocabulary(world, out->mutable_action_vocabulary());
    out->set_state_bytes(world.state_bytes);
    out->set_video_format(ToProto(in.video));
    out->set_next_block(in.next_block);
    out->set_last_action_sequence(in.last_action_sequence);
    if (!in.audio) return;
    FillAudioFormat(*in.audio, in.opus_pre_skip, std::move(in.container_header),
                    out->mutable_audio_format());
  }
  void operator()(WorldBlock&& in) const {
    v1::Block* out = response->mutable_block();
    out->set_index(in.index);
    for (std::string& frame : in.frames) *out->add_frames()->mutable_data() = std::move(frame);
    SetDuration(in.presentation_offset, out->mutable_presentation_offset());
    out->set_applied_action_sequence(in.applied_action_sequence);
    if (in.client_time) SetTime(*in.client_time, out->mutable_client_time());
    FillTiming(in.timing, out->mutable_timing());
  }
  void operator()(SpeechAudio&& in) const { FillAudio(std::move(in), response->mutable_audio()); }
  void operator()(WorldSnapshot&& in) const {
    FillSnapshot({in.snapshot_id, in.block, in.size_bytes, in.sha256},
                 response->mutable_snapshot());
  }
  void operator()(WorldNotice&& in) const {
    v1::Notice* out = response->mutable_notice();
    out->set_kind(ToProto(in.kind));
    out->set_message(std::move(in.message));
    if (in.kind == WorldNotice::Kind::kDraining) {
      SetDuration(in.remaining, out->mutable_remaining_duration());
    }
    out->set_skipped_block_count(in.skipped_blocks);
    out->set_block(in.block);
  }
  void operator()(WorldSummary&& in) const {
    v1::WorldSummary* out = response->mutable_summary();
    out->set_end_reason(ToProto(in.reason));
    out->set_block_count(in.blocks);
    out->set_skipped_block_count(in.skipped_blocks);
    FillTiming(in.timing, out->mutable_timing());
  }
};

v1::SessionState ToProto(WorldSessionState state) {
  switch (state) {
    case WorldSessionState::kRunning:
      return v1::SESSION_STATE_RUNNING;
    case WorldSessionState::kPaused:
      return v1::SESSION_STATE_PAUSED;
    case WorldSessionState::kParked:
      return v1::SESSION_STATE_PARKED;
  }
  return v1::SESSION_STATE_UNSPECIFIED;
}

void FillWorld(const ModelInfo& model, v1::World* out) {
  const WorldInfo& info = *model.world;
  out->set_model(model.name);
  out->set_description(info.description);
  out->set_width(info.width);
  out->set_height(info.height);
  out->set_fps(static_cast<float>(info.frames_per_second));
  out->set_frames_per_block(info.frames_per_block);
  FillVocabulary(info, out->mutable_action_vocabulary());
  out->set_audio_sample_rate_hertz(model.sample_rate_hertz);
  out->set_prompt_dimensions(info.prompt_dimensions);
  out->set_state_bytes(info.state_bytes);
}

}  // namespace

absl::StatusOr<WorldRequest> FromProto(v1::StepWorldRequest&& request) {
  switch (request.request_case()) {
    case v1::StepWorldRequest::kOpen:
      return Taken(std::move(*request.mutable_open()));
    case v1::StepWorldRequest::kActions:
      return Taken(std::move(*request.mutable_actions()));
    case v1::StepWorldRequest::kPrompt:
      return Taken(std::move(*request.mutable_prompt()));
    case v1::StepWorldRequest::kControl:
      return Taken(request.control());
    case v1::StepWorldRequest::kCredit:
      return Taken(request.credit());
    default:
      return Invalid("EMPTY_MESSAGE",
                     "the message sets none of open, actions, prompt, control, credit", "request");
  }
}

void ToProto(WorldResponse&& response, v1::StepWorldResponse* out) {
  std::visit(ResponseFiller{out}, std::move(response));
}

void FillSession(const WorldSessionInfo& info, v1::WorldSession* out) {
  out->set_session_id(info.session_id);
  out->set_model(info.model);
  out->set_state(ToProto(info.state));
  out->set_next_block(info.next_block);
  out->set_state_bytes(info.state_bytes);
  SetTime(info.open_time, out->mutable_open_time());
  if (info.state == WorldSessionState::kParked) {
    SetTime(info.expire_time, out->mutable_expire_time());
  }
}

void FillSnapshot(const SnapshotInfo& info, v1::WorldSnapshot* out) {
  out->set_snapshot_id(info.id);
  out->set_block(info.block);
  out->set_size_bytes(info.bytes);
  out->set_sha256(info.sha256);
}

void FillWorlds(const std::vector<const ModelInfo*>& models, v1::ListWorldsResponse* out) {
  bool found = false;
  for (const ModelInfo* model : models) {
    if (!model->world) continue;
    v1::World* world = out->add_worlds();
    FillWorld(*model, world);
    world->set_is_default(!std::exchange(found, true));
  }
  std::sort(out->mutable_worlds()->begin(), out->mutable_worlds()->end(),
            [](const v1::World& a, const v1::World& b) { return a.model() < b.model(); });
}

}  // namespace firstbyte
