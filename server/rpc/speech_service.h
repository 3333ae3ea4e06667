// SpeechService: one reactor an RPC, all work behind server/stream.
#pragma once

#include <atomic>

#include "firstbyte/v1/speech.grpc.pb.h"
#include "server/rpc/live_calls.h"
#include "server/stream/stream_context.h"

namespace firstbyte {

namespace internal {
using RawSpeechService = v1::SpeechService::WithRawCallbackMethod_Synthesize<
    v1::SpeechService::WithRawCallbackMethod_SynthesizeOnce<
        v1::SpeechService::WithCallbackMethod_ListVoices<v1::SpeechService::Service>>>;
}  // namespace internal

// Thread-safe. Synthesize and SynthesizeOnce take byte buffers: see raw_message.h.
class SpeechService : public internal::RawSpeechService {
 public:
  // A Synthesize call whose first message does not come within this time is ended: it holds no
  // slot, but memory.
  SpeechService(LiveCalls* live_calls, absl::Duration first_message_timeout)
      : live_calls_(live_calls), first_message_timeout_(first_message_timeout) {}

  // Until Serve() every call is refused with UNAVAILABLE, reason STARTING. `context` and what it
  // points to outlive every call: `live_calls` tells.
  void Serve(const StreamContext* context) { context_ = context; }

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Synthesize(
      grpc::CallbackServerContext* rpc) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* SynthesizeOnce(
      grpc::CallbackServerContext* rpc, const grpc::ByteBuffer* request) override;
  grpc::ServerUnaryReactor* ListVoices(grpc::CallbackServerContext* rpc,
                                       const v1::ListVoicesRequest* request,
                                       v1::ListVoicesResponse* response) override;

 private:
  LiveCalls* const live_calls_;
  const absl::Duration first_message_timeout_;
  std::atomic<const StreamContext*> context_ = nullptr;
};

}  // namespace firstbyte
