// Parity with the PyTorch reference, stage by stage and over whole runs: at the ring's wrap, around
// a prompt switch, from a seed picture.
//
// Fails after a change of the weights until the golden values are renewed:
//     python -m tools.fixtures.state_dit [--tiny]
#include <algorithm>
#include <cmath>
#include <tuple>

#include "gtest/gtest.h"
#include "tests/model/world/state_dit/world_fixture.h"

namespace firstbyte::state_dit {
namespace {

constexpr double kTolerance = 1e-4;
constexpr int kSteps = 24, kPromptAt = 16, kPictures[] = {0, 9, 15, 16, 23};
constexpr char kFirstPrompt[] = "a sunny day", kSecondPrompt[] = "heavy snow falls at night";

double LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return HUGE_VAL;
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(double{a[i]} - b[i]);
    if (!(difference <= largest)) largest = difference;  // keeps NaN
  }
  return largest;
}

State ToState(const std::vector<float>& values) {
  State state{};
  std::copy(values.begin(), values.end(), state.begin());
  return state;
}

std::vector<float> Latents(const Golden& golden, const std::string& step, int row) {
  std::vector<float> estimate = golden["walk." + step + ".estimate"];
  std::vector<float> residual = golden.Row("walk.residuals", row, kSteps);
  for (size_t i = 0; i < estimate.size(); ++i) estimate[i] += residual[i];
  return estimate;
}

// Name of the world, instruction set.
class StateDitGolden : public testing::TestWithParam<std::tuple<const char*, kernels::Isa>> {
 protected:
  void SetUp() override {
    auto [name, isa] = GetParam();
    if (!kernels::Supported(isa)) GTEST_SKIP() << "not on this machine";
    const bool tiny = std::string(name) == "tiny";
    world_ =
        LoadWorld(tiny ? TinyFolder() : std::string(FIRSTBYTE_SOURCE_DIR) + "/models/" + name, isa);
    ASSERT_NE(world_, nullptr);
    golden_ = Golden::Read(GoldenFolder() +
                           (tiny ? "/state_dit_tiny.safetensors" : "/state_dit.safetensors"));
  }

  RgbImage SeedPicture() const {
    RgbImage image{kPicture, kPicture, {}};
    for (float v : golden_["seed.picture"]) image.data.push_back(static_cast<uint8_t>(v));
    return image;
  }

  // A whole run as the server makes it, compared frame by frame.
  void ExpectRun(const std::string& name, uint64_t seed, const RawInput& input) {
    auto model = NewModel(world_, {.slots = 2, .max_batch = 1});
    auto opened = model->Open({.seed = seed, .scene = PreparedScene(*model, input)});
    ASSERT_TRUE(opened.ok()) << opened.status();
    auto& session = static_cast<WorldSession&>(**opened);
    Settle(model.get(), &session);
    const std::vector<float> actions = golden_[name + ".actions"];
    for (int step = 0; step < kSteps && !HasFatalFailure(); ++step) {
      SCOPED_TRACE(name + " step " + std::to_string(step));
      if (step == kPromptAt) {
        ASSERT_TRUE(session.Push(*model->Prepare({.text = kSecondPrompt})).ok());
        Settle(model.get(), &session);
      }
      ASSERT_TRUE(session.Push(ActionsOf(&actions[step * kActionSize])).ok());
      ExpectFrame(name, step, session, Settle(model.get(), &session));
    }
  }

  void ExpectFrame(const std::string& name, int step, const WorldSession& session,
                   const Output& block) {
    const State& state = session.state();
    EXPECT_LE(LargestDifference({state.begin(), state.end()},
                                golden_.Row(name + ".states", step, kSteps)),
              kTolerance);
    EXPECT_LE(LargestDifference(session.memory().residual,
                                golden_.Row(name + ".residuals", step, kSteps)),
              kTolerance);
    EXPECT_LE(LargestDifference(session.memory().audio, golden_.Row(name + ".audio", step, kSteps)),
              kTolerance);
    EXPECT_LE(LargestDifference(block.samples, golden_.Row(name + ".samples", step, kSteps)),
              kTolerance);
    if (std::find(std::begin(kPictures), std::end(kPictures), step) == std::end(kPictures)) return;
    std::vector<float> pixels = golden_[name + "." + std::to_string(step) + ".pixels"];
    ASSERT_EQ(block.frames.size(), pixels.size());
    for (size_t i = 0; i < pixels.size(); ++i) {
      const float level = std::clamp(pixels[i], 0.0f, 1.0f) * 255;
      ASSERT_NEAR(block.frames[i], level, 0.5 + 255 * kTolerance) << "byte " << i;
    }
  }

