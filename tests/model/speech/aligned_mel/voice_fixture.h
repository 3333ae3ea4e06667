// The embedded voice and its golden values, once for each instruction set of this machine.
#pragma once

#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "model/io/safetensors.h"
#include "model/speech/aligned_mel/aligned_mel.h"

namespace firstbyte::aligned_mel {

// FIRSTBYTE_TEST_MODEL and FIRSTBYTE_TEST_GOLDEN replace the committed ones (see
// tools/fixtures/aligned_mel.py).
inline std::string FromEnvironment(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}
inline std::string ModelFolder() {
  return FromEnvironment("FIRSTBYTE_TEST_MODEL",
                         std::string(FIRSTBYTE_SOURCE_DIR) + "/models/aligned-mel-en");
}
inline std::string GoldenFile() {
  return FromEnvironment("FIRSTBYTE_TEST_GOLDEN", std::string(FIRSTBYTE_SOURCE_DIR) +
                                                      "/tests/golden/aligned_mel.safetensors");
}

// One case of the golden file.
struct GoldenCase {
  struct Clause {
    std::string text;
    ClausePhones phones;
    std::vector<float> ends, conditions, features;
  };
  double speaking_rate = 1;
  uint64_t seed = 0;
  std::vector<Clause> clauses;
  std::vector<float> samples;

  SessionSpec spec() const { return {.voice = "", .seed = seed, .speaking_rate = speaking_rate}; }
};

inline std::vector<float> Tensor(const SafeTensors& file, const std::string& name) {
  auto found = file.tensors().find(name);
  if (found == file.tensors().end()) return {};
  std::vector<float> values(found->second.elements());
  WidenToFloat(found->second, values.data());
  return values;
}

inline GoldenCase LoadGolden(const std::string& name) {
  auto file = SafeTensors::Open(GoldenFile());
  if (!file.ok()) return {};
  const auto& metadata = file->metadata();
  GoldenCase golden;
  golden.samples = Tensor(*file, name + ".samples");
  if (!absl::SimpleAtoi(metadata.at(name + ".seed"), &golden.seed) ||
      !absl::SimpleAtod(metadata.at(name + ".speaking_rate"), &golden.speaking_rate)) {
    return {};
  }
  for (const std::string& text :
       std::vector<std::string>(absl::StrSplit(metadata.at(name + ".texts"), '\n'))) {
    const std::string prefix = name + "." + std::to_string(golden.clauses.size()) + ".";
    GoldenCase::Clause clause;
    clause.text = text;
    for (float phone : Tensor(*file, prefix + "phones")) {
      clause.phones.phones.push_back(static_cast<int>(phone));
    }
    std::vector<float> flags = Tensor(*file, prefix + "flags");
    clause.phones.flags.resize(clause.phones.phones.size());
    for (size_t i = 0; i < flags.size(); ++i)
      clause.phones.flags[i / kFlags][i % kFlags] = flags[i];
    clause.ends = Tensor(*file, prefix + "ends");
    clause.conditions = Tensor(*file, prefix + "conditions");
    clause.features = Tensor(*file, prefix + "features");
    golden.clauses.push_back(std::move(clause));
  }
  return golden;
}

// Loaded once for the process.
inline std::shared_ptr<const Voice> LoadVoice(kernels::Isa isa) {
  static auto* loaded = new std::map<kernels::Isa, std::shared_ptr<const Voice>>;
  auto& voice = (*loaded)[isa];
  if (voice == nullptr) {
    auto result = Voice::Load(ModelFolder(), kernels::Kernels(isa));
    EXPECT_TRUE(result.ok()) << result.status();
    if (result.ok()) voice = *result;
  }
  return voice;
}

inline std::unique_ptr<AlignedMel> NewModel(std::shared_ptr<const Voice> voice,
                                            const LaneSize& size) {
  auto model = AlignedMel::Create(std::move(voice), size);
  EXPECT_TRUE(model.ok()) << model.status();
  return *std::move(model);
}

inline std::unique_ptr<Prepared> PreparedOf(const GoldenCase::Clause& clause) {
  return std::make_unique<PreparedClause>(clause.phones);
}

class VoiceTest : public testing::TestWithParam<kernels::Isa> {
 protected:
  void SetUp() override {
    if (!kernels::Supported(GetParam())) GTEST_SKIP() << "not on this machine";
    voice_ = LoadVoice(GetParam());
    ASSERT_NE(voice_, nullptr);
  }

  std::unique_ptr<AlignedMel> NewModel(LaneSize size = {.slots = 8, .max_batch = 8}) const {
    return aligned_mel::NewModel(voice_, size);
  }

  std::shared_ptr<const Voice> voice_;
};

// One step, which must succeed for every session.
inline void Step(Model* model, Stage stage, std::vector<Session*> batch, int frames = 1) {
  StepReport report;
  absl::Status status = model->Wait(model->Submit(stage, batch, frames), &report);
  ASSERT_TRUE(status.ok()) << status;
  for (const absl::Status& each : report.session_status) ASSERT_TRUE(each.ok()) << each;
}

// Runs one session to its end, stage by stage, and returns its samples.
inline std::vector<float> Finish(Model* model, Session* session, int decode_frames = 1) {
  std::vector<float> samples;
  for (Work work = session->work(); work.any(); work = session->work()) {
    Stage stage = work.decode_frames >= decode_frames || (!work.generate && !work.prefill)
                      ? Stage::kDecode
                  : work.generate ? Stage::kGenerate
                                  : Stage::kPrefill;
    Step(model, stage, {session}, decode_frames);
    if (testing::Test::HasFatalFailure()) return {};
    Output output = session->Take();
    EXPECT_EQ(output.start_sample, static_cast<int64_t>(samples.size()));
    samples.insert(samples.end(), output.samples.begin(), output.samples.end());
  }
  return samples;
}

inline auto AllIsas() {
  return testing::Values(kernels::Isa::kGeneric, kernels::Isa::kAvx2, kernels::Isa::kAvx512);
}
inline std::string NameOfIsa(const testing::TestParamInfo<kernels::Isa>& info) {
  return std::string(kernels::IsaName(info.param));
}

}  // namespace firstbyte::aligned_mel
