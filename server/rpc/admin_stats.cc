#include "server/rpc/admin_stats.h"

#include <algorithm>
#include <vector>

#include "server/rpc/common_convert.h"

namespace firstbyte {
namespace {

v1::StreamState ToProto(StreamReport::State state) {
  switch (state) {
    case StreamReport::State::kOpening:
      return v1::STREAM_STATE_OPENING;
    case StreamReport::State::kWaiting:
      return v1::STREAM_STATE_WAITING;
    case StreamReport::State::kRunning:
      return v1::STREAM_STATE_RUNNING;
    case StreamReport::State::kPaused:
      return v1::STREAM_STATE_PAUSED;
    case StreamReport::State::kBlocked:
      return v1::STREAM_STATE_BLOCKED;
    case StreamReport::State::kEnding:
      return v1::STREAM_STATE_ENDING;
  }
  return v1::STREAM_STATE_UNSPECIFIED;
}

v1::ModelState ToProto(ModelStanding::State state) {
  switch (state) {
    case ModelStanding::State::kUnloaded:
      return v1::MODEL_STATE_UNLOADED;
    case ModelStanding::State::kLoading:
      return v1::MODEL_STATE_LOADING;
    case ModelStanding::State::kLoaded:
      return v1::MODEL_STATE_LOADED;
    case ModelStanding::State::kUnloading:
      return v1::MODEL_STATE_UNLOADING;
    case ModelStanding::State::kFailed:
      return v1::MODEL_STATE_FAILED;
  }
  return v1::MODEL_STATE_UNSPECIFIED;
}

void FillStream(const StreamReport& in, v1::StreamStats* out) {
  out->set_request_id(in.request_id);
  out->set_method(in.method);
  out->set_model(in.model);
  out->set_lane(in.lane);
  out->set_state(ToProto(in.state));
  SetDuration(in.age, out->mutable_age_duration());
  SetDuration(in.lead, out->mutable_lead_duration());
  SetDuration(in.media, out->mutable_audio_duration());
  out->set_underrun_count(in.underruns);
  out->set_next_block(in.blocks);
}

void FillStages(const Engine& engine, const StepMeter::Reading& reading, v1::LaneStats* out) {
  const double window = std::max(absl::ToDoubleSeconds(reading.window), 1e-3);
  absl::Duration busy;
  int64_t steps = 0, sessions = 0;
  for (const StepMeter::StageSteps& in : reading.stages) {
    v1::StageStats* stage = out->add_stages();
    stage->set_model(engine.info(in.model).name);
    stage->set_stage(std::string(StageName(in.stage)));
    stage->set_step_rate(static_cast<double>(in.steps) / window);
    SetDuration(in.mean_step(), stage->mutable_mean_step_duration());
    SetDuration(in.longest, stage->mutable_max_step_duration());
    stage->set_mean_batch_size(in.mean_batch());
    stage->set_busy_ratio(absl::ToDoubleSeconds(in.busy) / window);
    busy += in.busy;
    steps += in.steps;
    sessions += in.sessions;
  }
  out->set_busy_ratio(absl::ToDoubleSeconds(busy) / window);
  if (steps > 0) out->set_mean_batch_size(static_cast<double>(sessions) / steps);
}

void FillSlots(Engine& engine, int lane, v1::LaneStats* out) {
  int used = 0, total = 0;
  for (int model = 0; model < engine.model_count(); ++model) {
    const auto usage = engine.admission().usage(model, lane);
    v1::ModelSlots* slots = out->add_models();
    slots->set_model(engine.info(model).name);
    slots->set_slots_used(usage.used);
    slots->set_slots_total(usage.total);
    used += usage.used;
    total += usage.total;
  }
  out->set_slots_used(used);
  out->set_slots_total(total);
}

}  // namespace

void FillModel(const Engine& engine, int index, v1::Model* out) {
  const ModelStanding standing = engine.standing(index);
  out->set_name(engine.info(index).name);
  out->set_architecture(engine.source(index).architecture);
  out->set_state(ToProto(standing.state));
  out->set_weight_bytes(engine.source(index).weight_bytes);
  out->set_digest(engine.info(index).version);
  out->set_message(standing.why);
}

void FillModels(const Engine& engine, v1::ListModelsResponse* response) {
  for (int i = 0; i < engine.model_count(); ++i) FillModel(engine, i, response->add_models());
  std::sort(response->mutable_models()->begin(), response->mutable_models()->end(),
            [](const v1::Model& a, const v1::Model& b) { return a.name() < b.name(); });
}

void FillStats(const AdminContext& context, const std::string& lane_name,
               v1::GetStatsResponse* response) {
  const absl::Time now = context.clock->Now();
  for (size_t i = 0; i < context.meters->size(); ++i) {
    v1::LaneStats* lane = response->add_lanes();
    lane->set_name(lane_name);
    lane->set_load_ratio(context.engine->admission().load(static_cast<int>(i)));
    const StepMeter::Reading reading = (*context.meters)[i].Read(now);
    FillStages(*context.engine, reading, lane);
    FillSlots(*context.engine, static_cast<int>(i), lane);
    if (reading.last_step) SetDuration(now - *reading.last_step, lane->mutable_idle_duration());
  }
  for (const StreamReport& report : context.streams->Report(now)) {
    FillStream(report, response->add_streams());
    if (report.lane < 0) continue;
    v1::LaneStats* lane = response->mutable_lanes(report.lane);
    lane->set_session_count(lane->session_count() + 1);
    lane->set_outbox_bytes(lane->outbox_bytes() + report.outbox_bytes);
  }
}

}  // namespace firstbyte
