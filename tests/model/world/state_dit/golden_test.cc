// Parity with the PyTorch reference, stage by stage and over a whole walk: at the ring's wrap,
// around a prompt switch, after saving and opening again, from a seed picture.
//
// Fails after a change of the weights until the golden values are renewed:
// tools/fixtures/state_dit.py
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <sstream>
#include <tuple>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/model/world/state_dit/world_fixture.h"

namespace firstbyte::state_dit {
namespace {

constexpr double kTolerance = 1e-4;
constexpr float kShift = 1e-6f;      // a few of a place's last bits: cells, radians
constexpr double kBf16 = 1.0 / 128;  // of values that are kept in 8 bits of precision

double LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return HUGE_VAL;
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(double{a[i]} - b[i]);
    if (!(difference <= largest)) largest = difference;  // keeps NaN
  }
  return largest;
}

std::vector<float> Floats(const float* values, int64_t count) { return {values, values + count}; }

State ToState(const std::vector<float>& values) {
  State state{};
  std::copy(values.begin(), values.end(), state.begin());
  return state;
}

Action ToAction(const std::vector<float>& values) {
  Action action{};
  std::copy(values.begin(), values.end(), action.begin());
  return action;
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
    std::istringstream frames(golden_.metadata("walk.frames"));
    for (int frame; frames >> frame;) kept_.push_back(frame);
    steps_ = static_cast<int>(golden_["walk.actions"].size()) / kActionSize;
    video_ = kVideoTokens * world_->config.latent_channels;
    ASSERT_TRUE(absl::SimpleAtoi(golden_.metadata("walk.switch_frame"), &switch_frame_));
    ASSERT_TRUE(absl::SimpleAtoi(golden_.metadata("walk.snapshot_frame"), &snapshot_frame_));
    ASSERT_FALSE(kept_.empty());
  }

  static std::string Name(int frame, const char* what) {
    return "walk." + std::to_string(frame) + "." + what;
  }
  State StateOf(int frame) const { return ToState(golden_.Row("walk.states", frame - 1, steps_)); }
  int ThemeOf(int frame) const {
    return *world_->prompt.ThemeOf(
        golden_.metadata(frame < switch_frame_ ? "walk.prompt" : "walk.second_prompt"));
  }

  // Keys and values of one frame of the ring, [layers, 18, heads, 64] as the reference has them.
  std::vector<float> Cached(const RingMemory& memory, int place, bool keys) const {
    const auto& rings = static_cast<const Rings&>(memory);
    const DitConfig& d = world_->config.dit;
    std::vector<float> out;
    for (int layer = 0; layer < d.layers; ++layer) {
      for (int token = place * kTokens; token < (place + 1) * kTokens; ++token) {
        for (int i = 0; i < d.heads * 64; ++i) {
          const int64_t head = i / 64;
          out.push_back(
              keys ? rings.keys(0, layer)[i * rings.capacity() + token]
                   : rings.values(0, layer)[(head * rings.capacity() + token) * 64 + i % 64]);
        }
      }
    }
    return out;
  }

  // How far the estimate of a frame may be off because places are not the same to the last bit: a
  // ray that grazes a door post magnifies that a thousandfold.
  double Doubt(int frame) const {
    const State state = StateOf(frame);
    double doubt = 0;
    Renderer::Buffers buffers(world_->config, 1);
    std::vector<float> at, beside(video_);
    for (int axis = -1; axis < 3; ++axis) {
      Pose pose{state[0], state[1], state[2]};
      if (axis >= 0) (axis == 0 ? pose.x : axis == 1 ? pose.y : pose.heading) += kShift;
      Renderer::Place place{pose, ThemeOf(frame), nullptr, beside.data()};
      world_->renderer.See({&place, 1}, /*always=*/true, &buffers);
      if (axis < 0) at = beside;
      doubt = std::max(doubt, LargestDifference(at, beside));
    }
    return doubt;
  }

  void ExpectFrame(int frame, const WorldSession& session, const Output& block) {
    const Memory& memory = session.memory();
    std::vector<float> video(video_);
    for (int i = 0; i < video_; ++i) video[i] = memory.residual[i] + session.estimate()[i];
    const State& state = session.state();
    EXPECT_LE(LargestDifference(Floats(state.data(), kStateSize),
                                golden_.Row("walk.states", frame - 1, steps_)),
              kTolerance);
    const double tolerance = kTolerance + Doubt(frame);
    EXPECT_LE(LargestDifference(video, golden_.Row("walk.video", frame - 1, steps_)), tolerance);
    EXPECT_LE(LargestDifference(memory.audio, golden_.Row("walk.audio", frame - 1, steps_)),
              tolerance);
    EXPECT_LE(LargestDifference(Floats(memory.note.data(), kNoteSize),
                                golden_.Row("walk.notes", frame - 1, steps_)),
              tolerance);
    if (std::find(kept_.begin(), kept_.end(), frame) == kept_.end()) return;
    EXPECT_LE(LargestDifference(block.samples, golden_[Name(frame, "samples")]), kTolerance);
    // A value next to a half may round either way.
    const std::vector<float> picture = golden_[Name(frame, "picture")];
    EXPECT_LE(LargestDifference({block.frames.begin(), block.frames.end()}, picture), 1);
    for (bool keys : {true, false}) {
      const std::vector<float> expected = golden_[Name(frame, keys ? "keys" : "values")];
      // Four layers and their norms lie between a picture and these.
      ExpectCached(Cached(session.rings(), session.last_place(), keys), expected, 2 * tolerance);
    }
  }

  static void ExpectCached(const std::vector<float>& cached, const std::vector<float>& expected,
                           double tolerance) {
    ASSERT_EQ(cached.size(), expected.size());
    for (size_t i = 0; i < cached.size(); ++i) {
      ASSERT_NEAR(cached[i], expected[i], tolerance + kBf16 * std::abs(expected[i]));
    }
  }

  // The last layer's ring once a prompt of another theme has been taken. The reference keeps a
  // frame in the place of its number, we begin with the oldest.
  void ExpectRecached(const WorldSession& session) const {
    const int window = world_->config.dit.window, layers = world_->config.dit.layers;
    ASSERT_EQ(session.last_place(), window - 1);
    for (int place = 0; place < window; ++place) {
      const int frame = switch_frame_ - window + place;
      SCOPED_TRACE("recached " + std::to_string(frame));
      for (bool keys : {true, false}) {
        const std::vector<float> all = Cached(session.rings(), place, keys);
        ExpectCached(
            {all.end() - static_cast<int64_t>(all.size()) / layers, all.end()},
            golden_.Row(keys ? "walk.recache.keys" : "walk.recache.values", frame % window, window),
            kTolerance + Doubt(frame));
      }
    }
  }

  std::shared_ptr<const World> world_;
  Golden golden_;
  std::vector<int> kept_;  // frames of which every stage is kept; the first is 1
  int steps_ = 0, video_ = 0, switch_frame_ = 0, snapshot_frame_ = 0;
};

