// Families opened on GPUs, which are emulated.
#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/registry/registry.h"
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
}

TEST(OnGpus, NumbersThatAFamilyDoesNotHaveAreRefusedByName) {
  const ModelOptions options = OnGpus({0}, {.number = cuda::Number::kF16});
  for (const absl::Status& refused :
       {OpenModelFolder(std::string(kGolden) + "state_dit_tiny", options).status(),
        DescribeModelFolder(std::string(kGolden) + "state_dit_tiny", options).status()}) {
    EXPECT_EQ(DetailOf(refused).reason, "NOT_SUPPORTED");
    EXPECT_THAT(std::string(refused.message()),
                HasSubstr("state_dit do not run in fp16: use --dtype fp32 or tf32"));
  }
}

TEST(OnGpus, AFamilyWithoutAnEngineForThemIsRefusedByName) {
  const absl::Status refused =
      OpenModelFolder(std::string(kGolden) + "waypoint-tiny", OnGpus({0})).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("--device cpu"));
}

TEST(OnGpus, AGpuThatIsNotThereIsNamed) {
  const absl::Status refused =
      OpenModelFolder(std::string(kGolden) + "state_dit_tiny", OnGpus({0, 7})).status();
  EXPECT_EQ(DetailOf(refused).reason, "NO_GPU");
}

}  // namespace
}  // namespace firstbyte
