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

namespace firstbyte {
namespace {

constexpr int kLaneNice = 2;  // behind I/O, ahead of batch jobs

absl::Status DeviceLost() {
  return Error(absl::StatusCode::kUnavailable, "DEVICE_LOST", "the device failed; try again");
}

bool Begins(const Input& input) { return std::holds_alternative<std::unique_ptr<Prepared>>(input); }

}  // namespace

struct Lane::OpenSession {
  SessionRequest request;
  SessionId id;
  std::unique_ptr<Session> session;
  int tenant = 0;  // index into recent_
  bool starting = true;
  bool paused = false;
  StreamPort::Standing standing = StreamPort::Standing::kWaiting;  // as the stream knows it
  absl::Time last_input;
  absl::Time ready = absl::InfiniteFuture();  // first clause arrived
  std::optional<absl::Time> busy_since;       // has work, without a break
  std::optional<absl::Time> first_step;
  std::optional<absl::Time> running_since;  // not paused, since its first step
  StageTimes times;

  int model() const { return request.seat.model(); }
};

Lane::Lane(int models, LaneOptions options)
    : options_(std::move(options)),
      watcher_(options_.index < static_cast<int>(options_.watchers.size())
                   ? options_.watchers[options_.index]
                   : nullptr),
      models_(models),
      max_batch_(models, 1) {}

Lane::~Lane() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
    wake_.NotifyOne();
  }
  if (thread_.joinable()) thread_.join();
  Collect();
  while (!sessions_.empty()) {
    End(sessions_.begin()->first,
        Error(absl::StatusCode::kCancelled, "SERVER_STOPPED", "the server stopped"));
  }
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
    SessionView view = View(*session, now);
    if (view.paused) sleep = std::min(sleep, TimeToResume(view));
    open.push_back(session.get());
    views.push_back(std::move(view));
  }
  if (options_.on_behind && std::any_of(views.begin(), views.end(), HandToMouth))
    options_.on_behind();
  auto quantum = Choose(views, now);
  if (quantum) {
    Run(*quantum, open);
    ReportCost(*quantum, begin);
  }
  const bool ended = EndIdle(now, &sleep);
  return began || quantum || ended ? absl::ZeroDuration() : std::max(sleep, absl::Microseconds(1));
}

void Lane::ReportCost(const Quantum& quantum, absl::Time begin) {
  const absl::Duration at_warm_up = costs_.PredictAtWarmUp(
      quantum.model, quantum.stage, quantum.frames, static_cast<int>(quantum.sessions.size()));
  if (options_.on_cost && at_warm_up > absl::ZeroDuration()) {
    options_.on_cost(at_warm_up, options_.clock->Now() - begin);
  }
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
    if (!open->session->work().wants_block) continue;
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
    if (models_[open->model()]->info().world || work.any() || work.closed) continue;
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
  if (it == sessions_.end()) return;  // ended meanwhile
  OpenSession& open = *it->second;
  if (command.kind == Command::Kind::kClose) {
    End(command.id, Error(absl::StatusCode::kCancelled, "CANCELLED", "the client cancelled"));
    return;
  }
  open.last_input = options_.clock->Now();
  if (Begins(command.input)) open.ready = std::min(open.ready, open.last_input);
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
  view.paused = open.paused = UpdatePaused(view);
  TellStanding(open, view);

  if (!view.work.any()) open.busy_since.reset();
  if (view.work.any() && !open.busy_since) open.busy_since = now;
  if (open.busy_since) view.busy = now - *open.busy_since;
  if (!open.first_step) return view;
  bool running = Next(view, /*joining=*/false).has_value();
  if (running && !open.running_since) open.running_since = now;
  if (!running && open.running_since) {
    open.times.running += now - *open.running_since;
    open.running_since.reset();
  }
  return view;
}

void Lane::TellStanding(OpenSession& open, const SessionView& view) {
  using Standing = StreamPort::Standing;
  const Standing standing = !view.work.any() ? Standing::kWaiting
                            : view.paused    ? Standing::kPaused
                                             : Standing::kRunning;
  if (standing == open.standing) return;
  open.standing = standing;
  open.request.port->Stands(standing);
}

