// Readiness, overload, draining, and methods that are not served.
#include <thread>

#include "absl/strings/str_cat.h"
#include "firstbyte/v1/admin.grpc.pb.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/generic/generic_stub.h"
#include "tests/rpc/fixture.h"

namespace firstbyte {
namespace {

using grpc::StatusCode;
using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using testing::HasSubstr;

class LifecycleTest : public RpcTest {
 protected:
  HealthCheckResponse::ServingStatus Check(const std::string& service,
                                           StatusCode want = StatusCode::OK) {
    grpc::ClientContext context;
    HealthCheckRequest request;
    request.set_service(service);
    HealthCheckResponse response;
    grpc::Status status = Health::NewStub(channel_)->Check(&context, request, &response);
    EXPECT_EQ(status.error_code(), want) << status.error_message();
    return response.status();
  }
};

TEST_F(LifecycleTest, NotServingUntilTheModelsAreWarm) {
  Start({}, {}, /*serve=*/false);
  EXPECT_EQ(Check(""), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Check("firstbyte.v1.SpeechService"), HealthCheckResponse::NOT_SERVING);
  Heard early = Synthesize({Request("config {}"), Text("Hello.")});
  EXPECT_EQ(early.status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(ErrorInfoOf(early.status).reason(), "STARTING");
  EXPECT_EQ(RetryInfoOf(early.status).retry_delay().seconds(), 1);
  EXPECT_EQ(early.trailers["grpc-retry-pushback-ms"], "1000");
  EXPECT_EQ(SynthesizeOnce("").status.error_code(), StatusCode::UNAVAILABLE);
  grpc::ClientContext context;
  v1::ListVoicesResponse voices;
  EXPECT_EQ(stub_->ListVoices(&context, {}, &voices).error_code(), StatusCode::UNAVAILABLE);
  Serve();
  EXPECT_EQ(Check(""), HealthCheckResponse::SERVING);
  EXPECT_EQ(Check("firstbyte.v1.SpeechService"), HealthCheckResponse::SERVING);
  ExpectUnharmed();
}

TEST_F(LifecycleTest, HealthOfAnUnknownServiceIsNotFound) {
  Start();
  Check("firstbyte.v1.AdminService", StatusCode::NOT_FOUND);
}

TEST_F(LifecycleTest, WatchFollowsTheServerAndEndsWithIt) {
  Start({}, {}, /*serve=*/false);
  grpc::ClientContext context, unknown_context;
  auto watch = Health::NewStub(channel_)->Watch(&context, {});
  HealthCheckRequest unknown;
  unknown.set_service("nobody");
  auto lost = Health::NewStub(channel_)->Watch(&unknown_context, unknown);
  HealthCheckResponse response;
  ASSERT_TRUE(lost->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVICE_UNKNOWN);
  unknown_context.TryCancel();
  EXPECT_EQ(lost->Finish().error_code(), StatusCode::CANCELLED);

  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  Serve();
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  host_->Drain(absl::ZeroDuration(), absl::InfiniteDuration());  // does not wait for the watcher
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  EXPECT_FALSE(watch->Read(&response));
  EXPECT_EQ(watch->Finish().error_code(), StatusCode::UNAVAILABLE);
}

TEST_F(LifecycleTest, FullServerRefusesAtOnceAndSaysWhenToRetry) {
  Start({.slots = 2});
  auto first = Open(), second = Open();
  Heard refused = Synthesize({Request("config {}"), Text("Hello.")});
  EXPECT_EQ(refused.status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ErrorInfoOf(refused.status).reason(), "NO_SLOT");
  EXPECT_GT(std::stoi(refused.trailers["grpc-retry-pushback-ms"]), 0);
  EXPECT_TRUE(RetryInfoOf(refused.status).has_retry_delay());
  EXPECT_TRUE(refused.responses.empty());
  EXPECT_TRUE(first->Finish().ok());
  EXPECT_TRUE(second->Finish().ok());
  ExpectUnharmed();
}

TEST_F(LifecycleTest, DrainLetsRunningStreamsFinish) {
  Start();
  auto running = Open();
  std::thread drain([&] { host_->Drain(absl::ZeroDuration(), absl::Minutes(1)); });
  // The stream still takes text and speaks it while the server drains.
  EXPECT_TRUE(running->stream->Write(Text(" other one")));
  grpc::Status status = running->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  drain.join();
  EXPECT_EQ(host_->engine().admission().usage(0).used, 0);
}

TEST_F(LifecycleTest, ADrainingServerRefusesNewStreamsOnOldConnections) {
  Start();
  host_->engine().admission().StartDraining();
  Heard late = Synthesize({Request("config {}"), Text("Hello.")});
  EXPECT_EQ(late.status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(ErrorInfoOf(late.status).reason(), "DRAINING");
  EXPECT_EQ(late.trailers.count("grpc-retry-pushback-ms"), 1u);
}

TEST_F(LifecycleTest, DrainGivesUpOnStreamsThatOutlastIt) {
  Start();
  auto running = Open();
  host_->Drain(absl::ZeroDuration(), absl::Milliseconds(20));
  EXPECT_EQ(host_->live_calls().count(), 0);
  EXPECT_EQ(host_->engine().admission().usage(0).used, 0);
  EXPECT_FALSE(running->Finish().ok());
}

TEST_F(LifecycleTest, ATakenPortIsExplained) {
  Start();
  absl::Status taken = Host::Listen({.listen = target()}).status();
  EXPECT_EQ(taken.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(taken.message(),
            absl::StrCat("cannot listen on ", target(), ": the port is in use by another process"));
  EXPECT_THAT(std::string(Host::Listen({.listen = "no.such.host.invalid:1"}).status().message()),
              HasSubstr("no.such.host.invalid"));
}

TEST_F(LifecycleTest, ThePortIsFreeAfterADrain) {
  Start();
  const std::string address = target();
  ExpectUnharmed();
  host_.reset();
  auto again = Host::Listen({.listen = address});
  EXPECT_TRUE(again.ok()) << again.status();
}

TEST_F(LifecycleTest, AdminAnswersUnimplemented) {
  Start();
  grpc::ClientContext context;
  v1::GetServerInfoResponse info;
  const grpc::Status status =
      v1::AdminService::NewStub(channel_)->GetServerInfo(&context, {}, &info);
  EXPECT_EQ(status.error_code(), StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "NOT_SUPPORTED");
  EXPECT_EQ(ErrorInfoOf(status).metadata().at("method"),
            "/firstbyte.v1.AdminService/GetServerInfo");
  ExpectUnharmed();
}

// One call of any method with a ready-made message; returns what came back first.
std::string CallRaw(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                    const std::string& message, grpc::Status* status) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  auto call = stub.PrepareCall(&context, method, &queue);
  auto wait = [&] {
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    return ok;
  };
  call->StartCall(nullptr);
  wait();
  grpc::Slice slice(message);
  call->WriteLast(grpc::ByteBuffer(&slice, 1), {}, nullptr);
  wait();
  grpc::ByteBuffer reply;
  call->Read(&reply, nullptr);
  const bool got = wait();
  call->Finish(status, nullptr);
  wait();
  queue.Shutdown();
  if (!got) return "";
  grpc::Slice whole;
  EXPECT_TRUE(reply.DumpToSingleSlice(&whole).ok());
  return std::string(reinterpret_cast<const char*>(whole.begin()), whole.size());
}

TEST_F(LifecycleTest, ReflectionListsTheServices) {
  Start();
  grpc::Status status;
  const std::string list_services("\x3a\x00", 2);  // ServerReflectionRequest.list_services = ""
  const std::string reply =
      CallRaw(channel_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
              list_services, &status);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(reply, HasSubstr("firstbyte.v1.SpeechService"));
  EXPECT_THAT(reply, HasSubstr("grpc.health.v1.Health"));
}

TEST_F(LifecycleTest, BytesThatAreNoMessageAreRefused) {
  Start();
  for (const char* method : {"Synthesize", "SynthesizeOnce"}) {
    grpc::Status status;
    CallRaw(channel_, absl::StrCat("/firstbyte.v1.SpeechService/", method), "\xff\xff\xff",
            &status);
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(ErrorInfoOf(status).reason(), "MALFORMED_MESSAGE");
  }
  ExpectUnharmed();
}

TEST_F(LifecycleTest, AnUnknownMethodIsToldSo) {
  Start();
  grpc::Status status;
  CallRaw(channel_, "/firstbyte.v1.SpeechService/Sing", "", &status);
  EXPECT_EQ(status.error_code(), StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "UNKNOWN_METHOD");
}

TEST_F(LifecycleTest, AMessageOverTheSizeLimitEndsThatCallOnly) {
  Start();
  EXPECT_EQ(Synthesize({Request("config {}"), Text(std::string(9 << 20, 'a'))}).status.error_code(),
            StatusCode::RESOURCE_EXHAUSTED);
  ExpectUnharmed();
}

}  // namespace
}  // namespace firstbyte
