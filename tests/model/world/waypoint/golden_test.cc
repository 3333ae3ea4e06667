// Parity with plain PyTorch (tools/fixtures/waypoint.py) part by part and over long play, where the
// rings have wrapped many times.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "model/world/waypoint/noise.h"
#include "model/world/waypoint/picture.h"
#include "tests/model/world/waypoint/world_fixture.h"

namespace firstbyte::waypoint {
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

std::vector<float> Copy(const float* x, int64_t count) { return {x, x + count}; }

class GoldenTest : public WorldTest {
 protected:
  const Golden& golden_ = Golden::Get();

  static void ExpectNear(const std::vector<float>& made, const std::string& name) {
    EXPECT_LE(LargestDifference(made, Golden::Get()[name]), kTolerance) << name;
  }

  // A latent of the golden file, [channels, height, width], in token order.
  std::vector<float> Tokens(const std::vector<float>& planes) const {
    const Config& c = checkpoint_->config;
    const int cells = c.latent_height() * c.latent_width();
    std::vector<float> map(planes.size()), tokens(planes.size());
    for (size_t i = 0; i < planes.size(); ++i) {
      map[i % cells * c.channels + i / cells] = planes[i];
    }
    checkpoint_->ToTokens(map.data(), tokens.data());
    return tokens;
  }

  // What the fixture's player does in block i, as the model sees it.
  std::vector<float> Controls(int i) const {
    const BlockActions actions = golden_.Actions(i);
    std::vector<float> controls = {actions.pointer_dx, actions.pointer_dy};
    for (int k = 0; k < 8; ++k) controls.push_back(actions.keys[k] ? 1 : 0);
    controls.push_back(static_cast<float>((actions.scroll > 0) - (actions.scroll < 0)));
    return controls;
  }

  // One pass of `checkpoint` over the golden latent at frame 3.
  static std::vector<float> Velocity(const Checkpoint& checkpoint, int sigma,
                                     const std::vector<float>& latent,
                                     const std::vector<float>& controls) {
    KvCache cache(checkpoint.config);
    DitBuffers buffers(checkpoint.config, 1);
    std::vector<float> velocity(latent.size());
    PassRow row = {latent.data(), controls.data(), 3, sigma, 0, &cache, velocity.data()};
    checkpoint.dit.Embed({&row, 1}, &buffers);
    row.frame = 0;  // rotated as frame 3, with no past
    for (int i = 0; i < checkpoint.config.n_layers; ++i) {
      checkpoint.dit.RunLayer(i, Pass::kDenoise, {&row, 1}, &buffers);
    }
    checkpoint.dit.Project({&row, 1}, &buffers);
    return velocity;
  }

  // Frames as the fixture thins them: every 29th row and 23rd column, planes of colour.
  std::vector<float> Thin(const std::vector<uint8_t>& frames) const {
    const int height = checkpoint_->config.picture_height();
    const int width = checkpoint_->config.picture_width();
    std::vector<float> thin;
    for (int f = 0; f < kFramesPerLatent; ++f) {
      for (int c = 0; c < 3; ++c) {
        for (int y = 0; y < height; y += 29) {
          for (int x = 0; x < width; x += 23) {
            thin.push_back(frames[((f * height + y) * width + x) * 3 + c]);
          }
        }
      }
    }
    return thin;
  }