void Lane::Run(const Quantum& quantum, const std::vector<OpenSession*>& sessions) {
  std::vector<OpenSession*> batch;
  std::vector<int> waiting;
  std::vector<Session*> raw;
  std::vector<SessionId> ids;
  for (int index : quantum.sessions) {
    OpenSession* open = sessions[index];
    batch.push_back(open);
    raw.push_back(open->session.get());
    ids.push_back(open->id);
    waiting.push_back(open->session->work().clauses_waiting);
    if (quantum.stage == Stage::kDecode) open->request.port->Reserve(quantum.frames);
  }
  Model& model = *models_[quantum.model];
  StepReport report;
  const absl::Time begin = options_.clock->Now();
  absl::Status status = Step(quantum, raw, &report);
  const absl::Time end = options_.clock->Now();
  Report({.lane = options_.index,
          .model = quantum.model,
          .info = model.info(),
          .stage = quantum.stage,
          .frames = quantum.frames,
          .sessions = ids,
          .begin = begin,
          .end = end},
         status);
  if (absl::IsResourceExhausted(status) && batch.size() > 1) {
    // Nobody advanced. The other half is chosen again by the next iterations.
    max_batch_[quantum.model] = static_cast<int>(batch.size() / 2);
    LogWarning("batch_halved", {{"model", model.info().name}, {"batch", batch.size() / 2}});
    for (OpenSession* open : batch) Publish(*open);  // returns the unused reservations
    return;
  }
  if (absl::IsResourceExhausted(status)) {
    return End(batch[0]->id, Error(status.code(), {.reason = "NO_MEMORY"}, status.message()));
  }
  if (!status.ok()) return LoseDevice(status);
  Charge(quantum, batch, end - begin);
  for (size_t i = 0; i < batch.size(); ++i) {
    OpenSession& open = *batch[i];
    open.paused = false;  // one that joined goes on until it is max_lead ahead again
    Account(open, quantum.stage, static_cast<int>(batch.size()), begin, end);
    if (!report.session_status[i].ok()) {
      End(open.id, report.session_status[i]);
      continue;
    }
    if (open.session->work().clauses_waiting < waiting[i]) open.request.port->ClauseBegun();
    Publish(open);
  }
  if (watcher_) watcher_->OnStepTold();
}

absl::Status Lane::Step(const Quantum& quantum, absl::Span<Session* const> batch,
                        StepReport* report) {
  Model& model = *models_[quantum.model];
  TraceSpan span(options_.tracer, StageName(quantum.stage));
  if (span) {
    span->SetLabel(model.info().name);
    span->batch = static_cast<int>(batch.size());
    span->frames = quantum.frames;
  }
  return model.Wait(model.Submit(quantum.stage, batch, quantum.frames), report);
}

void Lane::Report(const LaneStep& step, const absl::Status& status) {
  if (watcher_) watcher_->OnStep(step, status);
  if (options_.on_step && status.ok()) options_.on_step(step);
}

void Lane::Charge(const Quantum& quantum, const std::vector<OpenSession*>& batch,
                  absl::Duration took) {
  std::vector<RecentTime::Share> shares;
  for (const OpenSession* open : batch) shares.push_back({open->tenant, open->starting});
  recent_.Spend(shares, took);
  costs_.Observe(quantum.model, quantum.stage, quantum.frames, static_cast<int>(batch.size()),
                 took);
}

void Lane::Account(OpenSession& open, Stage stage, int batch, absl::Time begin, absl::Time end) {
  if (!open.first_step) {
    open.first_step = begin;
    open.running_since = begin;
    open.times.queue = begin - open.ready;
  }
  if (!open.running_since) open.running_since = begin;
  open.times.stage[static_cast<int>(stage)] += end - begin;
  open.times.steps += 1;
  open.times.batch_sum += batch;
}

void Lane::Publish(OpenSession& open) {
  TraceSpan span(options_.tracer, "publish");
  if (span) span->id = static_cast<int64_t>(open.id);
  Output output = open.session->Take();
  const bool media = output.block >= 0 || !output.samples.empty();
  if (media) open.request.seat.Started();
  if (media && watcher_) watcher_->OnMedia(open.id, output);
  if (output.block >= 0) {
    open.request.port->DeliverBlock(std::move(output), open.times);
  } else {
    open.request.port->Deliver(std::move(output), open.busy_since.value_or(absl::InfiniteFuture()));
  }
  const Work work = open.session->work();
  // Here, not only in View(): the next text may be among the commands that come before it.
  if (!work.any()) open.busy_since.reset();
  if (work.done) End(open.id, absl::OkStatus());
}

void Lane::End(SessionId id, const absl::Status& status) {
  auto node = sessions_.extract(id);
  OpenSession& open = *node.mapped();
  {
    MutexLock lock(&mu_);
    ports_.erase(id);
  }
  if (watcher_ && open.session) watcher_->OnEnd(id, status);
  if (open.running_since) open.times.running += options_.clock->Now() - *open.running_since;
  recent_.Leave(open.tenant);
  open.session.reset();        // frees the slot, then
  open.request.seat = Seat();  // the seat, so that whoever is admitted next finds the slot free
  open.request.port->Ended(status, open.times);
}

void Lane::LoseDevice(const absl::Status& status) {
  LogError("device_lost", {{"status", status.ToString()}});
  while (!sessions_.empty()) End(sessions_.begin()->first, DeviceLost());
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
