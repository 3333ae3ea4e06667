// firstbyte.v1 messages <-> the plain structs of server/stream.
//
// What the wire can say and the server does not do yet is refused here, by one rule: a field that
// is set and not in the list of served ones is kUnimplemented NOT_SUPPORTED with its path.
#pragma once

#include "absl/status/statusor.h"
#include "firstbyte/v1/speech.pb.h"
#include "server/stream/speech_messages.h"

namespace firstbyte {

absl::StatusOr<SpeechRequest> FromProto(v1::SynthesizeRequest&& request);

// The two halves of a request that comes as one.
struct OnceRequest {
  SpeechConfig config;
  TextPiece text;
};
absl::StatusOr<OnceRequest> FromProto(v1::SynthesizeOnceRequest&& request);

// Moves the audio out of `response`.
void ToProto(SpeechResponse&& response, v1::SynthesizeResponse* out);
void ToProto(SpeechResponse&& response, v1::SynthesizeOnceResponse* out);

}  // namespace firstbyte
