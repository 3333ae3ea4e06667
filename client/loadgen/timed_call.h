// What the load generator's calls of both services have in common: how they begin, how badly
// behaved clients read and leave, and how a call ends.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <grpcpp/alarm.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include "client/loadgen/call.h"
#include "client/loadgen/connection.h"
#include "client/loadgen/live_calls.h"
#include "client/rpc_status.h"

namespace firstbyte {

// Owns itself: deleted in OnDone, which gRPC calls last. gRPC reads one message after the other, so
// `response_` and `record_` are those of one reaction at a time.
template <typename Request, typename Response>
class TimedCall : public grpc::ClientBidiReactor<Request, Response> {
 public:
  void OnDone(const grpc::Status& status) final {
    record_.status = FromGrpc(status);
    if (live_->Forget(&context_) || left_) record_.abandoned = !status.ok();
    done_(std::move(record_));
    LiveCalls* live = live_;
    delete this;
    live->Leave();
  }

 protected:
  // `live` outlives the call; `done` gets its record.
  TimedCall(const CallPlan& plan, const CallerOptions& options, LiveCalls* live,
            std::function<void(CallRecord)> done)
      : options_(options),
        record_(RecordOf(plan)),
        live_(live),
        done_(std::move(done)),
        leave_after_(1 + plan.seed % kMostMediaSeen) {}

  // The channel to make the call on with `context_`, which is ready for it.
  std::shared_ptr<grpc::Channel> Begin(const Connections& connections) {
    if (record_.behaviour == Behaviour::kDisconnect) {
      fragile_ = live_->OpenFragile(connections.options().target);
    }
    connections.Authorise(&context_);
    context_.set_deadline(absl::ToChronoTime(absl::Now() + options_.timeout));
    live_->Add(&context_);
    return fragile_ != nullptr ? fragile_->channel() : connections.channel(record_.stream);
  }

  // Media has come: notes it, and goes if this is a client that leaves now.
  void NoteArrival(absl::Time now, absl::Duration media) {
    record_.arrivals.push_back({now, media});
    if (record_.arrivals.size() != leave_after_) return;
    if (record_.behaviour == Behaviour::kCancel) context_.TryCancel();
    if (fragile_ != nullptr) fragile_->Cut();
    left_ = record_.behaviour == Behaviour::kCancel || fragile_ != nullptr;
  }

  // Reads the next message, at once or as slowly as this client does.
  void ReadOn() {
    if (record_.behaviour != Behaviour::kReadSlowly || record_.arrivals.empty()) {
      this->StartRead(&response_);
      return;
    }
    this->AddHold();                                // the alarm is a thread of its own
    slow_alarm_ = std::make_unique<grpc::Alarm>();  // the last one's callback may not have returned
    slow_alarm_->Set(absl::ToChronoTime(absl::Now() + options_.slow_read), [this](bool) {
      this->StartRead(&response_);
      this->RemoveHold();
    });
  }

  const CallerOptions options_;
  grpc::ClientContext context_;
  Response response_;
  CallRecord record_;

 private:
  static constexpr uint64_t kMostMediaSeen = 8;  // messages, by a client that leaves early

  LiveCalls* const live_;
  const std::function<void(CallRecord)> done_;
  const uint64_t leave_after_;  // messages of media
  std::shared_ptr<FragileConnection> fragile_;
  std::unique_ptr<grpc::Alarm> slow_alarm_;
  bool left_ = false;
};

}  // namespace firstbyte
