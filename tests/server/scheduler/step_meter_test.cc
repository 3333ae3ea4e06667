#include "server/scheduler/step_meter.h"

#include "gtest/gtest.h"

namespace firstbyte {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1000);

class StepMeterTest : public testing::Test {
 protected:
  void Add(Stage stage, int sessions, double end, absl::Duration took) {
    const std::vector<uint64_t> ids(sessions);
    const absl::Time time = kStart + absl::Seconds(end);
    meter_.Add({.info = info_, .stage = stage, .sessions = ids, .begin = time - took, .end = time});
  }

  ModelInfo info_;
  StepMeter meter_{kStart};
};

TEST_F(StepMeterTest, SumsUpByStage) {
  Add(Stage::kGenerate, 4, 0.5, absl::Milliseconds(2));
  Add(Stage::kDecode, 1, 0.6, absl::Milliseconds(3));
  Add(Stage::kGenerate, 2, 3.5, absl::Milliseconds(4));
  const StepMeter::Reading reading = meter_.Read(kStart + absl::Seconds(4));
  EXPECT_EQ(reading.window, absl::Seconds(4));
  EXPECT_EQ(reading.last_step, kStart + absl::Seconds(3.5));
  ASSERT_EQ(reading.stages.size(), 2u);
  const StepMeter::StageSteps& generate = reading.stages[0];
  EXPECT_EQ(generate.stage, Stage::kGenerate);
  EXPECT_EQ(generate.steps, 2);
  EXPECT_EQ(generate.mean_batch(), 3);
  EXPECT_EQ(generate.mean_step(), absl::Milliseconds(3));
  EXPECT_EQ(generate.longest, absl::Milliseconds(4));
  EXPECT_EQ(reading.stages[1].busy, absl::Milliseconds(3));
}

TEST_F(StepMeterTest, ForgetsWhatIsOlderThanTheWindow) {
  Add(Stage::kGenerate, 1, 0.5, absl::Milliseconds(1));
  Add(Stage::kGenerate, 2, 9.5, absl::Milliseconds(1));
  EXPECT_EQ(meter_.Read(kStart + absl::Seconds(9.9)).stages[0].steps, 2);
  const StepMeter::Reading later = meter_.Read(kStart + absl::Seconds(10.25));
  EXPECT_EQ(later.window, absl::Seconds(9.25));
  EXPECT_EQ(later.stages.at(0).sessions, 2);
  Add(Stage::kGenerate, 5, 10.5, absl::Milliseconds(1));  // where the first second was
  EXPECT_EQ(meter_.Read(kStart + absl::Seconds(11)).stages.at(0).sessions, 7);
  EXPECT_TRUE(meter_.Read(kStart + absl::Hours(1)).stages.empty());
  EXPECT_EQ(meter_.Read(kStart + absl::Hours(1)).last_step, kStart + absl::Seconds(10.5));
}

TEST_F(StepMeterTest, NothingHappenedYet) {
  EXPECT_TRUE(meter_.Read(kStart).stages.empty());
  EXPECT_FALSE(meter_.Read(kStart).last_step.has_value());
}

}  // namespace
}  // namespace firstbyte
