#include "server/rpc/status.h"

#include "base/error.h"
#include "gmock/gmock.h"
#include "tests/rpc/fixture.h"

namespace firstbyte {
namespace {

TEST(ToGrpcStatus, OkCarriesNothing) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_EQ(ToGrpcStatus(absl::OkStatus()).error_details(), "");
}

TEST(ToGrpcStatus, EveryErrorCarriesErrorInfo) {
  const grpc::Status status = ToGrpcStatus(absl::InternalError("made somewhere else"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(status.error_message(), "made somewhere else");
  EXPECT_EQ(ErrorInfoOf(status).reason(), "INTERNAL");
  EXPECT_EQ(ErrorInfoOf(status).domain(), "firstbyte");
}

TEST(ToGrpcStatus, FieldBecomesAFieldViolationOfInvalidArgumentOnly) {
  const grpc::Status bad =
      ToGrpcStatus(Error(absl::StatusCode::kInvalidArgument, "WHY", "text", "a.b"));
  ASSERT_EQ(BadRequestOf(bad).field_violations_size(), 1);
  EXPECT_EQ(BadRequestOf(bad).field_violations(0).field(), "a.b");
  EXPECT_EQ(BadRequestOf(bad).field_violations(0).reason(), "WHY");
  const grpc::Status lost = ToGrpcStatus(Error(absl::StatusCode::kNotFound, "WHY", "text", "a.b"));
  EXPECT_EQ(BadRequestOf(lost).field_violations_size(), 0);
  EXPECT_EQ(ErrorInfoOf(lost).metadata().at("field"), "a.b");
}

TEST(ToGrpcStatus, RetryDelayBecomesRetryInfo) {
  const grpc::Status status =
      ToGrpcStatus(Error(absl::StatusCode::kResourceExhausted,
                         {.reason = "FULL", .retry_after = absl::Milliseconds(1250)}, "full"));
  EXPECT_EQ(RetryInfoOf(status).retry_delay().seconds(), 1);
  EXPECT_EQ(RetryInfoOf(status).retry_delay().nanos(), 250'000'000);
}

TEST(ToGrpcStatus, LongTextsAreCutBetweenCharacters) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "é";
  const grpc::Status status =
      ToGrpcStatus(Error(absl::StatusCode::kInvalidArgument, "LONG", text, text));
  EXPECT_EQ(status.error_message().size(), 1024u);
  EXPECT_LT(status.error_details().size(), 4096u);
  EXPECT_EQ(ErrorInfoOf(status).metadata().at("field").size(), 256u);
}

TEST(RequestId, IsPrintableAsciiOfBoundedLength) {
  EXPECT_TRUE(IsRequestId("a"));
  EXPECT_TRUE(IsRequestId(std::string(128, '~')));
  for (const std::string& bad : {std::string(), std::string(129, 'a'), std::string("a b"),
                                 std::string("a\n"), std::string("é"), std::string(1, '\0')}) {
    EXPECT_FALSE(IsRequestId(bad)) << bad;
  }
}

}  // namespace
}  // namespace firstbyte
