// What the two speech RPCs share: the messages of a SpeechStream, written to a gRPC reactor.
//
// The rules of the callback API are kept here, once: one write in flight; Finish() exactly once,
// after the last write and also after a cancel; nothing started after it. Reactions may run at the
// same time as each other and as the stream's wake-ups, hence the mutex; nothing under it blocks.
//
// A call owns itself until OnDone(). The stream shares it, because the lane still answers a cancel
// after the RPC is over.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "base/mutex.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "server/rpc/convert.h"
#include "server/rpc/live_calls.h"
#include "server/rpc/raw_message.h"
#include "server/rpc/status.h"
#include "server/stream/speech_stream.h"

namespace firstbyte {

// `Reactor`: ServerBidiReactor or ServerWriteReactor of byte buffers; `Response`: their message.
template <typename Reactor, typename Response>
class SpeechCall : public Reactor,
                   public StreamTransport,
                   public std::enable_shared_from_this<SpeechCall<Reactor, Response>> {
 public:
  SpeechCall(LiveCalls* live, grpc::CallbackServerContext* rpc)
      : live_(live), rpc_(rpc), request_id_(RequestIdOf(*rpc)) {}

  // Once, before anything else.
  void Open(const StreamContext& context, const char* method) {
    self_ = this->shared_from_this();
    stream_ = SpeechStream::Create(context, method, self_);
  }

  void WakeWriter() override {
    MutexLock lock(&mu_);
    if (writing_ || finished_) return;
    SpeechStream::NextResult next = stream_->Next();
    if (auto* response = std::get_if<SpeechResponse>(&next)) Write(std::move(*response));
    if (auto* end = std::get_if<SpeechEnd>(&next)) Finish(std::move(*end));
  }
  void WakeReader() override {}

  void OnWriteDone(bool ok) override {
    {
      MutexLock lock(&mu_);
      writing_ = false;
    }
    ok ? stream_->OnWritten() : stream_->Cancel();
    WakeWriter();
  }
  void OnCancel() override { stream_->Cancel(); }
  void OnDone() override {
    auto self = std::move(self_);  // the stream may hold on to it a little longer
    std::shared_ptr<SpeechStream> stream;
    MutexLock lock(&mu_);
    stream.swap(stream_);  // breaks the circle; nothing uses it once finished_
  }

 protected:
  const std::shared_ptr<SpeechStream>& stream() const { return stream_; }
  const std::string& request_id() const { return request_id_; }
  bool cancelled() const { return rpc_->IsCancelled(); }

  Mutex mu_;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;

 private:
  void Write(SpeechResponse response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    Response message;
    ToProto(std::move(response), &message);
    outgoing_ = Serialize(message);
    writing_ = true;
    this->StartWrite(&outgoing_);
  }
  void Finish(SpeechEnd end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    finished_ = true;
    if (end.request_id.empty()) end.request_id = request_id_;
    AddTrailers(end, rpc_);
    Reactor::Finish(ToGrpcStatus(end.status));
  }

  const LiveCalls::Ticket live_;
  grpc::CallbackServerContext* const rpc_;
  const std::string request_id_;  // until `config` names another
  std::shared_ptr<SpeechStream> stream_;
  std::shared_ptr<SpeechCall> self_;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  grpc::ByteBuffer outgoing_;  // belongs to gRPC while writing_
};

}  // namespace firstbyte
