#include "server/rpc/common_convert.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace firstbyte {
namespace {

absl::StatusOr<AudioEncoding> ToEncoding(v1::AudioEncoding encoding, absl::string_view path) {
  switch (encoding) {
    case v1::AUDIO_ENCODING_UNSPECIFIED:
    case v1::AUDIO_ENCODING_PCM16:
      return AudioEncoding::kPcm16;
    case v1::AUDIO_ENCODING_FLOAT32:
      return AudioEncoding::kFloat32;
    case v1::AUDIO_ENCODING_MULAW:
      return AudioEncoding::kMulaw;
    case v1::AUDIO_ENCODING_ALAW:
      return AudioEncoding::kAlaw;
    case v1::AUDIO_ENCODING_WAV:
      return AudioEncoding::kWav;
    case v1::AUDIO_ENCODING_OPUS:
      return AudioEncoding::kOpus;
    case v1::AUDIO_ENCODING_OGG_OPUS:
      return AudioEncoding::kOggOpus;
    default:
      return BadField(absl::StrCat(path, ".encoding"), "is not a value of AudioEncoding");
  }
}

v1::AudioEncoding ToProto(AudioEncoding encoding) {
  switch (encoding) {
    case AudioEncoding::kPcm16:
      return v1::AUDIO_ENCODING_PCM16;
    case AudioEncoding::kFloat32:
      return v1::AUDIO_ENCODING_FLOAT32;
    case AudioEncoding::kMulaw:
      return v1::AUDIO_ENCODING_MULAW;
    case AudioEncoding::kAlaw:
      return v1::AUDIO_ENCODING_ALAW;
    case AudioEncoding::kWav:
      return v1::AUDIO_ENCODING_WAV;
    case AudioEncoding::kOpus:
      return v1::AUDIO_ENCODING_OPUS;
    case AudioEncoding::kOggOpus:
      return v1::AUDIO_ENCODING_OGG_OPUS;
  }
  return v1::AUDIO_ENCODING_UNSPECIFIED;
}

}  // namespace

absl::Status BadField(const std::string& path, absl::string_view what) {
  return Invalid("OUT_OF_RANGE", absl::StrCat(path, " ", what), path);
}

absl::StatusOr<absl::Duration> ToDuration(const google::protobuf::Duration& d, absl::Duration min,
                                          absl::Duration max, const std::string& path) {
  const absl::Duration value = absl::Seconds(d.seconds()) + absl::Nanoseconds(d.nanos());
  if (value >= min && value <= max) return value;
  return BadField(
      path, absl::StrCat("must be ", absl::FormatDuration(min), " to ", absl::FormatDuration(max)));
}

void SetDuration(absl::Duration d, google::protobuf::Duration* out) {
  absl::Duration rest;
  out->set_seconds(absl::IDivDuration(d, absl::Seconds(1), &rest));
  out->set_nanos(static_cast<int>(absl::ToInt64Nanoseconds(rest)));
}

absl::Status FromProto(const v1::AudioConfig& audio, absl::string_view path, AudioFormat* format) {
  absl::StatusOr<AudioEncoding> encoding = ToEncoding(audio.encoding(), path);
  if (!encoding.ok()) return encoding.status();
  format->encoding = *encoding;
  const bool opus = *encoding == AudioEncoding::kOpus || *encoding == AudioEncoding::kOggOpus;
  if (!opus && audio.bitrate_bps() != 0) {
    return BadField(absl::StrCat(path, ".bitrate_bps"), "is for Opus only");
  }
  if (!opus && audio.has_opus_frame_duration()) {
    return BadField(absl::StrCat(path, ".opus_frame_duration"), "is for Opus only");
  }
  if (audio.sample_rate_hertz() < 0) {
    return BadField(absl::StrCat(path, ".sample_rate_hertz"), "must not be negative");
  }
  format->sample_rate_hertz = audio.sample_rate_hertz();
  format->bitrate_bps = audio.bitrate_bps();
  if (!audio.has_opus_frame_duration()) return absl::OkStatus();
  absl::StatusOr<absl::Duration> frame =
      ToDuration(audio.opus_frame_duration(), absl::Milliseconds(10), absl::Milliseconds(20),
                 absl::StrCat(path, ".opus_frame_duration"));
  if (!frame.ok()) return frame.status();
  format->opus_frame_ms = static_cast<int>(absl::ToInt64Milliseconds(*frame));
  if (absl::Milliseconds(format->opus_frame_ms) == *frame) return absl::OkStatus();
  return BadField(absl::StrCat(path, ".opus_frame_duration"), "must be 10ms or 20ms");
}

void FillAudioFormat(const AudioFormat& in, int opus_pre_skip, std::string container_header,
                     v1::AudioFormat* out) {
  out->set_encoding(ToProto(in.encoding));
  out->set_sample_rate_hertz(in.sample_rate_hertz);
  out->set_channel_count(1);
  out->set_opus_pre_skip_samples(opus_pre_skip);
  out->set_container_header(std::move(container_header));
}

void FillAudio(SpeechAudio&& in, v1::AudioChunk* out) {
  out->set_sequence(in.sequence);
  SetDuration(absl::Seconds(1) * in.start_sample / in.sample_rate_hertz,
              out->mutable_start_offset());
  SetDuration(in.duration(), out->mutable_duration());
  out->set_data(std::move(in.audio.data));
  for (std::string& packet : in.audio.packets) *out->add_packets() = std::move(packet);
}

void FillTiming(const RequestTiming& in, v1::Timing* out) {
  SetDuration(in.model_load, out->mutable_model_load_duration());
  SetDuration(in.queue, out->mutable_queue_duration());
  SetDuration(in.prefill, out->mutable_prefill_duration());
  SetDuration(in.generation, out->mutable_generation_duration());
  SetDuration(in.decode, out->mutable_decode_duration());
  SetDuration(in.encode, out->mutable_encode_duration());
  SetDuration(in.first_byte, out->mutable_first_byte_duration());
  SetDuration(in.total, out->mutable_total_duration());
  out->set_realtime_factor(in.realtime_factor);
  out->set_mean_batch_size(in.mean_batch_size);
}

}  // namespace firstbyte
