#include "server/scheduler/lane.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/trace.h"
#include "nlohmann/json.hpp"
#include "server/scheduler/open_session.h"

namespace firstbyte {
namespace {

constexpr int kLaneNice = 2;  // behind I/O, ahead of batch jobs

absl::Status DeviceLost() {
  return Error(absl::StatusCode::kUnavailable, "DEVICE_LOST", "the device failed; try again");
}

bool Begins(const Input& input) { return std::holds_alternative<std::unique_ptr<Prepared>>(input); }

}  // namespace

Lane::Lane(int models, LaneOptions options)
    : options_(std::move(options)),
      watcher_(options_.index < static_cast<int>(options_.watchers.size())
                   ? options_.watchers[options_.index]
                   : nullptr),
      models_(models),
      max_batch_(models, 1),
      catching_up_(models),
      under_way_(options_.clock, options_.tracer) {}

Lane::~Lane() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
    wake_.NotifyOne();
  }
  if (thread_.joinable()) thread_.join();
  Collect();
  EndAll(Error(absl::StatusCode::kCancelled, "SERVER_STOPPED", "the server stopped"));
}

void Lane::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void Lane::Add(int index, std::shared_ptr<Model> model, ModelCosts costs) {
  Enqueue({.kind = Command::Kind::kAdd,
           .id = 0,
           .added = std::make_unique<AddedModel>(
               AddedModel{index, std::move(model), std::move(costs)})});
}

std::shared_ptr<Model> Lane::Remove(int index) {
  auto removal = std::make_unique<Removal>();
  removal->index = index;
  std::future<std::shared_ptr<Model>> model = removal->model.get_future();
  Enqueue({.kind = Command::Kind::kRemove, .id = 0, .removal = std::move(removal)});
  return model.get();
}

Lane::SessionId Lane::Open(SessionRequest request) {
  MutexLock lock(&mu_);
  SessionId id = next_id_++;
  ports_[id] = request.port;
  commands_.push_back({.kind = Command::Kind::kOpen,
                       .id = id,
                       .request = std::make_unique<SessionRequest>(std::move(request))});
  wake_.NotifyOne();
  return id;
}

void Lane::Push(SessionId id, Input input, std::shared_ptr<const RawInput> said) {
  Enqueue(
      {.kind = Command::Kind::kPush, .id = id, .input = std::move(input), .said = std::move(said)});
}

void Lane::Close(SessionId id) { Enqueue({.kind = Command::Kind::kClose, .id = id}); }

void Lane::Wake() {
  MutexLock lock(&mu_);
  woken_ = true;
  wake_.NotifyOne();
}

void Lane::Enqueue(Command command) {
  MutexLock lock(&mu_);
  commands_.push_back(std::move(command));
  wake_.NotifyOne();
}

void Lane::Loop() {
  NameThisThread("lane");
  LowerThisThreadsPriority(kLaneNice);
  SetThisThreadsTurn(absl::ZeroDuration());  // whatever the process asks for: steps are long
  while (true) {
    absl::Duration idle = Iterate();
    MutexLock lock(&mu_);
    if (stopping_) return;
    if (idle > absl::ZeroDuration() && commands_.empty() && !woken_) {
      TraceSpan wait(options_.tracer, "wait");
      // Capped, because a wait for ever would overflow the clock.
      wake_.WaitFor(&mu_, absl::ToChronoMicroseconds(std::min(idle, absl::Minutes(1))));
    }
  }
}

// No exception is expected here: models catch their own. One that comes all the same, such as
// std::bad_alloc, must not cost the streams of other lanes their answers.
absl::Duration Lane::Iterate() {
  absl::Duration idle;
  ++iteration_;
  try {
    idle = RunOnce();
  } catch (const std::exception& e) {
    LoseDevice(absl::InternalError(e.what()));
  }
  ++iteration_;
  return idle;
}

absl::Duration Lane::RunOnce() {
  TraceSpan round(options_.tracer, "round");
  const absl::Time begin = options_.clock->Now();
  Collect();
  const absl::Time now = options_.clock->Now();
  absl::Duration sleep = absl::InfiniteDuration();
  const bool began = BeginBlocks(now, &sleep);
  std::vector<OpenSession*> open;
  std::vector<SessionView> views;
  for (auto& [id, session] : sessions_) {
    if (session->ending) continue;
    SessionView view = View(*session, now);
    if (view.paused) sleep = std::min(sleep, TimeToResume(view));
    open.push_back(session.get());
    views.push_back(std::move(view));
  }
  CountCatchingUp(views);
  auto quantum = Choose(views, now);
  if (quantum) Submit(*quantum, open, begin);
  const bool finished = FinishSteps(quantum);
  const bool ended = EndIdle(now, &sleep);
  return began || quantum || finished || ended ? absl::ZeroDuration()
                                               : std::max(sleep, absl::Microseconds(1));
}

