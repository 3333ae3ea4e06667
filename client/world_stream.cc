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
      // Noted before it is sent: whatever happens then, it is sent again if it was not heard.
      if (resume_.attempts > 0 && request.has_actions()) unapplied_.push_back(request);
      if (broken_) {
        missed_.push_back(request);
        return absl::OkStatus();
      }
      call = call_;
    }
    if (call->Write(request)) return absl::OkStatus();
    MutexLock lock(&mu_);
    if (over_ || cancelled_ || resume_.attempts == 0) return Over();
    if (request.has_actions()) return absl::OkStatus();
    if (!broken_ && call_ != call) continue;  // the reader has mended the break meanwhile
    missed_.push_back(request);
    return absl::OkStatus();
  }
}

absl::Status WorldStream::EndInput() {
  std::shared_ptr<Call> call;
  {
    MutexLock lock(&mu_);
    if (over_ || cancelled_ || input_ended_) return Over();
    input_ended_ = true;
    if (broken_) return absl::OkStatus();
    call = call_;
  }
  return call->WritesDone() || resume_.attempts > 0 ? absl::OkStatus() : Over();
}

absl::Status WorldStream::Act(const v1::Actions& actions) {
  v1::StepWorldRequest request;
  *request.mutable_actions() = actions;
  return Send(request);
}

absl::Status WorldStream::Prompt(absl::string_view text) {
  if (!IsUtf8(text)) {
    return Invalid("INVALID_UTF8", "the prompt is not UTF-8");
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

std::shared_ptr<WorldStream::Call> WorldStream::call() const {
  MutexLock lock(&mu_);
  return call_;
}

bool WorldStream::Next(v1::StepWorldResponse* response) {
  if (finished_) return false;
  do {
    std::shared_ptr<Call> current = call();
    if (current->stream->Read(response)) {
      Note(*response);
      return true;
    }
    {
      MutexLock lock(&mu_);
      if (!std::exchange(broken_, true)) {
        missed_.insert(missed_.begin(), unapplied_.begin(), unapplied_.end());
      }
    }
    status_ = current->Finish();
  } while (Reconnect());
  MutexLock lock(&mu_);
  over_ = true;
  finished_ = true;
  return false;
}

void WorldStream::Note(const v1::StepWorldResponse& response) {
  if (response.has_opened()) {
    NoteOpened(response.opened());
  } else if (response.has_block()) {
    open_.mutable_resume()->set_last_block_received(response.block().index());
    attempts_left_ = resume_.attempts;
    pause_ = resume_.first_pause;
    MutexLock lock(&mu_);
    while (!unapplied_.empty() &&
           unapplied_.front().actions().sequence() <= response.block().applied_action_sequence()) {
      unapplied_.pop_front();
    }
  }
}

void WorldStream::NoteOpened(const v1::WorldOpened& opened) {
  const int64_t last_block = open_.has_resume() ? open_.resume().last_block_received() : -1;
  auto& origin = *open_.mutable_resume();
  origin.set_session_id(opened.session_id());
  origin.set_token(opened.token());
  origin.set_last_block_received(last_block);
  if (!std::exchange(opened_, true)) return;
  SendMissed(call(), opened.last_action_sequence());
  MutexLock lock(&mu_);
  ++resumes_;
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
  std::shared_ptr<Call> call = Start();
  MutexLock lock(&mu_);
  call_ = call;
  if (cancelled_) call->context.TryCancel();
  return true;
}

// Sends what the server has not got, and then lets senders write to the mended call.
void WorldStream::SendMissed(const std::shared_ptr<Call>& call, int64_t last_action_sequence) {
  for (;;) {
    std::vector<v1::StepWorldRequest> missed;
    {
      MutexLock lock(&mu_);
      missed.swap(missed_);
      if (missed.empty()) {
        broken_ = false;
        break;
      }
    }
    for (const v1::StepWorldRequest& request : missed) {
      if (!request.has_actions() || request.actions().sequence() > last_action_sequence) {
        call->Write(request);
      }
    }
  }
  MutexLock lock(&mu_);
  if (input_ended_) call->WritesDone();
}

absl::Status WorldStream::Finish() { return status_; }

void WorldStream::Cancel() {
  MutexLock lock(&mu_);
  cancelled_ = true;
  call_->context.TryCancel();
  changed_.NotifyAll();
}

int WorldStream::resumes() const {
  MutexLock lock(&mu_);
  return resumes_;
}

}  // namespace firstbyte
