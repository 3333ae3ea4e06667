#include "client/rpc_status.h"

#include "base/error.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

TEST(FromGrpc, CarriesReasonMetadataAndRetry) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  info.set_reason("NO_SLOT");
  (*info.mutable_metadata())["model"] = "rms";
  details.add_details()->PackFrom(info);
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_nanos(250'000'000);
  details.add_details()->PackFrom(retry);
  absl::Status status =
      FromGrpc({grpc::StatusCode::RESOURCE_EXHAUSTED, "full", details.SerializeAsString()});
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "full");
  EXPECT_EQ(DetailOf(status).reason, "NO_SLOT");
  EXPECT_EQ(DetailOf(status).metadata.at("model"), "rms");
  EXPECT_EQ(DetailOf(status).retry_after, absl::Milliseconds(250));
}

TEST(FromGrpc, GarbageDetailsAreLeftOut) {
  absl::Status status = FromGrpc({grpc::StatusCode::INTERNAL, "x", "\x0a\xff\xff garbage"});
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(DetailOf(status).reason, "INTERNAL");
  EXPECT_TRUE(FromGrpc(grpc::Status::OK).ok());
}

TEST(ExplainError, NamesTheFieldWhenTheMessageDoesNot) {
  absl::Status status =
      Error(absl::StatusCode::kInvalidArgument, "BAD", "must be positive", "config.audio.rate");
  EXPECT_EQ(ExplainError(status, "t"), "must be positive (config.audio.rate) [BAD]");
}

TEST(ExplainError, ADrainingServerIsNotAnAbsentOne) {
  absl::Status status =
      Error(absl::StatusCode::kUnavailable, {.reason = "DRAINING", .retry_after = absl::Seconds(1)},
            "the server is shutting down");
  EXPECT_EQ(ExplainError(status, "t"),
            "the server is shutting down; try again in 1.0 s [DRAINING]");
}

}  // namespace
}  // namespace firstbyte
