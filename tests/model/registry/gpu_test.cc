// Families opened on GPUs, which are emulated.
#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/registry/registry.h"
#include "model/world/waypoint/gpu_waypoint.h"
#include "tests/model/cuda/emulated_device.h"

namespace firstbyte {
namespace {

using testing::HasSubstr;

constexpr char kGolden[] = FIRSTBYTE_SOURCE_DIR "/tests/golden/";

ModelOptions OnGpus(std::vector<int> gpus, cuda::GpuOptions with = {}) {
  with.plugin = &cuda::EmulatedPlugin();
  with.gpus = std::move(gpus);
  return {.lanes = 3, .slots = 2, .max_batch = 2, .gpu = with};
}

Stage NextStage(const Work& work) {
  return work.prefill             ? Stage::kPrefill
         : work.generate          ? Stage::kGenerate
         : work.decode_frames > 0 ? Stage::kDecode
                                  : Stage::kCommit;
}

// The pictures of a first block.
std::vector<uint8_t> Play(Model* model) {
  auto scene = model->Prepare({});
  EXPECT_TRUE(scene.ok()) << scene.status();
  auto opened = model->Open({.scene = *std::move(scene)});
  EXPECT_TRUE(opened.ok()) << opened.status();
  Session* session = opened->get();
  std::vector<uint8_t> frames;
  for (bool acted = false; frames.empty();) {
    const Work work = session->work();
    if (!work.any()) {
      EXPECT_FALSE(std::exchange(acted, true));
      EXPECT_TRUE(session->Push(BlockActions{}).ok());
      continue;
    }
    StepReport report;
    const absl::Status status =
        model->Wait(model->Submit(NextStage(work), {&session, 1}, 1), &report);
    EXPECT_TRUE(status.ok() && report.session_status[0].ok()) << status;
    if (!status.ok()) break;
    frames = session->Take().frames;
  }
  return frames;
}

TEST(OnGpus, AFamilyIsOpenedOnceForEachLaneAndPlays) {
  const std::string folder = std::string(kGolden) + "state_dit_tiny";
  auto lanes = OpenModelFolder(folder, OnGpus({0, 1}));
  ASSERT_TRUE(lanes.ok()) << lanes.status();
  ASSERT_EQ(lanes->size(), 3u);
  auto described = DescribeModelFolder(folder, OnGpus({0, 1}));
  ASSERT_TRUE(described.ok()) << described.status();
  std::vector<uint8_t> played = Play(lanes->front().get());
  EXPECT_EQ(played.size(), 64u * 64 * 3);
  for (const auto& lane : *lanes) {
    described->version = lane->info().version;
    EXPECT_EQ(*described, lane->info());
    EXPECT_EQ(lane->info().steps_under_way, 2) << "as a device of its own has";
    EXPECT_EQ(Play(lane.get()), played);
  }
  auto eager = OpenModelFolder(folder, OnGpus({1}, {.mode = cuda::GraphMode::kEager}));
  ASSERT_TRUE(eager.ok()) << eager.status();
  EXPECT_EQ(Play(eager->front().get()), played);
}

TEST(OnGpus, WaypointPlaysInItsNumbers) {
  const std::string folder = std::string(kGolden) + "waypoint-tiny";
  for (cuda::Number number : {cuda::Number::kF32, cuda::Number::kTf32, cuda::Number::kBf16}) {
    auto lanes = OpenModelFolder(folder, OnGpus({0}, {.number = number}));
    ASSERT_TRUE(lanes.ok()) << lanes.status();
    EXPECT_EQ(Play(lanes->front().get()).size(), 4u * 256 * 128 * 3);
  }
  const absl::Status refused =
      OpenModelFolder(folder, OnGpus({0}, {.number = cuda::Number::kF16})).status();
  EXPECT_THAT(std::string(refused.message()), HasSubstr("waypoint-1.5 do not run in fp16"));
  ModelOptions fitting = OnGpus({0});
  fitting.lanes = 1;
  fitting.slots = 0;
  auto lanes = OpenModelFolder(folder, fitting);
  ASSERT_TRUE(lanes.ok()) << lanes.status();
  EXPECT_EQ(lanes->front()->info().slots, waypoint::GpuLaneSize().slots);
}

// All samples of a clause.
std::vector<float> Say(Model* model, const std::string& text) {
  auto clause = model->Prepare({.text = text});
  EXPECT_TRUE(clause.ok()) << clause.status();
  auto opened = model->Open({.voice = model->info().voices[0].name});
  EXPECT_TRUE(opened.ok()) << opened.status();
  Session* session = opened->get();
  EXPECT_TRUE(session->Push(*std::move(clause)).ok());
  EXPECT_TRUE(session->Push(EndOfInput{}).ok());
  std::vector<float> samples;
  for (Work work = session->work(); work.any(); work = session->work()) {
    StepReport report;
    const absl::Status status =
        model->Wait(model->Submit(NextStage(work), {&session, 1}, 1), &report);
    EXPECT_TRUE(status.ok() && report.session_status[0].ok()) << status;
    if (!status.ok()) break;
    const Output output = session->Take();
    samples.insert(samples.end(), output.samples.begin(), output.samples.end());
  }
  return samples;
}

TEST(OnGpus, TheVoiceIsOpenedAndSpeaks) {
  const std::string folder = FIRSTBYTE_SOURCE_DIR "/models/aligned-mel-en";
  auto lanes = OpenModelFolder(folder, OnGpus({0, 1}));
  ASSERT_TRUE(lanes.ok()) << lanes.status();
  auto described = DescribeModelFolder(folder, OnGpus({0, 1}));
  ASSERT_TRUE(described.ok()) << described.status();
  const std::vector<float> said = Say(lanes->front().get(), "No.");
  EXPECT_GT(said.size(), 16000u / 10);
  for (const auto& lane : *lanes) {
    described->version = lane->info().version;
    EXPECT_EQ(*described, lane->info());
    EXPECT_EQ(Say(lane.get(), "No."), said);
  }
  auto narrow = OpenModelFolder(folder, OnGpus({0}, {.number = cuda::Number::kBf16}));
  ASSERT_TRUE(narrow.ok()) << narrow.status();
  EXPECT_EQ(Say(narrow->front().get(), "No.").size(), said.size());
  EXPECT_LT(narrow->front()->info().slot_bytes, described->slot_bytes * 0.6);
}

TEST(OnGpus, TheWorldPlaysInEveryNumber) {
  const std::string folder = std::string(kGolden) + "state_dit_tiny";
  for (const char* name : {"fp32", "tf32", "fp16", "bf16"}) {
    const cuda::Number number = *cuda::NumberNamed(name);
    auto lanes = OpenModelFolder(folder, OnGpus({0}, {.number = number}));
    ASSERT_TRUE(lanes.ok()) << name << lanes.status();
    EXPECT_EQ(Play(lanes->front().get()).size(), 64u * 64 * 3);
    EXPECT_EQ(lanes->front()->info().slot_bytes, 45 * 1024 * cuda::BytesOf(number)) << name;
  }
}

TEST(OnGpus, NumbersThatAFamilyDoesNotHaveAreRefusedByName) {
  const cuda::Number has[] = {cuda::Number::kF32, cuda::Number::kTf32};
  EXPECT_TRUE(cuda::RequireNumber(cuda::Number::kTf32, has, "x").ok());
  const absl::Status refused = cuda::RequireNumber(cuda::Number::kF16, has, "x");
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(DetailOf(refused).reason, "NOT_SUPPORTED");
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("family x do not run in fp16: use --dtype fp32 or tf32"));
  EXPECT_EQ(cuda::NumberNamed("fp8"), std::nullopt);
}

class SmallGpus : public testing::Test {
 protected:
  static constexpr int64_t kFreeBytes = 4 << 20;
  SmallGpus() { cuda::SetEmulatedFreeBytes(kFreeBytes); }
  ~SmallGpus() override { cuda::SetEmulatedFreeBytes(cuda::Emulation::kFreeBytes); }

