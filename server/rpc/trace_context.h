// W3C Trace Context: which trace of the client's a call belongs to.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "grpcpp/server_context.h"

namespace firstbyte {

// Whether `text` is a traceparent of version 00: "00-<32 hex>-<16 hex>-<2 hex>", no id all zeros.
bool IsTraceparent(absl::string_view text);

// Logs "request_trace" with `request_id` and the call's metadata `traceparent`, so that the line
// "request" of that id can be joined with the client's trace. Nothing when the client sent none, or
// something else under that name. Call once, when the call ends.
void LogTrace(const std::string& request_id, const grpc::CallbackServerContext& context);

}  // namespace firstbyte
