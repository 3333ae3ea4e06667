#include "server/rpc/speech_service.h"

#include <memory>
#include <utility>

#include "base/error.h"
#include "server/rpc/convert.h"
#include "server/rpc/refusal.h"
#include "server/rpc/stream_call.h"
#include "server/rpc/tenant.h"
#include "server/rpc/voices.h"
#include "server/stream/speech_stream.h"

namespace firstbyte {
namespace {

absl::Status TooLate() {
  return Error(absl::StatusCode::kDeadlineExceeded, "CONFIG_TIMEOUT",
               "`config` did not come in time", "config");
}

class SynthesizeCall
    : public BidiCall<SpeechStream, v1::SynthesizeRequest, v1::SynthesizeResponse> {
 public:
  SynthesizeCall(LiveCalls* live, grpc::CallbackServerContext* rpc, std::string tenant)
      : BidiCall(live, rpc), tenant_(std::move(tenant)) {}

 private:
  absl::Status Take(v1::SynthesizeRequest message) override {
    absl::StatusOr<SpeechRequest> request = FromProto(std::move(message));
    if (!request.ok()) return request.status();
    if (auto* config = std::get_if<SpeechConfig>(&*request)) {
      config->tenant = tenant_;
      config->time_left = time_left();
      if (config->request_id.empty()) config->request_id = request_id();
    }
    stream()->Handle(*std::move(request));
    return absl::OkStatus();
  }

  const std::string tenant_;
};

class SynthesizeOnceCall
    : public StreamCall<WriteReactor, SpeechStream, v1::SynthesizeOnceResponse> {
 public:
  using StreamCall::StreamCall;

  void Take(const grpc::ByteBuffer& incoming, std::string tenant) {
    v1::SynthesizeOnceRequest message;
    if (absl::Status parsed = Parse(incoming, &message); !parsed.ok())
      return stream()->Fail(parsed);
    absl::StatusOr<OnceRequest> request = FromProto(std::move(message));
    if (!request.ok()) return stream()->Fail(request.status());
    request->config.tenant = std::move(tenant);
    request->config.time_left = time_left();
    if (request->config.request_id.empty()) request->config.request_id = request_id();
    stream()->Handle(std::move(request->config));
    stream()->Handle(std::move(request->text));
    stream()->HalfClose();
  }
};

// The tenant, or why a call is refused before anything of it is read.
absl::StatusOr<std::string> Caller(const StreamContext* context, const LiveCalls& calls,
                                   const std::string& method,
                                   const grpc::CallbackServerContext& rpc) {
  if (!context) return Starting();
  const bool draining = context->engine->admission().draining();
  if (!draining && calls.count() < context->max_calls) return TenantOf(rpc);
  RequestRecord record{.method = method};
  record.end.status = draining ? DrainingError() : TooManyCalls();
  record.end.request_id = RequestIdOf(rpc);
  record.traceparent = TraceparentOf(rpc);
  context->observer->OnEnded(record);
  return record.end.status;
}

}  // namespace

BidiReactor* SpeechService::Synthesize(grpc::CallbackServerContext* rpc) {
  const StreamContext* context = context_;
  absl::StatusOr<std::string> tenant = Caller(context, *live_calls_, "Synthesize", *rpc);
  if (!tenant.ok()) return new Refusal<BidiReactor>(tenant.status(), rpc);
  auto call = std::make_shared<SynthesizeCall>(live_calls_, rpc, *std::move(tenant));
  call->Open(*context, [&](auto transport) {
    return SpeechStream::Create(*context, "Synthesize", std::move(transport));
  });
  call->ExpectMessageWithin(first_message_timeout_, TooLate());
  call->WakeReader();
  return call.get();
}

WriteReactor* SpeechService::SynthesizeOnce(grpc::CallbackServerContext* rpc,
                                            const grpc::ByteBuffer* request) {
  const StreamContext* context = context_;
  absl::StatusOr<std::string> tenant = Caller(context, *live_calls_, "SynthesizeOnce", *rpc);
  if (!tenant.ok()) return new Refusal<WriteReactor>(tenant.status(), rpc);
  auto call = std::make_shared<SynthesizeOnceCall>(live_calls_, rpc);
  call->Open(*context, [&](auto transport) {
    return SpeechStream::Create(*context, "SynthesizeOnce", std::move(transport));
  });
  call->Take(*request, *std::move(tenant));
  return call.get();
}

grpc::ServerUnaryReactor* SpeechService::ListVoices(grpc::CallbackServerContext* rpc,
                                                    const v1::ListVoicesRequest* request,
                                                    v1::ListVoicesResponse* response) {
  const StreamContext* context = context_;
  absl::Status status = context ? absl::OkStatus() : Starting();
  if (context) FillVoices(context->engine->models(), *request, response);
  return Answer(status, rpc);
}

}  // namespace firstbyte
