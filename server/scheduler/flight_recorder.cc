#include "server/scheduler/flight_recorder.h"

#include <chrono>
#include <utility>

namespace firstbyte {
namespace {

int64_t BytesOf(const RawInput& said) {
  return static_cast<int64_t>(said.text.size() + said.embedding.size() * sizeof(float) +
                              (said.image ? said.image->data.size() : 0));
}

FlightPushed::Kind KindOf(const Input& input) {
  using Kind = FlightPushed::Kind;
  if (std::holds_alternative<Marker>(input)) return Kind::kMarker;
  if (std::holds_alternative<EndOfInput>(input)) return Kind::kEnd;
  if (std::holds_alternative<BlockActions>(input)) return Kind::kActions;
  return std::holds_alternative<ResetWorld>(input) ? Kind::kReset : Kind::kPrepared;
}

}  // namespace

FlightRecorder::FlightRecorder(int lane, const std::vector<const ModelInfo*>& models,
                               FlightOptions options, const Clock* clock)
    : options_(options), clock_(clock), start_(clock->Now()) {
  header_.lane = lane;
  header_.inputs = options.inputs;
  for (const ModelInfo* info : models) {
    header_.models.push_back(info->name);
    header_.digests.push_back(info->version);
  }
}

void FlightRecorder::Keep(decltype(FlightEvent::what) what, int64_t payload_bytes) {
  auto event = std::make_shared<const FlightEvent>(
      FlightEvent{.time = clock_->Now() - start_, .what = std::move(what)});
  const int64_t bytes = static_cast<int64_t>(sizeof(FlightEvent) + sizeof(Kept)) + payload_bytes;
  events_.push_back({std::move(event), bytes});
  bytes_ += bytes;
  while (bytes_ > options_.max_bytes) {
    bytes_ -= events_.front().bytes;
    events_.pop_front();
    ++header_.dropped;
  }
}

void FlightRecorder::OnOpen(uint64_t session, int model, const SessionSpec& spec,
                            const RawInput* said) {
  FlightOpened opened{.session = session,
                      .model = model,
                      .voice = spec.voice,
                      .seed = spec.seed,
                      .speaking_rate = spec.speaking_rate,
                      .world = spec.scene != nullptr || spec.state != nullptr};
  int64_t bytes = 0;
  if (options_.inputs && said != nullptr) {
    opened.scene = std::make_shared<RawInput>(*said);
    bytes += BytesOf(*said);
  }
  if (options_.inputs && spec.state != nullptr) {
    opened.state = spec.state;
    bytes += static_cast<int64_t>(spec.state->size());
  }
  MutexLock lock(&mu_);
  Keep(std::move(opened), bytes);
  open_.try_emplace(session);
}

void FlightRecorder::OnPush(uint64_t session, const Input& input, const RawInput* said) {
  FlightPushed pushed{.session = session, .kind = KindOf(input)};
  int64_t bytes = 0;
  if (options_.inputs && said != nullptr) {
    pushed.said = std::make_shared<RawInput>(*said);
    bytes = BytesOf(*said);
  }
  if (const auto* actions = std::get_if<BlockActions>(&input); actions && options_.inputs) {
    pushed.actions = std::make_shared<BlockActions>(*actions);
    bytes = sizeof(BlockActions) + static_cast<int64_t>(actions->axes.size() * sizeof(float));
  }
  MutexLock lock(&mu_);
  Keep(std::move(pushed), bytes);
}

void FlightRecorder::OnSubmit(const LaneStep& step) {
  MutexLock lock(&mu_);
  Keep(FlightSubmitted{.number = step.number,
                       .model = step.model,
                       .stage = step.stage,
                       .frames = step.frames,
                       .sessions = {step.sessions.begin(), step.sessions.end()}},
       static_cast<int64_t>(step.sessions.size() * sizeof(uint64_t)));
}

void FlightRecorder::OnStep(const LaneStep& step, const absl::Status& status) {
  MutexLock lock(&mu_);
  in_step_ = status.ok();
  Keep(FlightStepped{.number = step.number,
                     .model = step.model,
                     .stage = step.stage,
                     .frames = step.frames,
                     .sessions = {step.sessions.begin(), step.sessions.end()},
                     .took = step.end - step.begin,
                     .ok = status.ok()},
       static_cast<int64_t>(step.sessions.size() * sizeof(uint64_t)));
}

void FlightRecorder::OnStepTold() {
  MutexLock lock(&mu_);
  in_step_ = false;
  told_.NotifyAll();
}

void FlightRecorder::OnMedia(uint64_t session, const Output& output) {
  MutexLock lock(&mu_);
  open_.at(session).Add(output);
}

FlightEnded FlightRecorder::EndOf(uint64_t session) const {
  const MediaDigest& digest = open_.at(session);
  return {.session = session, .media_bytes = digest.bytes(), .digest = digest.Hex()};
}

void FlightRecorder::OnEnd(uint64_t session, const absl::Status& status) {
  MutexLock lock(&mu_);
  FlightEnded ended = EndOf(session);
  ended.code = status.code();
  const auto bytes = static_cast<int64_t>(ended.digest.size());
  open_.erase(session);
  Keep(std::move(ended), bytes);
}

FlightLog FlightRecorder::Take() const {
  MutexLock lock(&mu_);
  // Not for ever: a lane that was lost never tells.
  if (in_step_) told_.WaitFor(&mu_, std::chrono::seconds(1));
  FlightLog log = header_;
  log.events.reserve(events_.size() + open_.size());
  for (const Kept& kept : events_) log.events.push_back(kept.event);
  for (const auto& [session, digest] : open_) {
    FlightEnded so_far = EndOf(session);
    so_far.open = true;
    log.events.push_back(std::make_shared<const FlightEvent>(
        FlightEvent{.time = clock_->Now() - start_, .what = std::move(so_far)}));
  }
  return log;
}

}  // namespace firstbyte
