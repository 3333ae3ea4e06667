// W3C Trace Context: which trace of the client's a call belongs to.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "grpcpp/server_context.h"

namespace firstbyte {

// Whether `text` is a traceparent of version 00: "00-<32 hex>-<16 hex>-<2 hex>", no id all zeros.
bool IsTraceparent(absl::string_view text);

// The call's metadata `traceparent`, for the log; empty when the client sent none, or something
// else under that name.
std::string TraceparentOf(const grpc::CallbackServerContext& context);

}  // namespace firstbyte
