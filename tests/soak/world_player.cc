#include "tests/soak/world_player.h"

#include <chrono>
#include <utility>

namespace firstbyte {
namespace {

constexpr auto kPatience = std::chrono::seconds(60);  // of one call; then the server hangs

bool IsRefusal(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED ||
         status.error_code() == grpc::StatusCode::UNAVAILABLE;
}

}  // namespace

WorldPlayer::WorldPlayer(const std::shared_ptr<grpc::Channel>& channel,
                         std::vector<std::string> worlds, uint64_t seed)
    : stub_(v1::WorldService::NewStub(channel)),
      worlds_(std::move(worlds)),
      tenant_("soak-" + std::to_string(seed)),
      random_(seed) {}

void WorldPlayer::Fail(const std::string& what, const grpc::Status& status) {
  counts_.failures.push_back(tenant_ + ": " + what + " " + status.error_message());
}

std::unique_ptr<grpc::ClientContext> WorldPlayer::NewContext() const {
  auto context = std::make_unique<grpc::ClientContext>();
  context->AddMetadata("x-tenant", tenant_);
  context->set_deadline(std::chrono::system_clock::now() + kPatience);
  return context;
}

// ---- The beginning. ----

v1::StepWorldRequest WorldPlayer::Opening(Call* call, bool* fork) {
  v1::StepWorldRequest request;
  v1::OpenWorld& open = *request.mutable_open();
  const int origin = Roll(10);
  if (origin < 5 && !parked_.empty()) {
    const size_t at = Roll(static_cast<int>(parked_.size()));
    call->session = parked_[at];
    parked_.erase(parked_.begin() + static_cast<std::ptrdiff_t>(at));
    open.mutable_resume()->set_session_id(call->session.id);
    open.mutable_resume()->set_token(call->session.token);
    open.mutable_resume()->set_last_block_received(call->session.last_block);
  } else if (origin < 7 && snapshot_) {
    *fork = true;
    open.mutable_snapshot()->set_snapshot_id(*snapshot_);
  } else {
    call->session.world = worlds_[Roll(static_cast<int>(worlds_.size()))];
    open.mutable_create()->set_seed(random_());
    open.set_model(call->session.world);
  }
  call->pacing = static_cast<v1::Pacing>(v1::PACING_LOCKSTEP + Roll(3));
  open.set_pacing(call->pacing);
  open.mutable_video()->set_format(static_cast<v1::VideoFormat>(Roll(4)));
  if (Roll(2) == 0) {
    open.mutable_audio()->set_encoding(Roll(2) == 0 ? v1::AUDIO_ENCODING_PCM16
                                                    : v1::AUDIO_ENCODING_OPUS);
  }
  return request;
}

bool WorldPlayer::Open(Call* call) {
  bool fork = false;
  const v1::StepWorldRequest request = Opening(call, &fork);
  call->context = NewContext();
  call->stream = stub_->StepWorld(call->context.get());
  call->stream->Write(request);
  if (request.open().has_resume() && Roll(8) == 0) {
    call->context->TryCancel();  // and the server has it still
    call->stream->Finish();
    parked_.push_back(call->session);
    return false;
  }
  if (Read(call)) {
    ++(fork ? counts_.forked : call->session.id.empty() ? counts_.opened : counts_.resumed);
    if (fork) call->session.last_block = call->opened.next_block() - 1;
    call->session.id = call->opened.session_id();
    call->session.token = call->opened.token();
    call->session.world = call->opened.model();
    call->sequence = call->opened.last_action_sequence();
    return true;
  }
  const grpc::Status status = call->stream->Finish();
  ++counts_.refused;
  // The oldest snapshots make room for new ones; everything else is kept.
  const bool gone = fork && status.error_code() == grpc::StatusCode::NOT_FOUND;
  if (gone) snapshot_.reset();
  if (!gone && !IsRefusal(status)) Fail("could not open", status);
  if (!fork && !call->session.id.empty()) parked_.push_back(call->session);
  return false;
}

// ---- Playing. ----

void WorldPlayer::Say(Call* call, const v1::StepWorldRequest& request) {
  call->alive = call->alive && call->stream->Write(request);
}

void WorldPlayer::Control(Call* call, v1::ControlKind kind) {
  v1::StepWorldRequest request;
  request.mutable_control()->set_kind(kind);
  Say(call, request);
}

bool WorldPlayer::Read(Call* call) {
  v1::StepWorldResponse response;
  if (!call->alive || !call->stream->Read(&response)) return call->alive = false;
  if (response.has_opened()) call->opened = response.opened();
  if (response.has_snapshot()) {
    snapshot_ = response.snapshot().snapshot_id();
    call->read_snapshot = true;
  }
  if (!response.has_block()) return true;
  ++counts_.blocks;
  if (response.block().index() != call->session.last_block + 1) {
    Fail("block " + std::to_string(response.block().index()) + " came after block " +
         std::to_string(call->session.last_block));
  }
  if (response.block().frames_size() != call->opened.frames_per_block()) Fail("frames are missing");
  call->session.last_block = response.block().index();
  return true;
}

void WorldPlayer::ReadBlocks(Call* call, int count) {
  const int64_t last = call->session.last_block + count;
  while (call->session.last_block < last && Read(call)) {
  }
}

void WorldPlayer::Act(Call* call) {
  v1::StepWorldRequest request;
  v1::Actions& actions = *request.mutable_actions();
  actions.set_sequence(++call->sequence);
  const v1::ActionVocabulary& vocabulary = call->opened.action_vocabulary();
  for (const std::string& key : vocabulary.keys()) {
    if (Roll(3) == 0) actions.add_keys(key);
  }
  actions.set_pointer_dx(static_cast<float>(Roll(21) - 10) / 10);
  const bool lockstep = call->pacing == v1::PACING_LOCKSTEP;
  if (lockstep && Roll(4) == 0) actions.set_repeat(1 + Roll(4));
  Say(call, request);
  request.mutable_credit()->set_blocks(4);
  Say(call, request);
  ReadBlocks(call, lockstep ? 1 : 1 + Roll(4));
}

void WorldPlayer::Prompt(Call* call) {
  v1::StepWorldRequest request;
  request.mutable_prompt()->set_text("prompt " + std::to_string(Roll(8)));
  if (Roll(3) == 0) {
    request.mutable_prompt()->set_apply_at_block(call->session.last_block + Roll(8));
  }
  Say(call, request);
  Act(call);
}

void WorldPlayer::Snapshot(Call* call) {
  call->read_snapshot = false;
  Control(call, v1::CONTROL_KIND_SNAPSHOT);
  v1::StepWorldRequest credit;  // merged controls are heard with a block
  credit.mutable_credit()->set_blocks(1);
  Say(call, credit);
  while (!call->read_snapshot && Read(call)) {
  }
}

void WorldPlayer::DoSomething(Call* call) {
  switch (Roll(12)) {
    case 0:
      return Prompt(call);
    case 1:
      return Snapshot(call);
    case 2:
      return Control(call, v1::CONTROL_KIND_RESET);
    case 3:
      Control(call, v1::CONTROL_KIND_PAUSE);
      return Control(call, v1::CONTROL_KIND_RESUME);
    default:
      return Act(call);
  }
}

// ---- The end. ----

// Without a word, or with a wrong one: the session is parked.
void WorldPlayer::Leave(Call* call) {
  ++counts_.cancelled;
  if (Roll(4) == 0) {
    v1::StepWorldRequest wrong;
    wrong.mutable_actions()->add_keys("NO SUCH KEY");
    Say(call, wrong);
    while (Read(call)) {
    }
  } else {
    Act(call);
    call->context->TryCancel();
  }
  call->stream->Finish();
  parked_.push_back(call->session);
}

void WorldPlayer::Close(Call* call) {
  ++counts_.closed;
  if (Roll(2) == 0) {
    call->stream->WritesDone();
  } else {
    Control(call, v1::CONTROL_KIND_CLOSE);
  }
  while (Read(call)) {
  }
  const grpc::Status status = call->stream->Finish();
  if (!status.ok()) Fail("did not end well", status);
}

void WorldPlayer::PlayOnce() {
  Call call;
  if (!Open(&call)) return;
  for (int left = Roll(20); left > 0 && call.alive; --left) DoSomething(&call);
  if (!call.alive) return Fail("ended by itself", call.stream->Finish());
  Roll(2) == 0 ? Leave(&call) : Close(&call);
}

void WorldPlayer::CleanUp() {
  for (const Session& session : parked_) {
    auto context = NewContext();
    v1::DeleteSessionRequest request;
    request.set_session_id(session.id);
    v1::DeleteSessionResponse response;
    const grpc::Status status = stub_->DeleteSession(context.get(), request, &response);
    if (!status.ok()) Fail("a session got lost", status);
  }
  parked_.clear();
  auto context = NewContext();
  v1::ListSessionsResponse sessions;
  const grpc::Status status = stub_->ListSessions(context.get(), {}, &sessions);
  if (!status.ok() || sessions.sessions_size() > 0) Fail("sessions are left", status);
}

}  // namespace firstbyte
