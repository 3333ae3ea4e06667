// The tiny world (tools/fixtures/state_dit.py) and what drives its sessions, once for each
// instruction set of this machine.
#pragma once

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "model/io/safetensors.h"
#include "model/world/state_dit/state_dit.h"

namespace firstbyte::state_dit {

// FIRSTBYTE_TEST_GOLDEN_DIR replaces it where tests are carried elsewhere (tools/gpu_bundle).
inline std::string GoldenFolder() {
  const char* elsewhere = std::getenv("FIRSTBYTE_TEST_GOLDEN_DIR");
  return elsewhere != nullptr ? elsewhere : std::string(FIRSTBYTE_SOURCE_DIR) + "/tests/golden";
}
inline std::string TinyFolder() { return GoldenFolder() + "/state_dit_tiny"; }

// Named tensors of a golden file.
class Golden {
 public:
  static Golden Read(const std::string& path) {
    Golden golden;
    auto file = SafeTensors::Open(path);
    EXPECT_TRUE(file.ok()) << file.status();
    if (!file.ok()) return golden;
    golden.metadata_ = file->metadata();
    for (const auto& [name, view] : file->tensors()) {
      std::vector<float>& values = golden.tensors_[name];
      values.resize(view.elements());
      WidenToFloat(view, values.data());
    }
    return golden;
  }
  std::string metadata(const std::string& name) const {
    auto found = metadata_.find(name);
    EXPECT_NE(found, metadata_.end()) << name;
    return found == metadata_.end() ? "" : found->second;
  }
  // Row `row` of a tensor of `rows`.
  std::vector<float> Row(const std::string& name, int row, int rows) const {
    const std::vector<float> all = (*this)[name];
    const size_t size = all.size() / rows;
    return {all.begin() + row * size, all.begin() + (row + 1) * size};
  }
  std::vector<float> operator[](const std::string& name) const {
    auto found = tensors_.find(name);
    EXPECT_NE(found, tensors_.end()) << name;
    return found == tensors_.end() ? std::vector<float>() : found->second;
  }

 private:
  std::map<std::string, std::vector<float>> tensors_;
  std::map<std::string, std::string> metadata_;
};

// Loaded once for the process.
inline std::shared_ptr<const World> LoadWorld(const std::string& folder, kernels::Isa isa) {
  static auto* loaded =
      new std::map<std::pair<std::string, kernels::Isa>, std::shared_ptr<const World>>;
  auto& world = (*loaded)[{folder, isa}];
  if (world == nullptr) {
    auto result = World::Load(folder, kernels::Kernels(isa));
    EXPECT_TRUE(result.ok()) << result.status();
    if (result.ok()) world = *result;
  }
  return world;
}

inline std::unique_ptr<StateDit> NewModel(std::shared_ptr<const World> world,
                                          LaneSize size = {.slots = 8, .max_batch = 8}) {
  auto model = StateDit::Create(std::move(world), size);
  EXPECT_TRUE(model.ok()) << model.status();
  return *std::move(model);
}

inline std::shared_ptr<const Prepared> PreparedScene(const Model& model,
                                                     const RawInput& input = {}) {
  auto prepared = model.Prepare(input);
  EXPECT_TRUE(prepared.ok()) << prepared.status();
  return *std::move(prepared);
}

inline BlockActions ActionsOf(const float* numbers) {  // [7]: keys, pointer
  BlockActions actions;
  for (int key = 0; key < kKeys; ++key) actions.keys[key] = numbers[key] > 0;
  actions.pointer_dx = numbers[kKeys];
  return actions;
}

// One step, which must succeed for every session.
inline void Step(Model* model, Stage stage, std::vector<Session*> batch) {
  StepReport report;
  absl::Status status = model->Wait(model->Submit(stage, batch, 1), &report);
  ASSERT_TRUE(status.ok()) << status;
  for (const absl::Status& each : report.session_status) ASSERT_TRUE(each.ok()) << each;
}

// The stage that a session wants next.
inline Stage NextStage(const Work& work) {
  return work.prefill             ? Stage::kPrefill
         : work.generate          ? Stage::kGenerate
         : work.decode_frames > 0 ? Stage::kDecode
                                  : Stage::kCommit;
}

// Runs what is wanted until the next block boundary, and returns the block if one was made.
inline Output Settle(Model* model, Session* session) {
  Output block;
  for (Work work = session->work(); work.any(); work = session->work()) {
    Step(model, NextStage(work), {session});
    if (testing::Test::HasFatalFailure()) return block;
    Output output = session->Take();
    if (output.block >= 0) block = std::move(output);
  }
  return block;
}

class WorldTest : public testing::TestWithParam<kernels::Isa> {
 protected:
  void SetUp() override {
    if (!kernels::Supported(GetParam())) GTEST_SKIP() << "not on this machine";
    world_ = LoadWorld(TinyFolder(), GetParam());
    ASSERT_NE(world_, nullptr);
  }

  std::shared_ptr<const World> world_;
};

inline auto AllIsas() {
  return testing::Values(kernels::Isa::kGeneric, kernels::Isa::kAvx2, kernels::Isa::kAvx512);
}
inline std::string NameOfIsa(const testing::TestParamInfo<kernels::Isa>& info) {
  return std::string(kernels::IsaName(info.param));
}

}  // namespace firstbyte::state_dit
