#include "base/error.h"

#include <cstdint>

#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

constexpr char kPayloadUrl[] = "firstbyte/error_detail";

}  // namespace

absl::Status Error(absl::StatusCode code, ErrorDetail detail, absl::string_view message) {
  nlohmann::json payload = {{"reason", detail.reason}, {"metadata", detail.metadata}};
  if (detail.retry_after) payload["retry_us"] = absl::ToInt64Microseconds(*detail.retry_after);
  absl::Status status(code, message);
  // Metadata may quote a client's bytes; an invalid sequence must not throw here.
  status.SetPayload(kPayloadUrl, absl::Cord(payload.dump(
                                     -1, ' ', false, nlohmann::json::error_handler_t::replace)));
  return status;
}

absl::Status Error(absl::StatusCode code, absl::string_view reason, absl::string_view message,
                   absl::string_view field) {
  ErrorDetail detail{.reason = std::string(reason)};
  if (!field.empty()) detail.metadata["field"] = std::string(field);
  return Error(code, std::move(detail), message);
}

absl::Status Invalid(absl::string_view reason, absl::string_view message, absl::string_view field) {
  return Error(absl::StatusCode::kInvalidArgument, reason, message, field);
}

ErrorDetail DetailOf(const absl::Status& status) {
  auto payload = status.GetPayload(kPayloadUrl);
  if (!payload) return {.reason = absl::StatusCodeToString(status.code())};
  auto json = nlohmann::json::parse(std::string(*payload));
  ErrorDetail detail{.reason = json["reason"], .metadata = json["metadata"]};
  if (json.contains("retry_us")) {
    detail.retry_after = absl::Microseconds(json["retry_us"].get<int64_t>());
  }
  return detail;
}

}  // namespace firstbyte
