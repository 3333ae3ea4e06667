#include "server/rpc/speech_service.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "base/error.h"
#include "grpcpp/alarm.h"
#include "server/rpc/convert.h"
#include "server/rpc/refusal.h"
#include "server/rpc/speech_call.h"
#include "server/rpc/voices.h"

namespace firstbyte {
namespace {

using BidiReactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;
using WriteReactor = grpc::ServerWriteReactor<grpc::ByteBuffer>;

absl::Status Starting() {
  return Error(absl::StatusCode::kUnavailable,
               {.reason = "STARTING", .retry_after = absl::Seconds(1)},
               "the server is still loading its models");
}

absl::Status TooLate() {
  return Error(absl::StatusCode::kDeadlineExceeded, "CONFIG_TIMEOUT",
               "`config` did not come in time", "config");
}

// Reads until the stream has enough, and again when it says so.
class SynthesizeCall : public SpeechCall<BidiReactor, v1::SynthesizeResponse> {
 public:
  using SpeechCall::SpeechCall;

  void ExpectMessageWithin(absl::Duration timeout) {
    first_message_.Set(absl::ToChronoTime(absl::Now() + timeout),
                       [weak = std::weak_ptr(stream())](bool expired) {
                         auto stream = weak.lock();
                         if (expired && stream) stream->Fail(TooLate());
                       });
  }

  void WakeReader() override {
    MutexLock lock(&mu_);
    if (reading_ || finished_ || !stream()->ReadyForMore()) return;
    reading_ = true;
    StartRead(&incoming_);
  }

  void OnReadDone(bool ok) override {
    // No more reads. A cancelled call fails its read too, perhaps before OnCancel() comes.
    if (!ok) return cancelled() ? stream()->Cancel() : stream()->HalfClose();
    first_message_.Cancel();
    Take();
    incoming_.Clear();
    {
      MutexLock lock(&mu_);
      reading_ = false;
    }
    WakeReader();
  }

 private:
  void Take() {
    v1::SynthesizeRequest message;
    if (absl::Status parsed = Parse(incoming_, &message); !parsed.ok())
      return stream()->Fail(parsed);
    absl::StatusOr<SpeechRequest> request = FromProto(std::move(message));
    if (!request.ok()) return stream()->Fail(request.status());
    if (auto* config = std::get_if<SpeechConfig>(&*request); config && config->request_id.empty()) {
      config->request_id = request_id();
    }
    stream()->Handle(*std::move(request));
  }

  grpc::Alarm first_message_;
  bool reading_ ABSL_GUARDED_BY(mu_) = false;
  grpc::ByteBuffer incoming_;  // belongs to gRPC while reading_
};

class SynthesizeOnceCall : public SpeechCall<WriteReactor, v1::SynthesizeOnceResponse> {
 public:
  using SpeechCall::SpeechCall;

  void Take(const grpc::ByteBuffer& incoming) {
    v1::SynthesizeOnceRequest message;
    if (absl::Status parsed = Parse(incoming, &message); !parsed.ok())
      return stream()->Fail(parsed);
    absl::StatusOr<OnceRequest> request = FromProto(std::move(message));
    if (!request.ok()) return stream()->Fail(request.status());
    if (request->config.request_id.empty()) request->config.request_id = request_id();
    stream()->Handle(std::move(request->config));
    stream()->Handle(std::move(request->text));
    stream()->HalfClose();
  }
};

}  // namespace

BidiReactor* SpeechService::Synthesize(grpc::CallbackServerContext* rpc) {
  const StreamContext* context = context_;
  if (!context) return new Refusal<BidiReactor>(Starting(), rpc);
  auto call = std::make_shared<SynthesizeCall>(&live_calls_, rpc);
  call->Open(*context, "Synthesize");
  call->ExpectMessageWithin(first_message_timeout_);
  call->WakeReader();
  return call.get();
}

WriteReactor* SpeechService::SynthesizeOnce(grpc::CallbackServerContext* rpc,
                                            const grpc::ByteBuffer* request) {
  const StreamContext* context = context_;
  if (!context) return new Refusal<WriteReactor>(Starting(), rpc);
  auto call = std::make_shared<SynthesizeOnceCall>(&live_calls_, rpc);
  call->Open(*context, "SynthesizeOnce");
  call->Take(*request);
  return call.get();
}

grpc::ServerUnaryReactor* SpeechService::ListVoices(grpc::CallbackServerContext* rpc,
                                                    const v1::ListVoicesRequest* request,
                                                    v1::ListVoicesResponse* response) {
  const StreamContext* context = context_;
  absl::Status status = context ? absl::OkStatus() : Starting();
  if (context) FillVoices(context->engine->models(), *request, response);
  AddTrailers(status, RequestIdOf(*rpc), rpc);
  auto* reactor = rpc->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

}  // namespace firstbyte