  const std::string folder_ = std::string(kGolden) + "state_dit_tiny";
};

TEST_F(SmallGpus, HaveTheSlotsThatFit) {
  ModelOptions options = OnGpus({0, 1});  // three lanes, so the first has two of them
  options.slots = 0;
  auto lanes = OpenModelFolder(folder_, options);
  ASSERT_TRUE(lanes.ok()) << lanes.status();
  auto described = DescribeModelFolder(folder_, options);
  ASSERT_TRUE(described.ok()) << described.status();
  for (const auto& lane : *lanes) {
    const ModelInfo& info = lane->info();
    EXPECT_EQ(info.slots, kFreeBytes / 4 * 3 / 2 / info.slot_bytes);
    EXPECT_EQ(info.slots, described->slots);
    EXPECT_FALSE(Play(lane.get()).empty());
  }
}

TEST_F(SmallGpus, RefuseMoreThanFitsAndLeaveNothing) {
  ModelOptions options = OnGpus({1, 0});
  options.slots = 1000;
  const absl::Status refused = OpenModelFolder(folder_, options).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(DetailOf(refused).reason, "GPU_MEMORY");
  EXPECT_THAT(std::string(refused.message()),
              testing::AllOf(HasSubstr("GPU 1 has no room for model 'tiny' with 1000 slots"),
                             HasSubstr("--max-streams")));
  EXPECT_THAT(cuda::OpenEmulatedDevices(), testing::IsEmpty());
}

TEST(OnGpus, AGpuThatIsNotThereIsNamed) {
  const absl::Status refused =
      OpenModelFolder(std::string(kGolden) + "state_dit_tiny", OnGpus({0, 7})).status();
  EXPECT_EQ(DetailOf(refused).reason, "NO_GPU");
}

}  // namespace
}  // namespace firstbyte
