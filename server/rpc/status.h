// absl::Status -> grpc::Status with google.rpc details, and the trailing metadata of every end.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"
#include "server/stream/speech_messages.h"
#include "server/stream/world_messages.h"

namespace firstbyte {

// Always carries ErrorInfo (domain "firstbyte"); BadRequest when a field of the request is at
// fault, RetryInfo when a retry may succeed. Texts are cut so that the trailers stay under 8 KiB.
grpc::Status ToGrpcStatus(const absl::Status& status);

// The "x-request-id" that the client sent if it is fit to be one, else a new one.
std::string RequestIdOf(const grpc::CallbackServerContext& context);

// Whether `id` may name a request: 1 to 128 printable ASCII characters.
bool IsRequestId(absl::string_view id);

// Trailing metadata: x-request-id, and grpc-retry-pushback-ms when `status` says when to retry.
// Call once, before Finish().
void AddTrailers(const absl::Status& status, const std::string& request_id,
                 grpc::CallbackServerContext* context);

// The same for a speech stream, with x-ttfb-ms, x-queue-ms, x-generation-ms, x-audio-ms and x-rtf
// when there was audio.
void AddTrailers(const SpeechEnd& end, grpc::CallbackServerContext* context);

// The same for a world stream; x-ttfb-ms and the others when there were blocks.
void AddTrailers(const WorldEnd& end, grpc::CallbackServerContext* context);

}  // namespace firstbyte