TEST_P(StateDitGolden, Prompts) {
  const std::vector<float> themes = golden_["prompts.themes"];
  const std::vector<std::string> texts = absl::StrSplit(golden_.metadata("prompts.texts"), '\n');
  ASSERT_EQ(texts.size(), themes.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    auto scene = PrepareScene(*world_, {.text = texts[i]});
    ASSERT_TRUE(scene.ok()) << scene.status();
    EXPECT_EQ(static_cast<float>((*scene)->theme), themes[i]) << texts[i];
  }
}

TEST_P(StateDitGolden, Dynamics) {
  const int count = static_cast<int>(golden_["dynamics.states"].size()) / kStateSize;
  Dynamics::Buffers buffers(world_->config, count);
  std::vector<State> states;
  std::vector<Action> actions;
  for (int i = 0; i < count; ++i) {
    states.push_back(ToState(golden_.Row("dynamics.states", i, count)));
    actions.push_back(ToAction(golden_.Row("dynamics.actions", i, count)));
  }
  std::vector<MoveRow> rows;
  for (int i = 0; i < count; ++i) rows.push_back({&states[i], &actions[i], &states[i]});
  world_->dynamics.Advance(rows, &buffers);
  for (int i = 0; i < count; ++i) {
    EXPECT_LE(LargestDifference(Floats(states[i].data(), kStateSize),
                                golden_.Row("dynamics.next", i, count)),
              2e-5)
        << i;
  }
}

TEST_P(StateDitGolden, WhatCanBeSeen) {
  const Config& config = world_->config;
  Renderer::Buffers buffers(config, 1);
  for (int frame : kept_) {
    const State state = StateOf(frame);
    std::vector<float> columns(kLatentSide * config.column_features()), estimate(video_);
    Renderer::Place place{
        {state[0], state[1], state[2]}, ThemeOf(frame), columns.data(), estimate.data()};
    world_->renderer.See({&place, 1}, false, &buffers);
    EXPECT_LE(LargestDifference(Floats(buffers.rays.depth.data(), config.rays.count),
                                golden_[Name(frame, "depth")]),
              kTolerance)
        << frame;
    EXPECT_LE(
        LargestDifference(Floats(buffers.features.data(), config.rays.count * config.rays.features),
                          golden_[Name(frame, "features")]),
        kTolerance)
        << frame;
    EXPECT_LE(LargestDifference(estimate, golden_[Name(frame, "estimate")]), kTolerance) << frame;
  }
}

