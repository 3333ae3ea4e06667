// What all streaming RPCs share: the messages of a StreamCore (SpeechStream, WorldStream), written
// to and read from a gRPC reactor.
//
// The rules of the callback API are kept here, once: one read and one write in flight; Finish()
// exactly once, after the last write and also after a cancel; nothing started after it. Reactions
// may run at the same time as each other and as the stream's wake-ups, hence the mutex; nothing
// under it blocks.
//
// A client that takes nothing for slow_consumer_timeout is ended, whatever the stream is at: its
// slot, and then its outbox, are wanted by others.
//
// A call owns itself until OnDone(). The stream shares it, because the lane still answers a cancel
// after the RPC is over.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/mutex.h"
#include "grpcpp/alarm.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "server/rpc/live_calls.h"
#include "server/rpc/raw_message.h"
#include "server/rpc/status.h"
#include "server/rpc/trace_context.h"
#include "server/stream/stream_context.h"

namespace firstbyte {

using BidiReactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;
using WriteReactor = grpc::ServerWriteReactor<grpc::ByteBuffer>;

// `Reactor`: BidiReactor or WriteReactor. `Response`: the proto that ToProto() makes of what
// `Stream`::Next() returns.
template <typename Reactor, typename Stream, typename Response>
class StreamCall : public Reactor,
                   public StreamTransport,
                   public std::enable_shared_from_this<StreamCall<Reactor, Stream, Response>> {
 public:
  StreamCall(LiveCalls* live, grpc::CallbackServerContext* rpc)
      : live_(live), rpc_(rpc), call_{RequestIdOf(*rpc), TraceparentOf(*rpc)} {}

  // Once, before anything else. `create` makes the stream for this transport.
  template <typename Create>
  void Open(const StreamContext& context, Create create) {
    slow_consumer_timeout_ = context.slow_consumer_timeout;
    self_ = this->shared_from_this();
    stream_ = create(std::shared_ptr<StreamTransport>(self_));
  }

  CallId call() const override { return call_; }

  void WakeWriter() override {
    MutexLock lock(&mu_);
    if (writing_ || finished_) return;
    auto next = stream_->Next();  // nothing, a message, or the end
    if (auto* message = std::get_if<1>(&next)) Write(std::move(*message));
    if (auto* end = std::get_if<2>(&next)) Finish(std::move(*end));
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
    std::shared_ptr<Stream> stream;
    MutexLock lock(&mu_);
    watch_.reset();
    stream.swap(stream_);  // breaks the circle; nothing uses it once finished_
  }

 protected:
  const std::shared_ptr<Stream>& stream() const { return stream_; }
  const std::string& request_id() const { return call_.request_id; }
  bool cancelled() const { return rpc_->IsCancelled(); }
  absl::Duration time_left() const { return absl::FromChrono(rpc_->deadline()) - absl::Now(); }

  Mutex mu_;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;

 private:
  using NextResult = typename Stream::NextResult;

  void Write(std::variant_alternative_t<1, NextResult> response)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    Response message;
    ToProto(std::move(response), &message);
    outgoing_ = Serialize(message);
    writing_ = true;
    write_began_ = Clock::Steady().Now();
    if (!watch_) Watch(slow_consumer_timeout_);
    this->StartWrite(&outgoing_);
  }
  // One alarm at a time looks at whichever write is then in flight.
  void Watch(absl::Duration rest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    watch_ = std::make_unique<grpc::Alarm>();
    watch_->Set(absl::ToChronoTime(absl::Now() + rest),
                [weak = this->weak_from_this()](bool expired) {
                  auto self = weak.lock();
                  if (expired && self) self->CheckWrite();
                });
  }
  void CheckWrite() {
    std::shared_ptr<Stream> slow;
    {
      MutexLock lock(&mu_);
      watch_.reset();
      if (!writing_) return;
      const absl::Duration rest = write_began_ + slow_consumer_timeout_ - Clock::Steady().Now();
      if (rest > absl::ZeroDuration()) return Watch(rest);
      slow = stream_;
    }
    slow->Fail(
        Error(absl::StatusCode::kAborted, "SLOW_CONSUMER", "the client took nothing for too long"));
    rpc_->TryCancel();  // the write in flight ends, and with it the call
  }
  void Finish(std::variant_alternative_t<2, NextResult> end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    finished_ = true;
    AddTrailers(end, rpc_);
    Reactor::Finish(ToGrpcStatus(end.status));
  }

  const LiveCalls::Ticket live_;
  grpc::CallbackServerContext* const rpc_;
  const CallId call_;
  std::shared_ptr<Stream> stream_;
  std::shared_ptr<StreamCall> self_;
  absl::Duration slow_consumer_timeout_;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  absl::Time write_began_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<grpc::Alarm> watch_ ABSL_GUARDED_BY(mu_);
  grpc::ByteBuffer outgoing_;  // belongs to gRPC while writing_
};

// One that reads as well: until the stream has enough, and again when it says so.
template <typename Stream, typename Request, typename Response>
class BidiCall : public StreamCall<BidiReactor, Stream, Response> {
 public:
  using StreamCall<BidiReactor, Stream, Response>::StreamCall;

  // Else the stream ends with `too_late`.
  void ExpectMessageWithin(absl::Duration timeout, absl::Status too_late) {
    first_message_.Set(absl::ToChronoTime(absl::Now() + timeout),
                       [weak = std::weak_ptr(this->stream()), too_late](bool expired) {
                         auto stream = weak.lock();
                         if (expired && stream) stream->Fail(too_late);
                       });
  }

  void WakeReader() override {
    MutexLock lock(&this->mu_);
    if (reading_ || this->finished_ || !this->stream()->ReadyForMore()) return;
    reading_ = true;
    this->StartRead(&incoming_);
  }

  void OnReadDone(bool ok) override {
    Stream& stream = *this->stream();
    // No more reads. A cancelled call fails its read too, perhaps before OnCancel() comes.
    if (!ok) return this->cancelled() ? stream.Cancel() : stream.HalfClose();
    first_message_.Cancel();
    Request message;
    absl::Status status = Parse(incoming_, &message);
    if (status.ok()) status = Take(std::move(message));
    if (!status.ok()) stream.Fail(status);
    incoming_.Clear();
    {
      MutexLock lock(&this->mu_);
      reading_ = false;
    }
    WakeReader();
  }

 private:
  // Hands the message to the stream; an error ends it.
  virtual absl::Status Take(Request message) = 0;

  grpc::Alarm first_message_;
  bool reading_ ABSL_GUARDED_BY(this->mu_) = false;
  grpc::ByteBuffer incoming_;  // belongs to gRPC while reading_
};

}  // namespace firstbyte