  std::shared_ptr<const World> world_;
  Golden golden_;
};

TEST_P(StateDitGolden, Dynamics) {
  Dynamics::Buffers buffers(world_->config, 1);
  for (int step : kPictures) {
    const State before = ToState(golden_["walk." + std::to_string(step) + ".before"]);
    State after;
    Action action;
    std::vector<float> numbers = golden_.Row("walk.actions", step, kSteps);
    std::copy(numbers.begin(), numbers.end(), action.begin());
    MoveRow row{&before, &action, &after};
    world_->dynamics.Advance({&row, 1}, &buffers);
    EXPECT_LE(
        LargestDifference({after.begin(), after.end()}, golden_.Row("walk.states", step, kSteps)),
        1e-5)
        << step;
  }
}

TEST_P(StateDitGolden, WhatCanBeSeen) {
  const Config& config = world_->config;
  Renderer::Buffers buffers(config, 1);
  for (int step : kPictures) {
    const std::string prefix = "walk." + std::to_string(step);
    const State state = ToState(golden_.Row("walk.states", step, kSteps));
    const int theme = *world_->prompt.ThemeOf(step < kPromptAt ? kFirstPrompt : kSecondPrompt);
    std::vector<float> columns(kLatentSide * config.column_features());
    std::vector<float> estimate(kVideoTokens * config.latent_channels);
    Renderer::Place place{{state[0], state[1], state[2]}, theme, columns.data(), estimate.data()};
    world_->renderer.See({&place, 1}, false, &buffers);
    std::vector<float> depth(buffers.rays.depth.data(),
                             buffers.rays.depth.data() + config.rays.count);
    EXPECT_LE(LargestDifference(depth, golden_[prefix + ".depth"]), kTolerance) << step;
    EXPECT_LE(LargestDifference(columns, golden_[prefix + ".columns"]), kTolerance) << step;
    EXPECT_LE(LargestDifference(estimate, golden_[prefix + ".estimate"]), kTolerance) << step;
  }
}

TEST_P(StateDitGolden, Decoder) {
  Decoder::Buffers buffers(world_->config, 2);
  for (int step : kPictures) {
    const std::vector<float> latents = Latents(golden_, std::to_string(step), step);
    const float* both[] = {latents.data(), latents.data()};
    world_->decoder.Run(both, &buffers);
    const std::vector<float> expected = golden_["walk." + std::to_string(step) + ".pixels"];
    for (int map = 0; map < 2; ++map) {
      const float* pixels = buffers.pixels.data() + map * expected.size();
      EXPECT_LE(LargestDifference({pixels, pixels + expected.size()}, expected), kTolerance);
    }
  }
}

TEST_P(StateDitGolden, SeedPicture) {
  const RgbImage picture = SeedPicture();
  EXPECT_LE(LargestDifference(world_->encoder.Run(SquarePixels(picture)), golden_["seed.latents"]),
            kTolerance);
  auto scene = PrepareScene(*world_, {.image = picture});
  ASSERT_TRUE(scene.ok()) << scene.status();
  EXPECT_LE(
      LargestDifference({(*scene)->state.begin(), (*scene)->state.end()}, golden_["seed.state"]),
      1e-3);
  EXPECT_EQ(static_cast<float>((*scene)->theme), golden_["seed.theme"][0]);
}

TEST_P(StateDitGolden, AWalk) { ExpectRun("walk", 7, {.text = kFirstPrompt}); }

TEST_P(StateDitGolden, AWalkFromAPicture) {
  ExpectRun("from_picture", (uint64_t{1} << 40) + 9, {.image = SeedPicture()});
}

INSTANTIATE_TEST_SUITE_P(Worlds, StateDitGolden,
                         testing::Combine(testing::Values("tiny"), AllIsas()),
                         [](const auto& info) {
                           return std::string(kernels::IsaName(std::get<1>(info.param))) + "_" +
                                  std::to_string(info.index);
                         });

}  // namespace
}  // namespace firstbyte::state_dit
