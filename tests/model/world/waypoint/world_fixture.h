// The tiny world and its golden values, once for each instruction set of this machine.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "gtest/gtest.h"
#include "model/io/safetensors.h"
#include "model/world/waypoint/waypoint.h"

namespace firstbyte::waypoint {

// FIRSTBYTE_TEST_GOLDEN_DIR replaces it where tests are carried elsewhere (tools/gpu_bundle).
inline std::string GoldenFolder() {
  const char* elsewhere = std::getenv("FIRSTBYTE_TEST_GOLDEN_DIR");
  return elsewhere != nullptr ? elsewhere : std::string(FIRSTBYTE_SOURCE_DIR) + "/tests/golden";
}
inline std::string TinyFolder() { return GoldenFolder() + "/waypoint-tiny"; }

// A copy of the tiny world, to be damaged.
class WorldFolder {
 public:
  WorldFolder() : path_(testing::TempDir() + "/waypoint-XXXXXX") {
    EXPECT_NE(mkdtemp(path_.data()), nullptr);
    std::filesystem::copy(TinyFolder(), path_);
  }
  ~WorldFolder() { std::filesystem::remove_all(path_); }

  const std::string& path() const { return path_; }
  void Append(const std::string& line) const {
    std::ofstream(path_ + "/config.yaml", std::ios::app) << line << "\n";
  }
  std::string Read(const std::string& file) const {
    std::ifstream in(path_ + "/" + file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void Write(const std::string& file, const std::string& bytes) const {
    std::ofstream(path_ + "/" + file, std::ios::binary) << bytes;
  }
  // In config.yaml.
  void Replace(const std::string& line, const std::string& with) const {
    std::string text = Read("config.yaml");
    const size_t at = text.find("\n" + line + "\n");
    ASSERT_NE(at, std::string::npos) << line;
    Write("config.yaml", text.replace(at + 1, line.size(), with));
  }

 private:
  std::string path_;
};

// tests/golden/waypoint.safetensors: see tools/fixtures/waypoint.py.
class Golden {
 public:
  static const Golden& Get() {
    static const auto* const golden = new Golden;
    return *golden;
  }

  std::vector<float> operator[](const std::string& name) const {
    auto found = file_->tensors().find(name);
    if (found == file_->tensors().end()) {
      ADD_FAILURE() << "no golden value " << name;
      return {};
    }
    std::vector<float> values(found->second.elements());
    WidenToFloat(found->second, values.data());
    return values;
  }
  bool Has(const std::string& name) const { return file_->tensors().count(name) > 0; }
  uint64_t seed() const { return seed_; }

  // What the fixture's player does in block `i`.
  BlockActions Actions(int i) const {
    BlockActions actions;
    actions.pointer_dx = mouse_[2 * i];
    actions.pointer_dy = mouse_[2 * i + 1];
    actions.scroll = scroll_[i];
    for (int k = 0; k < 8; ++k) actions.keys[k] = buttons_[8 * i + k] > 0;
    return actions;
  }

 private:
  Golden() : file_(SafeTensors::Open(GoldenFolder() + "/waypoint.safetensors")) {
    EXPECT_TRUE(absl::SimpleAtoi(file_->metadata().at("seed"), &seed_));
    mouse_ = (*this)["mouse"];
    buttons_ = (*this)["buttons"];
    scroll_ = (*this)["scroll"];
  }

  absl::StatusOr<SafeTensors> file_;
  uint64_t seed_ = 0;
  std::vector<float> mouse_, buttons_, scroll_;
};

// The fixture's picture, 40 x 24.
inline RgbImage Picture() {
  RgbImage image{40, 24, {}};
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      for (int c = 0; c < 3; ++c) {
        image.data.push_back(static_cast<uint8_t>((x * 7 + y * 13 + c * 50) % 256));
      }
    }
  }
  return image;
}

// One step, which must succeed for every session.
inline void Step(Model* model, Stage stage, std::vector<Session*> batch) {
  StepReport report;
  absl::Status status = model->Wait(model->Submit(stage, batch, 16), &report);
  ASSERT_TRUE(status.ok()) << status;
  for (const absl::Status& each : report.session_status) ASSERT_TRUE(each.ok()) << each;
}

inline std::optional<Stage> NextStage(const Session& session) {
  const Work work = session.work();
  if (work.prefill) return Stage::kPrefill;
  if (work.generate) return Stage::kGenerate;
  if (work.decode_frames > 0) return Stage::kDecode;
  if (work.commit) return Stage::kCommit;
  return std::nullopt;
}

// Runs what the session can do by itself: to its next boundary. Returns the block made, if any.
inline Output RunAlone(Model* model, Session* session) {
  Output made;
  while (auto stage = NextStage(*session)) {
    Step(model, *stage, {session});
    if (testing::Test::HasFatalFailure()) break;
    if (Output output = session->Take(); output.block >= 0) made = std::move(output);
  }
  return made;
}

inline Output PlayBlock(Model* model, Session* session, const BlockActions& actions) {
  RunAlone(model, session);
  absl::Status pushed = session->Push(actions);
  EXPECT_TRUE(pushed.ok()) << pushed;
  return RunAlone(model, session);
}

// Blocks first .. first + count - 1 of the fixture's player.
inline std::vector<Output> Play(Model* model, Session* session, int first, int count) {
  std::vector<Output> blocks;
  for (int i = first; i < first + count; ++i) {
    blocks.push_back(PlayBlock(model, session, Golden::Get().Actions(i)));
  }
  return blocks;
}

class WorldTest : public testing::TestWithParam<kernels::Isa> {
 protected:
  void SetUp() override {
    if (!kernels::Supported(GetParam())) GTEST_SKIP() << "not on this machine";
    checkpoint_ = Load(GetParam());
    ASSERT_NE(checkpoint_, nullptr);
  }

