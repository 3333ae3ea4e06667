#include "bench/random_waypoint.h"

#include <filesystem>
#include <fstream>
#include <set>

#include "gtest/gtest.h"
#include "model/registry/registry.h"
#include "tests/model/cuda/emulated_device.h"

namespace firstbyte {
namespace {

class RandomWaypointTest : public testing::Test {
 protected:
  RandomWaypointTest() : folder_(testing::TempDir() + "/waypoint-XXXXXX") {
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
  }
  ~RandomWaypointTest() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
};

TEST_F(RandomWaypointTest, ShowsWhatThePublishedWorldsDo) {
  for (const auto& [size, height] : {std::pair("720p", 720), std::pair("360p", 360)}) {
    std::ofstream(folder_ + "/config.yaml") << *WaypointConfig(size);
    const absl::StatusOr<ModelInfo> info = DescribeModelFolder(folder_, {});
    ASSERT_TRUE(info.ok()) << info.status();
    EXPECT_EQ(info->world->height, height);
    EXPECT_EQ(info->world->width, height / 9 * 16);
    EXPECT_EQ(info->world->frames_per_second, 60);
    // 17 frames of 24 layers with keys and values of 1024 floats for each of their tokens.
    EXPECT_EQ(info->slot_bytes, int64_t{17} * 24 * 2 * 1024 * 4 * (height == 720 ? 512 : 128));
  }
  EXPECT_FALSE(WaypointConfig("1080p").ok());
}

TEST_F(RandomWaypointTest, OpensAndPlaysOnAGpu) {
  ASSERT_TRUE(WriteRandomWaypoint("tiny", folder_).ok());
  auto lanes = OpenModelFolder(
      folder_, {.slots = 1, .max_batch = 1, .gpu = cuda::GpuOptions{&cuda::EmulatedPlugin()}});
  ASSERT_TRUE(lanes.ok()) << lanes.status();
  Model* model = lanes->front().get();
  auto session = model->Open({});
  ASSERT_TRUE(session.ok() && (*session)->Push(BlockActions{}).ok());
  Session* const player = session->get();
  for (Stage stage : {Stage::kGenerate, Stage::kGenerate, Stage::kGenerate, Stage::kGenerate,
                      Stage::kDecode, Stage::kCommit}) {
    StepReport report;
    const absl::Status status = model->Wait(model->Submit(stage, {&player, 1}, 4), &report);
    ASSERT_TRUE(status.ok() && report.session_status[0].ok()) << status;
  }
  const std::vector<uint8_t> frames = player->Take().frames;
  EXPECT_GT(std::set<uint8_t>(frames.begin(), frames.end()).size(), 20u) << "a flat picture";
}

}  // namespace
}  // namespace firstbyte
