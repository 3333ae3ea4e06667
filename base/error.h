// Errors with a machine-readable reason.
//
// Every absl::Status that can reach a client is made by Error(): besides code and message it
// carries what google.rpc.ErrorInfo needs (reason, metadata) and, for a refusal that is worth
// retrying, a delay. server/rpc turns these into status details; nothing below it knows protobuf.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace firstbyte {

struct ErrorDetail {
  std::string reason;                           // UPPER_SNAKE_CASE, stable: clients switch on it
  std::map<std::string, std::string> metadata;  // e.g. {"field", "config.speaking_rate"}
  std::optional<absl::Duration> retry_after;    // set: the same request may succeed later
};

// Makes a status of `code` that carries `detail`. `code` must not be kOk.
absl::Status Error(absl::StatusCode code, ErrorDetail detail, absl::string_view message);

// The common case: a reason and perhaps one field name.
absl::Status Error(absl::StatusCode code, absl::string_view reason, absl::string_view message,
                   absl::string_view field = "");
// INVALID_ARGUMENT: what was given, by a client, a file or a flag, cannot be right.
absl::Status Invalid(absl::string_view reason, absl::string_view message,
                     absl::string_view field = "");

// What Error() attached; for a status made elsewhere, the code's name as the reason.
ErrorDetail DetailOf(const absl::Status& status);

}  // namespace firstbyte
