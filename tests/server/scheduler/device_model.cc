#include "tests/server/scheduler/device_model.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using Foresight = DeviceOptions::Foresight;

void Append(Output from, Output* to) {
  if (to->samples.empty() && to->frames.empty() && to->markers.empty()) {
    *to = std::move(from);
    return;
  }
  EXPECT_TRUE(from.frames.empty()) << "two blocks at once";
  to->samples.insert(to->samples.end(), from.samples.begin(), from.samples.end());
  to->markers.insert(to->markers.end(), from.markers.begin(), from.markers.end());
}

}  // namespace

absl::Time FakeDevice::Run(absl::Duration cost) {
  const absl::Time begin = std::max(free_.value_or(clock_->Now()), clock_->Now());
  if (free_) idle_ += begin - *free_;
  free_ = begin + cost;
  return *free_;
}

void FakeDevice::WaitUntil(absl::Time end) {
  clock_->Advance(std::max(absl::ZeroDuration(), end - clock_->Now()));
}

class DeviceSession : public Session {
 public:
  DeviceSession(DeviceModel* model, std::unique_ptr<Session> session)
      : model_(model), session_(std::move(session)) {
    model_->sessions_.insert(this);
  }
  ~DeviceSession() override {
    EXPECT_EQ(under_way_, 0) << "destroyed while it takes part in a step";
    model_->sessions_.erase(this);
  }

  absl::Status Push(Input input) override {
    EXPECT_FALSE(poisoned_);
    EXPECT_FALSE(world() && under_way_ > 0) << "not at a block boundary";
    return session_->Push(std::move(input));
  }

  Work work() const override {
    Work work = session_->work();
    work.done = work.done && under_way_ == 0 && ready_.samples.empty() && ready_.markers.empty();
    if (under_way_ == 0) return work;
    work.wants_block = false;
    if (foresight() == Foresight::kNone) {
      work.prefill = work.generate = work.commit = false;
      work.decode_frames = 0;
    }
    if (foresight() == Foresight::kLate && !world()) work.generate |= generates_on_;
    return work;
  }

  Output Take() override {
    EXPECT_FALSE(poisoned_);
    if (under_way_ == 0) Append(session_->Take(), &ready_);
    return std::exchange(ready_, {});
  }

  absl::StatusOr<std::string> Save() const override {
    EXPECT_EQ(under_way_, 0) << "saved while it takes part in a step";
    return session_->Save();
  }

 private:
  friend class DeviceModel;

  bool world() const { return model_->info().world.has_value(); }
  Foresight foresight() const { return model_->options_.foresight; }

  DeviceModel* const model_;
  const std::unique_ptr<Session> session_;
  int under_way_ = 0, decodes_under_way_ = 0;
  bool failed_ = false, poisoned_ = false;  // poisoned: and somebody was told
  bool generates_on_ = false;               // when the last step that was waited for had ended
  Output ready_;
};

DeviceModel::DeviceModel(std::unique_ptr<Model> model, FakeDevice* device, DeviceOptions options)
    : model_(std::move(model)),
      device_(device),
      options_(std::move(options)),
      info_(model_->info()) {
  info_.steps_under_way = options_.steps_under_way;
}

DeviceModel::~DeviceModel() {
  EXPECT_TRUE(steps_.empty()) << "a step was not waited for";
  EXPECT_TRUE(sessions_.empty());
}

absl::StatusOr<std::unique_ptr<Session>> DeviceModel::Open(const SessionSpec& spec) {
  auto session = model_->Open(spec);
  if (!session.ok()) return session.status();
  return std::make_unique<DeviceSession>(this, *std::move(session));
}

Ticket DeviceModel::Submit(Stage stage, absl::Span<Session* const> batch, int frames) {
  Step step{.ticket = ++ticket_, .stage = stage};
  std::set<Session*> all;
  for (Session* each : batch) {
    auto* session = static_cast<DeviceSession*>(each);
    EXPECT_TRUE(all.insert(session).second) << "twice in a step";
    EXPECT_FALSE(session->poisoned_);
    EXPECT_TRUE(CanRun(session->work(), stage)) << "no " << std::string(StageName(stage));
    step.parts.push_back({.session = session});
  }
  if (lost_.ok()) RunNow(stage, frames, &step);
  if (!lost_.ok()) step.status = lost_;
  for (Part& part : step.parts) {
    ++part.session->under_way_;
    part.session->decodes_under_way_ += stage == Stage::kDecode;
    part.generates_on = part.session->session_->work().generate;
    if (step.status.ok()) part.output = part.session->session_->Take();
  }
  step.end = device_->Run(options_.cost());
  steps_.push_back(std::move(step));
  most_under_way_ = std::max(most_under_way_, static_cast<int>(steps_.size()));
  EXPECT_LE(most_under_way_, options_.steps_under_way);
  return ticket_;
}

// Those who turn out to have nothing to do are left out.
void DeviceModel::RunNow(Stage stage, int frames, Step* step) {
  std::vector<Session*> batch;
  std::vector<Part*> parts;
  for (Part& part : step->parts) {
    Session* session = part.session->session_.get();
    if (part.session->failed_ || !CanRun(session->work(), stage)) continue;
    batch.push_back(session);
    parts.push_back(&part);
  }
  if (batch.empty()) return;
  StepReport report;
  step->status = model_->Wait(model_->Submit(stage, batch, frames), &report);
  if (!step->status.ok()) {
    if (!absl::IsResourceExhausted(step->status)) lost_ = step->status;
    return;
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    parts[i]->status = report.session_status[i];
    parts[i]->session->failed_ = !report.session_status[i].ok();
  }
}

absl::Status DeviceModel::Wait(Ticket ticket, StepReport* report) {
  EXPECT_FALSE(steps_.empty());
  EXPECT_EQ(steps_.front().ticket, ticket) << "out of order";
  if (static_cast<int>(steps_.size()) < options_.steps_under_way && CouldRun()) ++idle_waits_;
  Step step = std::move(steps_.front());
  steps_.pop_front();
  device_->WaitUntil(step.end);
  report->session_status.clear();
  for (Part& part : step.parts) {
    DeviceSession& session = *part.session;
    --session.under_way_;
    session.decodes_under_way_ -= step.stage == Stage::kDecode;
    session.generates_on_ = part.generates_on;
    session.poisoned_ |= !part.status.ok();
    if (step.status.ok()) Append(std::move(part.output), &session.ready_);
    report->session_status.push_back(part.status);
  }
  return step.status;
}

bool DeviceModel::CouldRun() const {
  return lost_.ok() && std::any_of(sessions_.begin(), sessions_.end(), [](const auto* session) {
           return !session->failed_ && session->decodes_under_way_ == 0 && session->work().any();
         });
}

}  // namespace firstbyte