TEST_P(StateDitGolden, Facts) {
  const Config& c = world_->config;
  for (int frame : kept_) {
    if (frame == 1) continue;  // its state before is not kept
    const std::vector<float> noise = golden_[Name(frame, "noise")];
    FrameFacts facts{StateOf(frame - 1),
                     StateOf(frame),
                     ToAction(golden_.Row("walk.actions", frame - 1, steps_)),
                     {noise.end() - c.dit.events, noise.end()}};
    Note note{};
    const std::vector<float> kept = golden_.Row("walk.notes", frame - 1, steps_);
    std::copy(kept.begin(), kept.end(), note.begin());
    PassRow row{};
    row.facts = &facts;
    row.note = &note;
    row.theme = ThemeOf(frame);
    std::vector<float> out(Dit::FactsSize(c));
    world_->dit.Describe(row, out.data());
    EXPECT_LE(LargestDifference(out, golden_[Name(frame, "facts")]), kTolerance) << frame;
  }
}

TEST_P(StateDitGolden, Decoder) {
  Decoder::Buffers buffers(world_->config, 2);
  const std::vector<float> latents = golden_.Row("walk.video", 12, steps_);
  const std::vector<float> expected = golden_["walk.13.pixels"];
  const float* both[] = {latents.data(), latents.data()};
  world_->decoder.Run(both, &buffers);
  for (int map = 0; map < 2; ++map) {
    const float* pixels = buffers.pixels.data() + map * expected.size();
    EXPECT_LE(LargestDifference({pixels, pixels + expected.size()}, expected), kTolerance);
  }
}

TEST_P(StateDitGolden, AWalk) {
  auto model = NewModel(world_, {.slots = 1, .max_batch = 1});
  auto prompt = [&](const char* name) { return RawInput{.text = golden_.metadata(name)}; };
  auto opened = model->Open({.seed = 7, .scene = PreparedScene(*model, prompt("walk.prompt"))});
  ASSERT_TRUE(opened.ok()) << opened.status();
  Settle(model.get(), opened->get());
  const std::vector<float> actions = golden_["walk.actions"];
  for (int frame = 1; frame <= steps_ && !HasFatalFailure(); ++frame) {
    SCOPED_TRACE("frame " + std::to_string(frame));
    if (frame == switch_frame_) {
      ASSERT_TRUE((*opened)->Push(*model->Prepare(prompt("walk.second_prompt"))).ok());
      Settle(model.get(), opened->get());
      ExpectRecached(static_cast<const WorldSession&>(**opened));
    }
    if (frame == snapshot_frame_) {
      auto state = (*opened)->Save();
      ASSERT_TRUE(state.ok()) << state.status();
      opened->reset();
      opened = model->Open({.state = std::make_shared<std::string>(*std::move(state))});
      ASSERT_TRUE(opened.ok()) << opened.status();
    }
    ASSERT_TRUE((*opened)->Push(ActionsOf(&actions[(frame - 1) * kActionSize])).ok());
    const Output block = Settle(model.get(), opened->get());
    ExpectFrame(frame, static_cast<const WorldSession&>(**opened), block);
  }
}

TEST_P(StateDitGolden, AWalkFromAPicture) {
  RgbImage picture{kPicture, kPicture, {}};
  for (float v : golden_["image.picture"]) picture.data.push_back(static_cast<uint8_t>(v));
  EXPECT_LE(LargestDifference(world_->encoder.Run(SquarePixels(picture)), golden_["image.latents"]),
            kTolerance);
  auto model = NewModel(world_, {.slots = 1, .max_batch = 1});
  std::shared_ptr<const Prepared> prepared = PreparedScene(*model, {.image = picture});
  const auto& scene = static_cast<const Scene&>(*prepared);
  EXPECT_LE(LargestDifference(Floats(scene.state.data(), kStateSize), golden_["image.state"]),
            kTolerance);
  EXPECT_EQ(golden_["image.theme"][scene.theme], 1);
  auto session = model->Open({.seed = 9, .scene = prepared});
  ASSERT_TRUE(session.ok()) << session.status();
  Settle(model.get(), session->get());
  ASSERT_TRUE((*session)->Push(BlockActions{}).ok());
  Settle(model.get(), session->get());
  EXPECT_LE(LargestDifference(Floats(static_cast<WorldSession&>(**session).latents(), video_),
                              golden_["image.video"]),
            kTolerance);
}

// The embedded world, too, in a checkout that has its weights.
std::vector<const char*> Worlds() {
  std::vector<const char*> worlds = {"tiny"};
  const std::string models = std::string(FIRSTBYTE_SOURCE_DIR) + "/models/";
  if (std::filesystem::exists(models + "state-dit-rooms")) worlds.push_back("state-dit-rooms");
  return worlds;
}

INSTANTIATE_TEST_SUITE_P(Worlds, StateDitGolden,
                         testing::Combine(testing::ValuesIn(Worlds()), AllIsas()),
                         [](const auto& info) {
                           std::string name = std::get<0>(info.param);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name + "_" +
                                  std::string(kernels::IsaName(std::get<1>(info.param)));
                         });

}  // namespace
}  // namespace firstbyte::state_dit
