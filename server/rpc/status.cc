#include "server/rpc/status.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/ids.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace firstbyte {
namespace {

constexpr size_t kMaxMessage = 1024;
constexpr size_t kMaxMetadataValue = 256;
constexpr size_t kMaxRequestId = 128;

// At most `size` bytes of UTF-8 `text`, cut between characters.
std::string Cut(absl::string_view text, size_t size) {
  if (text.size() <= size) return std::string(text);
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return std::string(text.substr(0, size));
}

google::rpc::ErrorInfo ErrorInfoOf(const ErrorDetail& detail) {
  google::rpc::ErrorInfo info;
  info.set_domain("firstbyte");
  info.set_reason(detail.reason);
  for (const auto& [key, value] : detail.metadata) {
    (*info.mutable_metadata())[key] = Cut(value, kMaxMetadataValue);
  }
  return info;
}

google::rpc::RetryInfo RetryInfoOf(absl::Duration delay) {
  google::rpc::RetryInfo info;
  absl::Duration rest;
  info.mutable_retry_delay()->set_seconds(absl::IDivDuration(delay, absl::Seconds(1), &rest));
  info.mutable_retry_delay()->set_nanos(static_cast<int>(absl::ToInt64Nanoseconds(rest)));
  return info;
}

std::string MillisText(absl::Duration d) {
  return absl::StrFormat("%.3f", absl::ToDoubleMilliseconds(d));
}

void AddTiming(const RequestTiming& timing, grpc::CallbackServerContext* context) {
  context->AddTrailingMetadata("x-ttfb-ms", MillisText(timing.first_byte));
  context->AddTrailingMetadata("x-queue-ms", MillisText(timing.queue));
  context->AddTrailingMetadata("x-generation-ms", MillisText(timing.generation));
  context->AddTrailingMetadata("x-rtf", absl::StrFormat("%.5f", timing.realtime_factor));
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const ErrorDetail detail = DetailOf(status);
  const std::string message = Cut(status.message(), kMaxMessage);
  google::rpc::Status rich;
  rich.set_code(static_cast<int>(status.code()));
  rich.set_message(message);
  rich.add_details()->PackFrom(ErrorInfoOf(detail));
  auto field = detail.metadata.find("field");
  if (status.code() == absl::StatusCode::kInvalidArgument && field != detail.metadata.end()) {
    google::rpc::BadRequest bad;
    auto* violation = bad.add_field_violations();
    violation->set_field(Cut(field->second, kMaxMetadataValue));
    violation->set_description(message);
    violation->set_reason(detail.reason);
    rich.add_details()->PackFrom(bad);
  }
  if (detail.retry_after) rich.add_details()->PackFrom(RetryInfoOf(*detail.retry_after));
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message,
                      rich.SerializeAsString());
}

bool IsRequestId(absl::string_view id) {
  return !id.empty() && id.size() <= kMaxRequestId &&
         std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::string RequestIdOf(const grpc::CallbackServerContext& context) {
  auto sent = context.client_metadata().find("x-request-id");
  if (sent != context.client_metadata().end()) {
    const absl::string_view id(sent->second.data(), sent->second.size());
    if (IsRequestId(id)) return std::string(id);
  }
  return NewUuid();
}

void AddTrailers(const absl::Status& status, const std::string& request_id,
                 grpc::CallbackServerContext* context) {
  context->AddTrailingMetadata("x-request-id", request_id);
  const std::optional<absl::Duration> retry = DetailOf(status).retry_after;
  if (status.ok() || !retry) return;
  context->AddTrailingMetadata("grpc-retry-pushback-ms",
                               absl::StrCat(absl::ToInt64Milliseconds(*retry)));
}

void AddTrailers(const SpeechEnd& end, grpc::CallbackServerContext* context) {
  AddTrailers(end.status, end.request_id, context);
  if (end.summary.audio_duration <= absl::ZeroDuration()) return;
  AddTiming(end.summary.timing, context);
  context->AddTrailingMetadata("x-audio-ms", MillisText(end.summary.audio_duration));
}

void AddTrailers(const WorldEnd& end, grpc::CallbackServerContext* context) {
  AddTrailers(end.status, end.request_id, context);
  if (end.summary.blocks > 0) AddTiming(end.summary.timing, context);
}

}  // namespace firstbyte