void Lane::CountCatchingUp(absl::Span<const SessionView> views) {
  if (!options_.on_catching_up) return;
  std::vector<int> now(catching_up_.size());
  for (const SessionView& view : views) now[view.model] += CatchingUp(view);
  if (now == catching_up_) return;
  catching_up_.swap(now);
  options_.on_catching_up(catching_up_);
}

std::optional<Quantum> Lane::Choose(absl::Span<const SessionView> views, absl::Time now) {
  TraceSpan span(options_.tracer, "choose");
  if (span) span->batch = static_cast<int>(views.size());
  return ChooseQuantum(views, max_batch_, costs_, recent_, options_.policy, now);
}

// Worlds at a block boundary take in what their players did. False: none did; then `sleep` is at
// most until the first may.
bool Lane::BeginBlocks(absl::Time now, absl::Duration* sleep) {
  std::vector<OpenSession*> due;
  for (auto& [id, open] : sessions_) {
    if (open->ending || !open->session->work().wants_block) continue;
    const absl::Time start = open->request.port->state(now).block_start;
    if (start <= now) due.push_back(open.get());
    *sleep = std::min(*sleep, start - now);
  }
  for (OpenSession* open : due) BeginBlock(*open, now);
  return !due.empty();
}

void Lane::BeginBlock(OpenSession& open, absl::Time now) {
  StreamPort::BlockPlan plan = open.request.port->BeginBlock(now);
  if (plan.save) open.request.port->Saved(open.session->Save());
  auto said = plan.said.begin();
  for (Input& input : plan.inputs) {
    const RawInput* source = Begins(input) && said != plan.said.end() ? &*said++ : nullptr;
    auto pushed = PushTo(open, std::move(input), source);
    if (!pushed.ok()) return End(open.id, pushed);
  }
  Publish(open);
}

absl::Status Lane::PushTo(OpenSession& open, Input input, const RawInput* said) {
  if (watcher_) watcher_->OnPush(open.id, input, said);
  return open.session->Push(std::move(input));
}

bool Lane::EndIdle(absl::Time now, absl::Duration* sleep) {
  std::vector<SessionId> idle;
  for (auto& [id, open] : sessions_) {
    const Work work = open->session->work();
    if (models_[open->model()]->info().world || open->busy(work) || work.closed) continue;
    absl::Duration left = open->last_input + options_.idle_timeout - now;
    if (left <= absl::ZeroDuration()) idle.push_back(id);
    *sleep = std::min(*sleep, left);
  }
  for (SessionId id : idle) {
    End(id, Error(absl::StatusCode::kDeadlineExceeded, "IDLE",
                  "no text arrived for too long, so the slot was given back"));
  }
  return !idle.empty();
}

void Lane::Collect() {
  std::vector<Command> commands;
  {
    MutexLock lock(&mu_);
    commands.swap(commands_);
    woken_ = false;
  }
  for (Command& command : commands) Apply(std::move(command));
}

void Lane::Apply(Command command) {
  if (command.kind == Command::Kind::kAdd) return AddOne(std::move(*command.added));
  if (command.kind == Command::Kind::kRemove) {
    return command.removal->model.set_value(std::move(models_[command.removal->index]));
  }
  if (command.kind == Command::Kind::kOpen) return OpenOne(command.id, std::move(*command.request));
  auto it = sessions_.find(command.id);
  if (it == sessions_.end() || it->second->ending) return;  // ended meanwhile
  OpenSession& open = *it->second;
  if (command.kind == Command::Kind::kClose) {
    End(command.id, Error(absl::StatusCode::kCancelled, "CANCELLED", "the client cancelled"));
    return;
  }
  open.last_input = options_.clock->Now();
  if (Begins(command.input)) {
    open.ready = std::min(open.ready, open.last_input);
    ++open.clauses_pushed;
  }
  absl::Status pushed = PushTo(open, std::move(command.input), command.said.get());
  if (!pushed.ok()) {
    End(command.id, pushed);
    return;
  }
  Publish(open);
}

void Lane::AddOne(AddedModel added) {
  max_batch_[added.index] = added.model->info().max_batch;
  for (const ModelCosts::Step& step : added.costs.steps) {
    costs_.Set(added.index, step.stage, step.frames, step.cost);
  }
  models_[added.index] = std::move(added.model);
}

