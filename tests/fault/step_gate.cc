#include "tests/fault/step_gate.h"

namespace firstbyte {

std::function<absl::Status(Stage, int)> StepGate::on_step() {
  return [this](Stage stage, int) { return Pass(stage); };
}

void StepGate::Arm(Stage stage) {
  MutexLock lock(&mu_);
  armed_ = true;
  reached_ = open_ = false;
  stage_ = stage;
}

void StepGate::WaitUntilReached() {
  MutexLock lock(&mu_);
  while (!reached_) changed_.Wait(&mu_);
}

void StepGate::Open() {
  MutexLock lock(&mu_);
  armed_ = false;
  open_ = true;
  changed_.NotifyAll();
}

absl::Status StepGate::Pass(Stage stage) {
  MutexLock lock(&mu_);
  if (!armed_ || stage != stage_) return absl::OkStatus();
  reached_ = true;
  changed_.NotifyAll();
  while (!open_) changed_.Wait(&mu_);
  return absl::OkStatus();
}

}  // namespace firstbyte
