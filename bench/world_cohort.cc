#include "bench/world_cohort.h"

#include <cstdio>
#include <cstdlib>

namespace firstbyte {
namespace {

constexpr int kWarmUp = 14;  // blocks: more than a window

}  // namespace

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "world_bench: %s\n", status.ToString().c_str());
  std::exit(1);
}

Cohort::Cohort(state_dit::StateDit* model, int batch) : model_(model) {
  for (int i = 0; i < batch; ++i) {
    auto session = model_->Open({.seed = static_cast<uint64_t>(i) + 1});
    Check(session.status());
    raw_.push_back(session->get());
    sessions_.push_back(*std::move(session));
  }
  Step(Stage::kPrefill);
  for (int i = 0; i < kWarmUp; ++i) {
    Act();
    Make();
    Commit();
  }
}

void Cohort::Act() {
  BlockActions actions;
  actions.keys[0] = true;
  actions.pointer_dx = 0.1f;
  for (Session* session : raw_) Check(session->Push(actions));
}

void Cohort::Step(Stage stage) {
  StepReport report;
  Check(model_->Wait(model_->Submit(stage, raw_, 1), &report));
  for (const absl::Status& status : report.session_status) Check(status);
}

void Cohort::Make() {
  while (first()->work().generate) Step(Stage::kGenerate);
  Step(Stage::kDecode);
  TakeAll();
}

void Cohort::TakeAll() {
  for (Session* session : raw_) session->Take();
}

}  // namespace firstbyte
