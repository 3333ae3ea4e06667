#include "server/rpc/convert.h"

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "google/protobuf/message.h"
#include "server/rpc/common_convert.h"
#include "server/rpc/status.h"

namespace firstbyte {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Paths of what is served; "x." at the end of none: a message is served when its fields are.
const std::set<std::string>& ServedFields() {
  static const auto& served = *new std::set<std::string>{
      "config.request_id",
      "config.model",
      "config.voice",
      "config.language_code",
      "config.audio.encoding",
      "config.audio.sample_rate_hertz",
      "config.audio.bitrate_bps",
      "config.audio.opus_frame_duration",
      "config.sampling.seed",
      "config.speaking_rate",
      "config.limits.max_text_characters",
      "config.chunking.max_lead_duration",
      "text.content",
      "flush.marker_id",
  };
  return served;
}

absl::Status NotSupported(const std::string& path) {
  return Error(absl::StatusCode::kUnimplemented, "NOT_SUPPORTED",
               absl::StrCat(path, " is not supported by this server"), path);
}

bool IsDuration(const FieldDescriptor& field) {
  return field.message_type() && field.message_type()->full_name() == "google.protobuf.Duration";
}

// The first field that is set in `message` and not served.
absl::Status CheckServed(const Message& message, const std::string& prefix) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string path = absl::StrCat(prefix, field->name());
    if (ServedFields().count(path) > 0) continue;
    // An enum value that asks for what the server does anyway is fine: FromProto() looks at it.
    if (path == "config.timestamps" || path == "text.kind") continue;
    const bool inner = field->message_type() && !field->is_repeated() && !IsDuration(*field) &&
                       path != "interrupt" && path != "playback";
    if (!inner) return NotSupported(path);
    absl::Status status =
        CheckServed(message.GetReflection()->GetMessage(message, field), path + ".");
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<SpeechConfig> Taken(v1::SynthesizeConfig&& in) {
  SpeechConfig config;
  if (!in.request_id().empty() && !IsRequestId(in.request_id())) {
    return BadField("config.request_id", "must be at most 128 printable ASCII characters");
  }
  if (in.timestamps() != v1::TIMESTAMP_LEVEL_UNSPECIFIED &&
      in.timestamps() != v1::TIMESTAMP_LEVEL_NONE) {
    return NotSupported("config.timestamps");
  }
  config.request_id = std::move(*in.mutable_request_id());
  config.model = std::move(*in.mutable_model());
  config.voice = std::move(*in.mutable_voice());
  config.language_code = std::move(*in.mutable_language_code());
  absl::Status audio = FromProto(in.audio(), "config.audio", &config.audio);
  if (!audio.ok()) return audio;
  if (in.sampling().has_seed()) config.seed = in.sampling().seed();
  if (in.has_speaking_rate()) config.speaking_rate = in.speaking_rate();
  if (in.limits().max_text_characters() < 0) {
    return BadField("config.limits.max_text_characters", "must not be negative");
  }
  config.max_text_characters = in.limits().max_text_characters();
  if (in.chunking().has_max_lead_duration()) {
    absl::StatusOr<absl::Duration> lead =
        ToDuration(in.chunking().max_lead_duration(), absl::Milliseconds(200), absl::Hours(1),
                   "config.chunking.max_lead_duration");
    if (!lead.ok()) return lead.status();
    config.max_lead = *lead;
  }
  return config;
}

absl::StatusOr<TextPiece> Taken(v1::TextInput&& in) {
  if (in.kind() != v1::TEXT_KIND_UNSPECIFIED && in.kind() != v1::TEXT_KIND_PLAIN) {
    return NotSupported("text.kind");
  }
  return TextPiece{std::move(*in.mutable_content())};
}

void FillStarted(SpeechStarted&& in, v1::SynthesisStarted* out) {
  out->set_request_id(std::move(in.request_id));
  out->set_model(std::move(in.model));
  out->set_voice(std::move(in.voice));
  out->set_seed(in.seed);
  out->set_model_digest(std::move(in.model_digest));
  FillAudioFormat(in.audio, in.opus_pre_skip, std::move(in.container_header),
                  out->mutable_audio_format());
}

void FillSummary(const SpeechSummary& in, v1::SynthesisSummary* out) {
  out->set_finish_reason(v1::FINISH_REASON_COMPLETED);
  SetDuration(in.audio_duration, out->mutable_audio_duration());
  out->set_chunk_count(in.chunks);
  out->set_text_characters(in.text_characters);
  out->set_clause_count(in.clauses);
  out->set_skipped_clause_count(in.skipped_clauses);
  FillTiming(in.timing, out->mutable_timing());
}

template <typename Out>
struct ResponseFiller {
  Out* out;
  void operator()(SpeechStarted&& in) const { FillStarted(std::move(in), out->mutable_started()); }
  void operator()(SpeechAudio&& in) const { FillAudio(std::move(in), out->mutable_audio()); }
  void operator()(SpeechMarker&& in) const {
    out->mutable_marker()->set_marker_id(std::move(in.id));
    SetDuration(in.offset, out->mutable_marker()->mutable_audio_offset());
  }
  void operator()(SpeechSummary&& in) const { FillSummary(in, out->mutable_summary()); }
};

}  // namespace

absl::StatusOr<SpeechRequest> FromProto(v1::SynthesizeRequest&& request) {
  absl::Status served = CheckServed(request, "");
  if (!served.ok()) return served;
  switch (request.request_case()) {
    case v1::SynthesizeRequest::kConfig: {
      absl::StatusOr<SpeechConfig> config = Taken(std::move(*request.mutable_config()));
      if (!config.ok()) return config.status();
      return SpeechRequest(*std::move(config));
    }
    case v1::SynthesizeRequest::kText: {
      absl::StatusOr<TextPiece> text = Taken(std::move(*request.mutable_text()));
      if (!text.ok()) return text.status();
      return SpeechRequest(*std::move(text));
    }
    case v1::SynthesizeRequest::kFlush:
      if (request.flush().marker_id().size() > 128) {
        return BadField("flush.marker_id", "must be at most 128 bytes");
      }
      return SpeechRequest(FlushText{std::move(*request.mutable_flush()->mutable_marker_id())});
    default:
      return Invalid("EMPTY_MESSAGE", "the message sets none of config, text, flush", "request");
  }
}

absl::StatusOr<OnceRequest> FromProto(v1::SynthesizeOnceRequest&& request) {
  absl::Status served = CheckServed(request, "");
  if (!served.ok()) return served;
  absl::StatusOr<SpeechConfig> config = Taken(std::move(*request.mutable_config()));
  if (!config.ok()) return config.status();
  absl::StatusOr<TextPiece> text = Taken(std::move(*request.mutable_text()));
  if (!text.ok()) return text.status();
  return OnceRequest{*std::move(config), *std::move(text)};
}

void ToProto(SpeechResponse&& response, v1::SynthesizeResponse* out) {
  std::visit(ResponseFiller<v1::SynthesizeResponse>{out}, std::move(response));
}
void ToProto(SpeechResponse&& response, v1::SynthesizeOnceResponse* out) {
  std::visit(ResponseFiller<v1::SynthesizeOnceResponse>{out}, std::move(response));
}

}  // namespace firstbyte
