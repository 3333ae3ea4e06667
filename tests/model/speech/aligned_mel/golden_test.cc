// Parity with the PyTorch reference on the shipped weights, stage by stage.
//
// Fails after a change of the weights until the golden values are renewed:
//     python -m tools.fixtures.aligned_mel
#include <algorithm>
#include <cmath>

#include "gtest/gtest.h"
#include "tests/model/speech/aligned_mel/voice_fixture.h"

namespace firstbyte::aligned_mel {
namespace {

constexpr double kTolerance = 1e-4;

double LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return HUGE_VAL;
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(double{a[i]} - b[i]);
    if (!(difference <= largest)) largest = difference;  // keeps NaN
  }
  return largest;
}

// Relative to the energy of b.
double EnergyOfDifference(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, energy = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    energy += double{b[i]} * b[i];
  }
  return difference / energy;
}

class GoldenTest : public VoiceTest {
 protected:
  void SetUp() override {
    VoiceTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    for (const char* name : {"two_clauses", "fast"}) {
      cases_.push_back(LoadGolden(name));
      ASSERT_FALSE(cases_.back().samples.empty()) << GoldenFile();
    }
  }

  Ends EndsOf(const GoldenCase& golden, int clause) const {
    DurationModel::Buffers buffers(voice_->durations);
    Ends ends;
    const ClausePhones& phones = golden.clauses[clause].phones;
    voice_->durations.Run({phones.phones, phones.flags}, 1 / golden.speaking_rate, clause == 0,
                          &buffers, &ends);
    return ends;
  }

  std::vector<GoldenCase> cases_;
};

TEST_P(GoldenTest, FrontEndGivesThePhonesOfTheTexts) {
  auto model = NewModel();
  for (const GoldenCase& golden : cases_) {
    for (const GoldenCase::Clause& clause : golden.clauses) {
      auto prepared = model->Prepare({clause.text});
      ASSERT_TRUE(prepared.ok()) << prepared.status();
      const auto& made = static_cast<const PreparedClause&>(**prepared).clause;
      EXPECT_EQ(made.phones, clause.phones.phones) << clause.text;
      EXPECT_EQ(made.flags, clause.phones.flags) << clause.text;
    }
  }
}

TEST_P(GoldenTest, Durations) {
  for (const GoldenCase& golden : cases_) {
    for (size_t i = 0; i < golden.clauses.size(); ++i) {
      Ends ends = EndsOf(golden, static_cast<int>(i));
      const std::vector<float>& expected = golden.clauses[i].ends;
      EXPECT_EQ(std::vector<float>(ends.begin(), ends.end()), expected) << golden.clauses[i].text;
    }
  }
}

TEST_P(GoldenTest, Conditions) {
  Conditioner::Buffers buffers(voice_->conditioner);
  for (const GoldenCase& golden : cases_) {
    for (size_t i = 0; i < golden.clauses.size(); ++i) {
      const GoldenCase::Clause& clause = golden.clauses[i];
      std::vector<float> out(clause.conditions.size());
      const int frames = static_cast<int>(out.size()) / voice_->conditioner.outputs();
      voice_->conditioner.Run({clause.phones.phones, clause.phones.flags},
                              EndsOf(golden, static_cast<int>(i)), 1 / golden.speaking_rate, 0,
                              frames, &buffers, out.data());
      EXPECT_LE(LargestDifference(out, clause.conditions), kTolerance) << clause.text;
    }
  }
}

TEST_P(GoldenTest, FreeRunningFrames) {
  AcousticBuffers buffers(voice_->config.acoustic, 2, 2);
  Conditioner::Buffers condition_buffers(voice_->conditioner);
  for (const GoldenCase& golden : cases_) {
    for (size_t i = 0; i < golden.clauses.size(); ++i) {
      const GoldenCase::Clause& clause = golden.clauses[i];
      Ends ends = EndsOf(golden, static_cast<int>(i));
      std::vector<float> features(ends.back() * kFeatures), zeros(kFrameFeatures, 0.0f);
      std::vector<float> condition(voice_->conditioner.outputs());
      for (int frame = 0; frame < ends.back() / kStack; ++frame) {
        voice_->conditioner.Run({clause.phones.phones, clause.phones.flags}, ends,
                                1 / golden.speaking_rate, frame, 1, &condition_buffers,
                                condition.data());
        float* out = features.data() + frame * kFrameFeatures;
        FrameRow row{condition.data(), frame == 0 ? zeros.data() : out - kFrameFeatures, 1, frame,
                     out};
        voice_->acoustic.Step({&row, 1}, &buffers);
      }
      EXPECT_LE(LargestDifference(features, clause.features), kTolerance) << clause.text;
    }
  }
}

TEST_P(GoldenTest, VocoderSamples) {
  Vocoder::Buffers buffers(voice_->vocoder);
  for (const GoldenCase& golden : cases_) {
    VocoderState state = voice_->vocoder.NewState(golden.seed);
    std::vector<float> samples;
    for (const GoldenCase::Clause& clause : golden.clauses) {
      for (size_t at = 0; at < clause.features.size(); at += kFrameFeatures) {
        const bool last =
            &clause == &golden.clauses.back() && at + kFrameFeatures == clause.features.size();
        DecodeRow row{&state, {clause.features.data() + at}, 1, last, &samples};
        voice_->vocoder.Decode({&row, 1}, &buffers);
      }
    }
    EXPECT_LE(LargestDifference(samples, golden.samples), kTolerance);
  }
}

// Everything together. Pitch that differs in the last bit moves the phase of the highest harmonics
// by more than the frames differ, so the bar here is on the energy of the difference: -60 dB.
TEST_P(GoldenTest, WholeStreams) {
  auto model = NewModel();
  for (const GoldenCase& golden : cases_) {
    auto session = model->Open(golden.spec());
    ASSERT_TRUE(session.ok());
    for (const GoldenCase::Clause& clause : golden.clauses) {
      ASSERT_TRUE((*session)->Push(PreparedOf(clause)).ok());
    }
    ASSERT_TRUE((*session)->Push(EndOfInput{}).ok());
    std::vector<float> samples = Finish(model.get(), session->get());
    ASSERT_EQ(samples.size(), golden.samples.size());
    EXPECT_LE(EnergyOfDifference(samples, golden.samples), 1e-6);
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, GoldenTest, AllIsas(), NameOfIsa);

}  // namespace
}  // namespace firstbyte::aligned_mel