  void ExpectFrames(const Output& block, const std::string& name) const {
    std::vector<float> expected = golden_[name];
    for (float& x : expected) x *= 255;
    // Half a code from rounding.
    EXPECT_LE(LargestDifference(Thin(block.frames), expected), 0.5 + 255 * kTolerance) << name;
  }
};

TEST_P(GoldenTest, Noise) {
  std::vector<float> noise(64);
  GaussianNoise(golden_.seed(), 4096, 64, noise.data());
  ExpectNear(noise, "noise");
}

TEST_P(GoldenTest, RotationsOfALateFrame) {
  const Config& c = checkpoint_->config;
  std::vector<float> cosines(c.tokens() * c.head_dim() / 2), sines(cosines.size());
  OrthoRope(c, kernels::Kernels(GetParam())).Tables(130, cosines.data(), sines.data());
  ExpectNear(cosines, "cosines");
  ExpectNear(sines, "sines");
}

TEST_P(GoldenTest, NoiseLevels) {
  const Config& c = checkpoint_->config;
  ExpectNear(Copy(checkpoint_->dit.conditioning().Layer(0, 0),
                  int64_t{c.sigmas()} * c.n_layers * kModulations * c.d_model),
             "modulation");
  ExpectNear(checkpoint_->euler_steps, "steps");
}

TEST_P(GoldenTest, PatchesAndControls) {
  const Config& c = checkpoint_->config;
  const std::vector<float> latent = Tokens(golden_["latent"]), controls = Controls(5);
  KvCache cache(c);
  DitBuffers buffers(c, 1);
  const PassRow row = {latent.data(), controls.data(), 0, 0, 0, &cache, nullptr};
  checkpoint_->dit.Embed({&row, 1}, &buffers);
  ExpectNear(Copy(buffers.x.data(), buffers.x.size()), "patchified");
  ExpectNear(Copy(buffers.fused.data(), c.d_model), "control");
}

TEST_P(GoldenTest, OneBlockOfEachKind) {
  const Config& c = checkpoint_->config;
  const std::vector<float> latent = Tokens(golden_["latent"]), controls = Controls(5);
  KvCache cache(c);
  DitBuffers buffers(c, 1);
  PassRow row = {latent.data(), controls.data(), 7, 1, 0, &cache, nullptr};
  checkpoint_->dit.Embed({&row, 1}, &buffers);
  const std::vector<float> tokens = golden_["tokens"];
  row.frame = 0;  // rotated as frame 7, with no past
  std::copy(tokens.begin(), tokens.end(), buffers.x.data());
  checkpoint_->dit.RunLayer(0, Pass::kDenoise, {&row, 1}, &buffers);
  ExpectNear(Copy(buffers.x.data(), buffers.x.size()), "block0");
  ExpectNear(Copy(buffers.first_v.data(), buffers.first_v.size()), "first_v");
  std::copy(tokens.begin(), tokens.end(), buffers.x.data());
  checkpoint_->dit.RunLayer(3, Pass::kDenoise, {&row, 1}, &buffers);
  ExpectNear(Copy(buffers.x.data(), buffers.x.size()), "block3");
}

TEST_P(GoldenTest, OneForward) {
  const std::vector<float> made = Velocity(*checkpoint_, 2, Tokens(golden_["latent"]), Controls(5));
  EXPECT_LE(LargestDifference(made, Tokens(golden_["velocity"])), kTolerance);
}

TEST_P(GoldenTest, PicturesAreResizedAsTheReleasedImplementationDoes) {
  std::vector<float> given(40 * 24 * 3), made(53 * 15 * 3);
  FromBytes(Picture().data, given.data());
  Resize(given.data(), 24, 40, 15, 53, made.data());
  ExpectNear(made, "resized");
}

TEST_P(GoldenTest, ALongWalk) {
  auto model = NewModel();
  auto session = Open(model.get(), golden_.seed());
  for (int i = 0; i <= 130; ++i) {
    ASSERT_TRUE(session->Push(golden_.Actions(i)).ok());
    const Output block = RunAlone(model.get(), session.get());
    ASSERT_FALSE(HasFatalFailure());
    ASSERT_EQ(block.block, i);
    const std::string latent = absl::StrCat("play.latent.", i);
    if (golden_.Has(latent)) {
      const auto& latent_of = static_cast<const WaypointSession&>(*session).latent();
      EXPECT_LE(LargestDifference(latent_of, Tokens(golden_[latent])), kTolerance) << latent;
    }
    const std::string frames = absl::StrCat("play.frames.", i);
    if (golden_.Has(frames)) ExpectFrames(block, frames);
  }
}

// Around the wrap of both rings, and with the decoder's history: what goes on is still the golden
// walk, whatever the slot held before.
TEST_P(GoldenTest, AWalkSavedBeforeEveryBlock) {
  auto model = NewModel({.slots = 2, .max_batch = 1});
  auto session = Open(model.get(), golden_.seed());
  for (int i = 0; i < 20; ++i) {
    auto state = session->Save();
    ASSERT_TRUE(state.ok()) << state.status();
    session = Restore(model.get(), *state);  // in the other slot, where the last but one played
    const Output block = PlayBlock(model.get(), session.get(), golden_.Actions(i));
    ASSERT_FALSE(HasFatalFailure());
    ExpectFrames(block, absl::StrCat("play.frames.", i));
    const std::string latent = absl::StrCat("play.latent.", i);
    if (!golden_.Has(latent)) continue;
    const auto& latent_of = static_cast<const WaypointSession&>(*session).latent();
    EXPECT_LE(LargestDifference(latent_of, Tokens(golden_[latent])), kTolerance) << latent;
  }
}

TEST_P(GoldenTest, AWalkThatBeginsWithAPicture) {
  auto model = NewModel();
  auto scene = model->Prepare({.text = "", .embedding = {}, .image = Picture()});
  ASSERT_TRUE(scene.ok()) << scene.status();
  EXPECT_LE(
      LargestDifference(static_cast<const Scene&>(**scene).latent, Tokens(golden_["scene.latent"])),
      kTolerance);
  auto session = Open(model.get(), golden_.seed(), /*with_picture=*/true);
  const std::vector<Output> blocks = Play(model.get(), session.get(), 0, 3);
  for (int i = 0; i < 3; ++i) ExpectFrames(blocks[i], absl::StrCat("scene.frames.", i));
}

// Config::reference_compat: tables, sigmas and steps as the released implementation rounds them.
TEST_P(GoldenTest, TheReleasedRounding) {
  WorldFolder folder;
  folder.Append("reference_compat: true");
  auto loaded = Checkpoint::Load(folder.path(), kernels::Kernels(GetParam()));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const auto& compat = *loaded;
  const Config& c = compat->config;
  ExpectNear(compat->euler_steps, "compat.steps");
  ExpectNear(Copy(compat->dit.conditioning().Layer(0, 0),
                  int64_t{c.sigmas()} * c.n_layers * kModulations * c.d_model),
             "compat.modulation");
  const std::vector<float> made = Velocity(*compat, 2, Tokens(golden_["latent"]), Controls(5));
  EXPECT_LE(LargestDifference(made, Tokens(golden_["compat.velocity"])), kTolerance);
  // And it is another model: the flag does something.
  EXPECT_GT(LargestDifference(compat->euler_steps, golden_["steps"]), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Isas, GoldenTest, AllIsas(), NameOfIsa);

}  // namespace
}  // namespace firstbyte::waypoint