void Lane::OpenOne(SessionId id, SessionRequest request) {
  auto open = std::make_unique<OpenSession>();
  open->request = std::move(request);
  open->id = id;
  open->last_input = options_.clock->Now();
  Model& model = *models_[open->model()];
  if (model.info().world) open->ready = open->last_input;  // its scene is its first input
  open->tenant = recent_.Enter(open->request.tenant);
  absl::StatusOr<std::unique_ptr<Session>> session = DeviceLost();
  if (!lost_) session = model.Open(open->request.spec);
  if (session.ok()) open->session = *std::move(session);
  if (session.ok() && watcher_) {
    watcher_->OnOpen(id, open->model(), open->request.spec, open->request.said.get());
  }
  sessions_[id] = std::move(open);
  if (!session.ok()) End(id, session.status());
}

SessionView Lane::View(OpenSession& open, absl::Time now) {
  const ModelInfo& info = models_[open.model()]->info();
  StreamPort::State state = open.request.port->state(now);
  SessionView view{.model = open.model(),
                   .work = open.session->work(),
                   .ready = open.ready,
                   .lead = state.lead,
                   .max_lead = open.request.max_lead,
                   .heard = state.heard,
                   .paused = open.paused,
                   .room_frames = state.room_frames,
                   .world = info.world.has_value(),
                   .due = state.block_due,
                   .tenant = open.tenant};
  open.starting = !view.heard;
  if (!view.world) {
    view.frame_period =
        absl::Seconds(1) * info.samples_per_frame / static_cast<double>(info.sample_rate_hertz);
  }
  if (open.frames_under_way > 0) {
    view.lead += view.frame_period * open.frames_under_way;
    view.room_frames = 0;
  }
  view.paused = open.paused = UpdatePaused(view);
  TellStanding(open, view);

  const bool busy = open.busy(view.work);
  if (!busy) open.busy_since.reset();
  if (busy && !open.busy_since) open.busy_since = now;
  if (!open.first_step) return view;
  bool running = open.under_way > 0 || Next(view, /*joining=*/false).has_value();
  if (running && !open.running_since) open.running_since = now;
  if (!running && open.running_since) {
    open.times.running += now - *open.running_since;
    open.running_since.reset();
  }
  return view;
}

void Lane::TellStanding(OpenSession& open, const SessionView& view) {
  using Standing = StreamPort::Standing;
  const Standing standing = !open.busy(view.work) ? Standing::kWaiting
                            : view.paused         ? Standing::kPaused
                                                  : Standing::kRunning;
  if (standing == open.standing) return;
  open.standing = standing;
  open.request.port->Stands(standing);
}

// At once, or when the last step that the session takes part in has been waited for.
void Lane::End(SessionId id, const absl::Status& status) {
  OpenSession& open = *sessions_.at(id);
  if (!open.ending) {
    open.ending = status;
    if (watcher_ && open.session) watcher_->OnEnd(id, status);
  }
  if (open.under_way == 0) Release(id);
}

void Lane::EndAll(const absl::Status& status) {
  under_way_.Drop();
  for (auto& [id, open] : sessions_) open->under_way = 0;
  while (!sessions_.empty()) End(sessions_.begin()->first, status);
}

void Lane::Release(SessionId id) {
  auto node = sessions_.extract(id);
  OpenSession& open = *node.mapped();
  const absl::Status& status = *open.ending;
  {
    MutexLock lock(&mu_);
    ports_.erase(id);
  }
  if (open.running_since) open.times.running += options_.clock->Now() - *open.running_since;
  recent_.Leave(open.tenant);
  open.session.reset();        // frees the slot, then
  open.request.seat = Seat();  // the seat, so that whoever is admitted next finds the slot free
  open.request.port->Ended(status, open.times);
}

void Lane::LoseDevice(const absl::Status& status) {
  LogError("device_lost", {{"status", status.ToString()}});
  EndAll(DeviceLost());
  Abandon(DeviceLost());  // streams whose first command was not reached
  if (!std::exchange(lost_, true) && options_.on_device_lost) options_.on_device_lost(status);
}

void Lane::Abandon(const absl::Status& status) {
  std::unordered_map<SessionId, std::weak_ptr<StreamPort>> ports;
  {
    MutexLock lock(&mu_);
    ports = ports_;
  }
  for (const auto& [id, weak] : ports) {
    if (auto port = weak.lock()) port->Fail(status);
  }
}

}  // namespace firstbyte
