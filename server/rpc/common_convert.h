// What the messages of common.proto become, and back. `path` names the field in errors.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "codec/audio_encoder.h"
#include "firstbyte/v1/common.pb.h"
#include "server/stream/speech_messages.h"

namespace firstbyte {

// kInvalidArgument OUT_OF_RANGE: "`path` `what`".
absl::Status BadField(const std::string& path, absl::string_view what);

absl::StatusOr<absl::Duration> ToDuration(const google::protobuf::Duration& d, absl::Duration min,
                                          absl::Duration max, const std::string& path);
void SetDuration(absl::Duration d, google::protobuf::Duration* out);

absl::Status FromProto(const v1::AudioConfig& audio, absl::string_view path, AudioFormat* format);
void FillAudioFormat(const AudioFormat& in, int opus_pre_skip, std::string container_header,
                     v1::AudioFormat* out);
// Moves the audio out of `in`.
void FillAudio(SpeechAudio&& in, v1::AudioChunk* out);
void FillTiming(const RequestTiming& in, v1::Timing* out);

}  // namespace firstbyte
