// Holds a scripted model up in a step of one stage, for as long as a test wants.
#pragma once

#include <functional>

#include "base/mutex.h"
#include "model/model.h"

namespace firstbyte {

// Thread-safe.
class StepGate {
 public:
  // For ScriptedOptions::on_step. Outlived by the gate.
  std::function<absl::Status(Stage, int)> on_step();

  // The next step of `stage` waits in the gate.
  void Arm(Stage stage);
  void WaitUntilReached();
  void Open();

 private:
  absl::Status Pass(Stage stage);

  Mutex mu_;
  CondVar changed_;
  bool armed_ ABSL_GUARDED_BY(mu_) = false;
  bool reached_ ABSL_GUARDED_BY(mu_) = false;
  bool open_ ABSL_GUARDED_BY(mu_) = false;
  Stage stage_ ABSL_GUARDED_BY(mu_) = Stage::kPrefill;
};

}  // namespace firstbyte
