// The family on a GPU, emulated or not, against the golden streams.
#include "model/speech/aligned_mel/gpu_aligned_mel.h"

#include <cmath>
#include <numeric>

#include "tests/model/speech/aligned_mel/device_fixture.h"

namespace firstbyte::aligned_mel {
namespace {

constexpr LaneSize kSize = {.slots = 4, .max_batch = 3};

class GpuAlignedMelTest : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    if (IsSkipped()) return;
    for (const char* name : {"two_clauses", "fast"}) cases_.push_back(LoadGolden(name));
  }

  std::unique_ptr<Model> Open(const LaneSize& size = kSize,
                              cuda::GraphMode mode = cuda::GraphMode::kGraphs,
                              cuda::Number number = cuda::Number::kF32) const {
    std::string why;
    auto model = GpuAlignedMel::Create(voice_, ModelFolder(), NewGpu(&why), size,
                                       {.mode = mode, .number = number});
    EXPECT_TRUE(model.ok()) << model.status();
    return *std::move(model);
  }

  static std::vector<float> Say(Model* model, const GoldenCase& golden, int decode_frames) {
    auto session = model->Open(golden.spec());
    EXPECT_TRUE(session.ok()) << session.status();
    for (const auto& clause : golden.clauses) {
      EXPECT_TRUE((*session)->Push(PreparedOf(clause)).ok());
    }
    EXPECT_TRUE((*session)->Push(EndOfInput{}).ok());
    return Finish(model, session->get(), decode_frames);
  }

  std::vector<GoldenCase> cases_;
};

// Pitch that differs in the last bit moves the phase of the highest harmonics by more than the
// frames differ, so the bar is on the energy of the difference, -60 dB, as it is for the CPU's.
TEST_P(GpuAlignedMelTest, SpeaksTheGoldenStreams) {
  const auto model = Open();
  EXPECT_EQ(model->info().steps_under_way, 2);
  for (const GoldenCase& golden : cases_) {
    const std::vector<float> samples = Say(model.get(), golden, 4);
    ASSERT_EQ(samples.size(), golden.samples.size());
    double difference = 0, energy = 0;
    for (size_t i = 0; i < samples.size(); ++i) {
      difference += std::pow(double{samples[i]} - golden.samples[i], 2);
      energy += std::pow(double{golden.samples[i]}, 2);
    }
    EXPECT_LE(difference, 1e-6 * energy);
  }
}

TEST_P(GpuAlignedMelTest, AStreamIsTheSameWithoutGraphs) {
  const auto graphs = Open(), eager = Open(kSize, cuda::GraphMode::kEager);
  EXPECT_EQ(Say(eager.get(), cases_[1], 4), Say(graphs.get(), cases_[1], 8));
}

// Pitch drifts, so samples cannot be compared one by one; what is heard must be as loud.
TEST_P(GpuAlignedMelTest, SpeaksInNarrowNumbersToo) {
  for (cuda::Number number : {cuda::Number::kF16, cuda::Number::kBf16}) {
    const auto model = Open(kSize, cuda::GraphMode::kGraphs, number);
    const std::vector<float> samples = Say(model.get(), cases_[1], 4);
    ASSERT_EQ(samples.size(), cases_[1].samples.size());
    const auto energy = [](const std::vector<float>& of) {
      return std::inner_product(of.begin(), of.end(), of.begin(), 0.0);
    };
    EXPECT_NEAR(energy(samples) / energy(cases_[1].samples), 1, 0.1);
  }
}

TEST_P(GpuAlignedMelTest, ALaneWithoutSlotsIsRefused) {
  std::string why;
  EXPECT_EQ(
      GpuAlignedMel::Create(voice_, ModelFolder(), NewGpu(&why), {.slots = 0}, {}).status().code(),
      absl::StatusCode::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(On, GpuAlignedMelTest, AllDevices(), NameOfDevice);

}  // namespace
}  // namespace firstbyte::aligned_mel
