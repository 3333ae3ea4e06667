#include "tests/fake/refuse.h"

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace firstbyte {

grpc::Status Refuse(grpc::StatusCode code, const std::string& reason, const std::string& message,
                    absl::Duration retry) {
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("firstbyte");
  status.add_details()->PackFrom(info);
  if (retry > absl::ZeroDuration()) {
    google::rpc::RetryInfo retry_info;
    retry_info.mutable_retry_delay()->set_seconds(
        absl::IDivDuration(retry, absl::Seconds(1), &retry));
    retry_info.mutable_retry_delay()->set_nanos(static_cast<int>(absl::ToInt64Nanoseconds(retry)));
    status.add_details()->PackFrom(retry_info);
  }
  return {code, message, status.SerializeAsString()};
}

}  // namespace firstbyte
