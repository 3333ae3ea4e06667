#include "client/world_stream.h"

#include <utility>

#include <grpcpp/client_context.h>

#include "base/error.h"
#include "client/rpc_status.h"
#include "client/utf8.h"

namespace firstbyte {
namespace {

absl::Status Over() { return absl::CancelledError("the call is over"); }

}  // namespace

// gRPC wants one writer at a time, and none during Finish.
struct WorldStream::Call {
  bool Write(const v1::StepWorldRequest& request) {
    MutexLock lock(&write_mu);
    return !closed && stream->Write(request);
  }
  bool WritesDone() {
    MutexLock lock(&write_mu);
    return !std::exchange(closed, true) && stream->WritesDone();
  }
  // Only once Read() has returned false: a Write that is under way then fails at once.
  absl::Status Finish() {
    MutexLock lock(&write_mu);
    closed = true;
    return FromGrpc(stream->Finish());
  }

  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReaderWriter<v1::StepWorldRequest, v1::StepWorldResponse>> stream;
  Mutex write_mu;
  bool closed ABSL_GUARDED_BY(write_mu) = false;
};

WorldStream::WorldStream(std::shared_ptr<v1::WorldService::Stub> stub, v1::OpenWorld open,
                         ResumePolicy resume)
    : stub_(std::move(stub)),
      resume_(resume),
      open_(std::move(open)),
      attempts_left_(resume.attempts),
      pause_(resume.first_pause),
      call_(Start()) {}

WorldStream::~WorldStream() {
  if (finished_) return;
  // gRPC wants every call finished; without the cancel this would wait for the server.
  Cancel();
  v1::StepWorldResponse unread;
  while (Next(&unread)) {
  }
}

std::shared_ptr<WorldStream::Call> WorldStream::Start() {
  auto call = std::make_shared<Call>();
  call->stream = stub_->StepWorld(&call->context);
  v1::StepWorldRequest first;
  *first.mutable_open() = open_;
  call->Write(first);  // a failure shows in Finish()
  return call;
}

absl::Status WorldStream::Send(const v1::StepWorldRequest& request) {
  for (;;) {
    std::shared_ptr<Call> call;
    {
      MutexLock lock(&mu_);
      if (over_ || cancelled_ || input_ended_) return Over();
      call = call_;
    }
    if (call != nullptr && call->Write(request)) return absl::OkStatus();
    MutexLock lock(&mu_);
    if (over_ || cancelled_ || resume_.attempts == 0) return Over();
    if (call_ == call) {  // otherwise the reader has mended the break meanwhile
      pending_.push_back(request);
      return absl::OkStatus();
    }
  }
}

absl::Status WorldStream::EndInput() {
  std::shared_ptr<Call> call;
  {
    MutexLock lock(&mu_);
    if (over_ || cancelled_ || input_ended_) return Over();
    input_ended_ = true;
    call = call_;
  }
  if (call != nullptr && call->WritesDone()) return absl::OkStatus();
  return resume_.attempts > 0 ? absl::OkStatus() : Over();
}

absl::Status WorldStream::Act(const v1::Actions& actions) {
  v1::StepWorldRequest request;
  *request.mutable_actions() = actions;
  return Send(request);
}

absl::Status WorldStream::Prompt(absl::string_view text) {
  if (!IsUtf8(text)) {
    return Error(absl::StatusCode::kInvalidArgument, "INVALID_UTF8", "the prompt is not UTF-8");
  }
  v1::StepWorldRequest request;
  request.mutable_prompt()->set_text(text.data(), text.size());
  return Send(request);
}

absl::Status WorldStream::Control(v1::ControlKind kind) {
  v1::StepWorldRequest request;
  request.mutable_control()->set_kind(kind);
  return Send(request);
}

absl::Status WorldStream::GiveCredit(int blocks) {
  v1::StepWorldRequest request;
  request.mutable_credit()->set_blocks(blocks);
  return Send(request);
}

bool WorldStream::Next(v1::StepWorldResponse* response) {
  if (finished_) return false;
  do {
    std::shared_ptr<Call> call;
    {
      MutexLock lock(&mu_);
      call = call_;
    }
    if (call->stream->Read(response)) {
      Note(*response);
      return true;
    }
    {
      MutexLock lock(&mu_);
      call_ = nullptr;
    }
    status_ = call->Finish();
  } while (Reconnect());
  MutexLock lock(&mu_);
  over_ = true;
  finished_ = true;
  return false;
}

void WorldStream::Note(const v1::StepWorldResponse& response) {
  if (response.has_opened()) {
    if (opened_) {
      MutexLock lock(&mu_);
      ++resumes_;
    }
    attempts_left_ = resume_.attempts;
    pause_ = resume_.first_pause;
    int64_t last = opened_ || open_.has_resume() ? open_.resume().last_block_received() : -1;
    opened_ = true;
    auto& origin = *open_.mutable_resume();
    origin.set_session_id(response.opened().session_id());
    origin.set_token(response.opened().token());
    origin.set_last_block_received(last);
  } else if (response.has_block()) {
    open_.mutable_resume()->set_last_block_received(response.block().index());
  }
}

// Whether there is a new call to read from. Its own failure shows in its Read().
bool WorldStream::Reconnect() {
  if (!opened_ || status_.code() != absl::StatusCode::kUnavailable) return false;
  if (attempts_left_-- <= 0) return false;
  {
    const absl::Time until = absl::Now() + pause_;
    MutexLock lock(&mu_);
    while (!cancelled_ && absl::Now() < until) {
      changed_.WaitFor(&mu_, absl::ToChronoNanoseconds(until - absl::Now()));
    }
    if (cancelled_) return false;
  }
  pause_ *= 2;
  SendPending(Start());
  return true;
}

// Makes `call` the current one, after everything that was sent during the break.
void WorldStream::SendPending(const std::shared_ptr<Call>& call) {
  for (;;) {
    std::vector<v1::StepWorldRequest> pending;
    {
      MutexLock lock(&mu_);
      pending.swap(pending_);
      if (pending.empty()) {
        call_ = call;
        if (cancelled_) call->context.TryCancel();
        break;
      }
    }
    for (const v1::StepWorldRequest& request : pending) call->Write(request);
  }
  MutexLock lock(&mu_);
  if (input_ended_) call->WritesDone();
}

absl::Status WorldStream::Finish() { return status_; }

void WorldStream::Cancel() {
  MutexLock lock(&mu_);
  cancelled_ = true;
  if (call_ != nullptr) call_->context.TryCancel();
  changed_.NotifyAll();
}

int WorldStream::resumes() const {
  MutexLock lock(&mu_);
  return resumes_;
}

}  // namespace firstbyte