  // Loaded once for the process.
  static std::shared_ptr<const Checkpoint> Load(kernels::Isa isa) {
    static auto* loaded = new std::map<kernels::Isa, std::shared_ptr<const Checkpoint>>;
    auto& checkpoint = (*loaded)[isa];
    if (checkpoint == nullptr) {
      auto result = Checkpoint::Load(TinyFolder(), kernels::Kernels(isa));
      EXPECT_TRUE(result.ok()) << result.status();
      if (result.ok()) checkpoint = *result;
    }
    return checkpoint;
  }

  std::unique_ptr<Waypoint> NewModel(LaneSize size = {.slots = 4, .max_batch = 4}) const {
    auto model = Waypoint::Create(checkpoint_, size);
    EXPECT_TRUE(model.ok()) << model.status();
    return *std::move(model);
  }

  static std::unique_ptr<Session> Open(Model* model, uint64_t seed, bool with_picture = false) {
    SessionSpec spec;
    spec.seed = seed;
    if (with_picture) {
      auto scene = model->Prepare({.text = "", .embedding = {}, .image = Picture()});
      EXPECT_TRUE(scene.ok()) << scene.status();
      spec.scene = *std::move(scene);
    }
    auto session = model->Open(spec);
    EXPECT_TRUE(session.ok()) << session.status();
    return *std::move(session);
  }

  static std::unique_ptr<Session> Restore(Model* model, const std::string& state) {
    SessionSpec spec;
    spec.state = std::make_shared<const std::string>(state);
    auto session = model->Open(spec);
    EXPECT_TRUE(session.ok()) << session.status();
    return *std::move(session);
  }

  std::shared_ptr<const Checkpoint> checkpoint_;
};

inline auto AllIsas() {
  return testing::Values(kernels::Isa::kGeneric, kernels::Isa::kAvx2, kernels::Isa::kAvx512);
}
inline std::string NameOfIsa(const testing::TestParamInfo<kernels::Isa>& info) {
  return std::string(kernels::IsaName(info.param));
}

}  // namespace firstbyte::waypoint
