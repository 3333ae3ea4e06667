// More is asked for than there is: refusals by load and by tenant, and how clients come back.
#include "tests/rpc/fixture.h"

namespace firstbyte {
namespace {

using grpc::StatusCode;

class OverloadTest : public RpcTest {
 protected:
  // A frame of 40 ms takes each session 4 ms of a clock that only steps move: seven are 70 %.
  void StartWithCost() {
    HostOptions options;
    options.lane.clock = &time_;
    options.admission.max_ttfb = absl::ZeroDuration();
    Start({.on_step =
               [this](Stage stage, int batch) {
                 if (stage == Stage::kGenerate) time_.Advance(batch * absl::Milliseconds(4));
                 return absl::OkStatus();
               }},
          std::move(options));
  }

  FakeClock time_;
};

TEST_F(OverloadTest, AsManyAreAdmittedAsTheLaneSustains) {
  StartWithCost();
  std::vector<std::unique_ptr<OpenStream>> open;
  for (int i = 0; i < 7; ++i) open.push_back(Open());
  for (int i = 0; i < 3; ++i) {
    Heard refused = Synthesize({Request("config {}"), Text("Hello.")});
    EXPECT_EQ(refused.status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_EQ(ErrorInfoOf(refused.status).reason(), "OVERLOAD");
    EXPECT_TRUE(refused.responses.empty());
    const auto delay = RetryInfoOf(refused.status).retry_delay();
    EXPECT_EQ(std::stoi(refused.trailers["grpc-retry-pushback-ms"]),
              delay.seconds() * 1000 + delay.nanos() / 1'000'000);
    EXPECT_GE(std::stoi(refused.trailers["grpc-retry-pushback-ms"]), 10);
  }
  for (auto& stream : open) EXPECT_TRUE(stream->Finish().ok());
  ExpectUnharmed();
}

// A refusal comes before initial metadata, so gRPC itself may try again, when it was told to.
TEST_F(OverloadTest, GrpcRetriesAfterTheDelayByItself) {
  StartWithCost();
  std::vector<std::unique_ptr<OpenStream>> open;
  for (int i = 0; i < 7; ++i) open.push_back(Open());
  {
    grpc::ChannelArguments arguments;
    arguments.SetServiceConfigJSON(R"({"methodConfig": [{
      "name": [{"service": "firstbyte.v1.SpeechService"}],
      "retryPolicy": {"maxAttempts": 5, "initialBackoff": "60s", "maxBackoff": "60s",
                      "backoffMultiplier": 1, "retryableStatusCodes": ["RESOURCE_EXHAUSTED"]}}]})");
    auto stub = v1::SpeechService::NewStub(
        grpc::CreateCustomChannel(target(), grpc::InsecureChannelCredentials(), arguments));
    grpc::ClientContext context;
    auto patient = stub->Synthesize(&context);
    patient->Write(Request("config {}"));
    EXPECT_TRUE(open.front()->Finish().ok());
    v1::SynthesizeResponse response;
    EXPECT_TRUE(patient->Read(&response));
    EXPECT_TRUE(response.has_started());
    context.TryCancel();
    while (patient->Read(&response)) {
    }
    patient->Finish();
  }
  for (size_t i = 1; i < open.size(); ++i) EXPECT_TRUE(open[i]->Finish().ok());
  ExpectUnharmed();
}

TEST_F(OverloadTest, ATenantOverItsQuotaIsRefusedAlone) {
  HostOptions options;
  options.admission.max_streams_per_tenant = 2;
  Start({}, std::move(options));
  auto first = Open("acme"), second = Open("acme");
  grpc::ClientContext context;
  context.AddMetadata("x-tenant", "acme");
  auto third = stub_->Synthesize(&context);
  third->Write(Request("config {}"));
  v1::SynthesizeResponse response;
  EXPECT_FALSE(third->Read(&response));
  const grpc::Status refused = third->Finish();
  EXPECT_EQ(refused.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ErrorInfoOf(refused).reason(), "TENANT_QUOTA");
  EXPECT_TRUE(Open("other")->Finish().ok());
  EXPECT_TRUE(first->Finish().ok());
  EXPECT_TRUE(second->Finish().ok());
  ExpectUnharmed();
}

TEST_F(OverloadTest, CallsThatAskForNothingAreCountedToo) {
  HostOptions options;
  options.max_calls = 2;
  Start({}, std::move(options));
  host_->live_calls().WaitUntilNone();
  auto first = Open(), second = Open();
  Heard refused = Synthesize({Request("config {}"), Text("Hello.")});
  EXPECT_EQ(refused.status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ErrorInfoOf(refused.status).reason(), "TOO_MANY_CALLS");
  EXPECT_TRUE(first->Finish().ok());
  EXPECT_TRUE(second->Finish().ok());
  host_->live_calls().WaitUntilNone();
  EXPECT_TRUE(Open()->Finish().ok());
}

TEST_F(OverloadTest, ABadTenantIsNamed) {
  Start();
  grpc::ClientContext context;
  context.AddMetadata("x-tenant", "has space");
  auto stream = stub_->Synthesize(&context);
  v1::SynthesizeResponse response;
  EXPECT_FALSE(stream->Read(&response));
  const grpc::Status refused = stream->Finish();
  EXPECT_EQ(refused.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ErrorInfoOf(refused).reason(), "BAD_TENANT");
}

}  // namespace
}  // namespace firstbyte
