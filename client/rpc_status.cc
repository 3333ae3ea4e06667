#include "client/rpc_status.h"

#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"
#include "client/proto_time.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace firstbyte {
namespace {

// What a person can do, by reason; empty where the message already says it all.
std::string Advice(const absl::Status& status, const ErrorDetail& detail,
                   absl::string_view target) {
  if (detail.reason == "VOICE_NOT_FOUND") return "'firstbyte voices' lists what the server has";
  if (detail.reason == "MODEL_NOT_FOUND") {
    return "'firstbyte voices' and 'firstbyte worlds' list what the server has";
  }
  if (detail.reason == "NO_SPEAKABLE_TEXT") return "give it some words or numbers";
  if (detail.retry_after) {
    double seconds = absl::ToDoubleSeconds(*detail.retry_after);
    return absl::StrFormat("try again in %.1f s", std::ceil(seconds * 10) / 10);
  }
  bool from_the_server =
      !detail.reason.empty() && detail.reason != absl::StatusCodeToString(status.code());
  if (status.code() == absl::StatusCode::kUnavailable && !from_the_server) {
    return absl::StrCat("is firstbyted running on ", target, "? (--target names another)");
  }
  if (status.code() == absl::StatusCode::kUnimplemented && !from_the_server) {
    return absl::StrCat("is it a firstbyte server that listens on ", target, "?");
  }
  return "";
}

}  // namespace

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  auto code = static_cast<absl::StatusCode>(status.error_code());
  google::rpc::Status details;
  ErrorDetail detail;
  if (details.ParseFromString(status.error_details())) {
    for (const auto& any : details.details()) {
      google::rpc::ErrorInfo info;
      google::rpc::RetryInfo retry;
      if (any.UnpackTo(&info)) {
        detail.reason = info.reason();
        detail.metadata = {info.metadata().begin(), info.metadata().end()};
      } else if (any.UnpackTo(&retry)) {
        detail.retry_after = FromProto(retry.retry_delay());
      }
    }
  }
  if (detail.reason.empty()) return absl::Status(code, status.error_message());
  return Error(code, std::move(detail), status.error_message());
}

std::string ExplainError(const absl::Status& status, absl::string_view target) {
  ErrorDetail detail = DetailOf(status);
  std::string line(status.message());
  if (status.code() == absl::StatusCode::kUnavailable && detail.reason == "UNAVAILABLE") {
    line = absl::StrContains(line, "Connection refused")
               ? absl::StrCat("nothing answers at ", target)
               : absl::StrCat("cannot reach ", target, ": ", line);
  }
  if (line.empty()) line = detail.reason;
  auto field = detail.metadata.find("field");
  if (field != detail.metadata.end() && !absl::StrContains(line, field->second)) {
    absl::StrAppend(&line, " (", field->second, ")");
  }
  std::string advice = Advice(status, detail, target);
  if (!advice.empty()) absl::StrAppend(&line, "; ", advice);
  absl::StrAppend(&line, " [", detail.reason, "]");
  return line;
}

}  // namespace firstbyte
