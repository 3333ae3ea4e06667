// The acoustic model on a GPU, emulated or not, against the golden frames.
#include "model/speech/aligned_mel/gpu_acoustic.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "tests/model/speech/aligned_mel/device_fixture.h"

namespace firstbyte::aligned_mel {
namespace {

constexpr int kSlots = 5, kMaxBatch = 3;
constexpr int kFrames = 37;  // more than the ring holds
constexpr double kTolerance = 1e-4;

class GpuAcousticTest : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    if (IsSkipped()) return;
    DurationModel::Buffers durations(voice_->durations);
    voice_->durations.Run(phones_, 1, /*first_of_stream=*/true, &durations, &ends_);
    ASSERT_GE(ends_.back() / kStack, kFrames);
  }

  absl::StatusOr<std::unique_ptr<GpuAcoustic>> Open(cuda::GraphMode mode = cuda::GraphMode::kGraphs,
                                                    int slots = kSlots,
                                                    cuda::Number number = cuda::Number::kF32) {
    return WithWeights([&](nn::WeightLoader* weights) {
      return GpuAcoustic::Create(
          gpu_.get(), voice_->config.acoustic, voice_->conditioner, weights,
          {.slots = slots, .max_batch = kMaxBatch, .mode = mode, .number = number});
    });
  }

  // A session that says a clause of `clause_` again and again, each frame of it made of the last.
  struct Speaker {
    int slot, position, frames;  // frames: of the clause, before it begins anew
    std::vector<float> said = std::vector<float>(kFrameFeatures);
  };
  GpuAcoustic::Row RowOf(Speaker* speaker) const {
    if (speaker->position == 0) speaker->said.assign(kFrameFeatures, 0.0f);
    const size_t feedback = speaker->said.size() - kFrameFeatures;
    speaker->said.resize(speaker->said.size() + kFrameFeatures);
    const FrameRow frame = {nullptr, speaker->said.data() + feedback, speaker->slot,
                            speaker->position, &*speaker->said.end() - kFrameFeatures};
    return {frame, phones_, &ends_, 1};
  }

  // What three speakers say, of whom one begins its clause again and one has done so before.
  // `batched`: in one step, else one after the other, two of which are under way.
  std::vector<std::vector<float>> Speak(GpuAcoustic* model, bool batched) {
    std::vector<Speaker> speakers = {{3, 0, 1000}, {0, 0, 9}, {4, 0, 20}};
    std::vector<std::vector<float>> said(speakers.size());
    for (int frame = 0; frame < kFrames; ++frame) {
      std::vector<GpuAcoustic::Row> rows;
      for (Speaker& speaker : speakers) rows.push_back(RowOf(&speaker));
      if (batched) {
        const absl::StatusOr<Ticket> ticket = model->Step(rows);
        EXPECT_TRUE(ticket.ok()) << ticket.status();
        EXPECT_TRUE(model->Finish(*ticket, rows).ok());
      } else {
        const auto first = model->Step({&rows[2], 1}), second = model->Step({&rows[0], 1});
        EXPECT_TRUE(first.ok() && second.ok());
        EXPECT_TRUE(model->Finish(*first, {&rows[2], 1}).ok());
        const auto third = model->Step({&rows[1], 1});
        EXPECT_TRUE(third.ok());
        EXPECT_TRUE(model->Finish(*second, {&rows[0], 1}).ok());
        EXPECT_TRUE(model->Finish(*third, {&rows[1], 1}).ok());
      }
      for (size_t i = 0; i < speakers.size(); ++i) {
        said[i].insert(said[i].end(), rows[i].frame.out, rows[i].frame.out + kFrameFeatures);
        speakers[i].position = (speakers[i].position + 1) % speakers[i].frames;
        speakers[i].said.assign(said[i].end() - kFrameFeatures, said[i].end());
      }
    }
    return said;
  }

  const GoldenCase::Clause clause_ = LoadGolden("two_clauses").clauses[0];
  const PhoneSpan phones_ = {clause_.phones.phones, clause_.phones.flags};
  Ends ends_;
};

TEST_P(GpuAcousticTest, SaysTheGoldenFramesAndForgetsTheClauseBefore) {
  auto model = Open();
  ASSERT_TRUE(model.ok()) << model.status();
  const auto said = Speak(model->get(), /*batched=*/true);
  const int again[] = {1000, 9, 20};
  for (size_t speaker = 0; speaker < said.size(); ++speaker) {
    ASSERT_EQ(said[speaker].size(), size_t{kFrames} * kFrameFeatures);
    for (size_t i = 0; i < said[speaker].size(); ++i) {
      ASSERT_NEAR(said[speaker][i], clause_.features[i % (again[speaker] * kFrameFeatures)],
                  kTolerance)
          << "speaker " << speaker << " at " << i;
    }
  }
}

TEST_P(GpuAcousticTest, ASessionIsTheSameAloneAndWithoutGraphs) {
  auto graphs = Open(), alone = Open(), eager = Open(cuda::GraphMode::kEager);
  ASSERT_TRUE(graphs.ok() && alone.ok() && eager.ok());
  const auto together = Speak(graphs->get(), /*batched=*/true);
  EXPECT_EQ(Speak(alone->get(), /*batched=*/false), together);
  EXPECT_EQ(Speak(eager->get(), /*batched=*/true), together);
}

// How far frames made of frames may drift: a share of the features' own spread, which is 1.
TEST_P(GpuAcousticTest, SaysNearlyTheSameInOtherNumbersAndTheSameAlone) {
  for (const auto& [number, share] :
       {std::pair{cuda::Number::kTf32, 0.01}, std::pair{cuda::Number::kF16, 0.01},
        std::pair{cuda::Number::kBf16, 0.05}}) {
    SCOPED_TRACE(static_cast<int>(number));
    auto model = Open(cuda::GraphMode::kGraphs, kSlots, number);
    auto alone = Open(cuda::GraphMode::kGraphs, kSlots, number);
    ASSERT_TRUE(model.ok() && alone.ok()) << model.status();
    const auto said = Speak(model->get(), /*batched=*/true);
    EXPECT_EQ(Speak(alone->get(), /*batched=*/false), said);
    double difference = 0;
    for (size_t i = 0; i < said[0].size(); ++i) {
      difference += std::pow(said[0][i] - clause_.features[i], 2);
    }
    difference = std::sqrt(difference / static_cast<double>(said[0].size()));
    EXPECT_LT(difference, share);
    EXPECT_GT(difference, 1e-4) << "as in float";
  }
}

TEST_P(GpuAcousticTest, WithoutMemoryForItsCachesItIsRefused) {
  const auto model = Open(cuda::GraphMode::kGraphs, /*slots=*/1 << 22);
  EXPECT_EQ(model.status().code(), absl::StatusCode::kResourceExhausted) << model.status();
}

INSTANTIATE_TEST_SUITE_P(On, GpuAcousticTest, AllDevices(), NameOfDevice);

}  // namespace
}  // namespace firstbyte::aligned_mel
