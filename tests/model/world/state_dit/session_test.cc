// What a session takes and refuses, block by block, and what saved states are refused.
#include "model/world/state_dit/session.h"

#include <cmath>
#include <cstring>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/model/world/state_dit/engine.h"

namespace firstbyte::state_dit {
namespace {

using testing::HasSubstr;

class SessionTest : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    if (!IsSkipped()) model_ = NewModel({.slots = 2, .max_batch = 2});
  }

  std::unique_ptr<Session> Open(uint64_t seed = 1) {
    auto session = model_->Open({.seed = seed, .scene = PreparedScene(*model_)});
    EXPECT_TRUE(session.ok()) << session.status();
    return *std::move(session);
  }
  // A session that has made `blocks` blocks.
  std::unique_ptr<Session> OpenAndPlay(int blocks) {
    auto session = Open();
    Settle(model_.get(), session.get());
    for (int i = 0; i < blocks; ++i) Play(session.get());
    return session;
  }
  Output Play(Session* session, const BlockActions& actions = {}) {
    EXPECT_TRUE(session->Push(actions).ok());
    return Settle(model_.get(), session);
  }
  absl::StatusCode OpenState(std::string state) {
    return model_->Open({.state = std::make_shared<std::string>(std::move(state))}).status().code();
  }

  std::unique_ptr<Model> model_;
};

TEST_P(SessionTest, InfoTellsWhatTheWorldIs) {
  const ModelInfo& info = model_->info();
  ASSERT_TRUE(info.world.has_value());
  EXPECT_EQ(info.name, "tiny");
  EXPECT_EQ(info.world->width, 64);
  EXPECT_EQ(info.world->frames_per_second, 20);
  EXPECT_EQ(info.world->keys.size(), 6u);
  EXPECT_TRUE(info.world->pointer);
  EXPECT_EQ(info.world->prompt_dimensions, 6);
  EXPECT_EQ(info.slots, 2);
  auto session = OpenAndPlay(5);  // a full ring
  EXPECT_NEAR(static_cast<double>(session->Save()->size()),
              static_cast<double>(info.world->state_bytes), 1000);
}

TEST_P(SessionTest, ABlockGoesThroughItsStages) {
  auto session = Open();
  EXPECT_TRUE(session->work().prefill);
  EXPECT_FALSE(session->work().wants_block);
  Step(model_.get(), Stage::kPrefill, {session.get()});
  EXPECT_TRUE(session->work().wants_block);
  EXPECT_FALSE(session->work().any());
  ASSERT_TRUE(session->Push(BlockActions{}).ok());
  for (size_t pass = 0; pass < world_->config.dit.sigmas.size(); ++pass) {
    EXPECT_TRUE(session->work().generate);
    EXPECT_FALSE(session->work().wants_block);
    Step(model_.get(), Stage::kGenerate, {session.get()});
  }
  EXPECT_EQ(session->work().decode_frames, 1);
  Step(model_.get(), Stage::kDecode, {session.get()});
  EXPECT_TRUE(session->work().commit);
  Output block = session->Take();
  EXPECT_EQ(block.block, 0);
  EXPECT_EQ(block.frames.size(), 64u * 64 * 3);
  EXPECT_EQ(block.samples.size(), static_cast<size_t>(world_->config.samples_per_frame));
  EXPECT_FALSE(session->work().wants_block);
  Step(model_.get(), Stage::kCommit, {session.get()});
  EXPECT_TRUE(session->work().wants_block);
  EXPECT_EQ(session->Take().block, -1);
}

TEST_P(SessionTest, BlocksAndTheMediaClockAreCounted) {
  auto session = OpenAndPlay(0);
  for (int i = 0; i < 3; ++i) {
    Output block = Play(session.get());
    EXPECT_EQ(block.block, i);
    EXPECT_EQ(block.start_sample, i * world_->config.samples_per_frame);
  }
}

TEST_P(SessionTest, RefusesWhatDoesNotFit) {
  auto session = Open();
  Settle(model_.get(), session.get());
  EXPECT_EQ(session->Push(Marker{"m"}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(session->Push(BlockActions{.pointer_dx = NAN}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(session->Push(std::make_unique<Prepared>()).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(session->work().wants_block);  // nothing of it did anything
  ASSERT_TRUE(session->Push(EndOfInput{}).ok());
  EXPECT_TRUE(session->work().done);
  EXPECT_EQ(session->Push(BlockActions{}).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(SessionTest, TheEndWaitsForTheBlockThatIsBeingMade) {
  auto session = OpenAndPlay(1);
  ASSERT_TRUE(session->Push(BlockActions{}).ok());
  ASSERT_TRUE(session->Push(EndOfInput{}).ok());
  EXPECT_FALSE(session->work().done);
  EXPECT_EQ(Settle(model_.get(), session.get()).block, 1);
  EXPECT_TRUE(session->work().done);
}

TEST_P(SessionTest, AnotherPromptRecachesInSlices) {
  auto session = OpenAndPlay(6);
  const int window = world_->config.dit.window;
  auto prompt = [&](int theme) {
    std::vector<float> mix(6, 0.0f);
    mix[theme] = 1;
    return *model_->Prepare({.embedding = mix});
  };
  ASSERT_TRUE(session->Push(prompt(0)).ok());  // what it is already
  EXPECT_TRUE(session->work().wants_block);
  ASSERT_TRUE(session->Push(prompt(3)).ok());
  int slices = 0;
  for (; session->work().prefill; ++slices) {
    Step(model_.get(), Stage::kPrefill, {session.get()});
  }
  EXPECT_EQ(slices, window);
  EXPECT_TRUE(session->work().wants_block);
  EXPECT_EQ(Play(session.get()).block, 6);
}

TEST_P(SessionTest, PromptResetAndActionsMayComeAtOneBoundary) {
  auto one_by_one = OpenAndPlay(6), at_once = OpenAndPlay(6);
  auto prompt = [&](int theme) {
    std::vector<float> mix(6, 0.0f);
    mix[theme] = 1;
    return *model_->Prepare({.embedding = mix});
  };
  BlockActions forward;
  forward.keys[0] = true;
  for (bool reset : {false, true}) {
    for (auto* session : {one_by_one.get(), at_once.get()}) {
      if (reset) {
        ASSERT_TRUE(session->Push(ResetWorld{}).ok());
        if (session == one_by_one.get()) Settle(model_.get(), session);
      }
      ASSERT_TRUE(session->Push(prompt(reset ? 2 : 3)).ok());
      if (session == one_by_one.get()) Settle(model_.get(), session);
      ASSERT_TRUE(session->Push(forward).ok());
      EXPECT_EQ(session->Push(forward).code(), absl::StatusCode::kFailedPrecondition);
    }
    const Output wanted = Settle(model_.get(), one_by_one.get());
    const Output got = Settle(model_.get(), at_once.get());
    EXPECT_EQ(got.block, reset ? 7 : 6);
    EXPECT_EQ(got.frames, wanted.frames) << reset;
    EXPECT_EQ(got.samples, wanted.samples) << reset;
  }
}

TEST_P(SessionTest, BadPromptsAreNamed) {
  EXPECT_EQ(model_->Prepare({.embedding = {1, 2}}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(model_->Prepare({.embedding = {1, 2, 3, NAN, 5, 6}}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(model_->Prepare({.image = RgbImage{8, 8, {1, 2, 3}}}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(model_->Prepare({.image = RgbImage{}}).status().code(),
            absl::StatusCode::kInvalidArgument);
  for (auto [width, height] : {std::pair{1, 1}, {1, 300}, {640, 480}, {65, 64}}) {
    RgbImage image{width, height, std::vector<uint8_t>(3 * width * height, 200)};
    EXPECT_TRUE(model_->Prepare({.image = image}).ok()) << width << " x " << height;
  }
}

TEST_P(SessionTest, PicturesAreScaledByArea) {
  RgbImage image{132, 128, std::vector<uint8_t>(3 * 132 * 128, 0)};
  for (int y = 0; y < 128; ++y) image.data[(y * 132 + 2) * 3] = 100;  // left column of the square
  const std::vector<float> pixels = SquarePixels(image);
  EXPECT_FLOAT_EQ(pixels[0], 50.0f / 255);  // half of a pixel of 2 x 2
  EXPECT_FLOAT_EQ(pixels[3], 0);
}

TEST_P(SessionTest, ResetGoesBackToTheOriginAndCountsOn) {
  auto session = OpenAndPlay(0);
  BlockActions forward;
  forward.keys[0] = true;
  std::vector<Output> first, second;
  for (int i = 0; i < 7; ++i) first.push_back(Play(session.get(), forward));
  ASSERT_TRUE(session->Push(*model_->Prepare({.embedding = {0, 0, 1, 0, 0, 0}})).ok());
  Settle(model_.get(), session.get());
  ASSERT_TRUE(session->Push(ResetWorld{}).ok());
  Settle(model_.get(), session.get());
  for (int i = 0; i < 7; ++i) second.push_back(Play(session.get(), forward));
  for (int i = 0; i < 7; ++i) {
    EXPECT_EQ(second[i].block, i + 7);
    EXPECT_EQ(second[i].start_sample, (i + 7) * world_->config.samples_per_frame);
    EXPECT_EQ(first[i].frames, second[i].frames) << i;
    EXPECT_EQ(first[i].samples, second[i].samples) << i;
  }
}

TEST_P(SessionTest, SlotsAreCountedAndGivenBack) {
  auto a = Open(), b = Open();
  EXPECT_EQ(model_->Open({}).status().code(), absl::StatusCode::kResourceExhausted);
  a.reset();
  EXPECT_EQ(OpenState("nonsense"), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(model_->Open({}).ok());  // the refused one left its slot
}

TEST_P(SessionTest, ABatchThatIsTooLargeAdvancesNobody) {
  auto a = Open(), b = Open();
  StepReport report;
  std::vector<Session*> batch = {a.get(), b.get(), a.get()};
  EXPECT_EQ(model_->Wait(model_->Submit(Stage::kPrefill, batch, 1), &report).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(a->work().prefill);
}

TEST_P(SessionTest, SavesBetweenBlocksOnly) {
  auto session = Open();
  EXPECT_EQ(session->Save().status().code(), absl::StatusCode::kFailedPrecondition);
  Settle(model_.get(), session.get());
  EXPECT_TRUE(session->Save().ok());
}

TEST_P(SessionTest, AStateOfAnotherModelIsRefused) {
  auto session = OpenAndPlay(2);
  std::string state = *session->Save();
  const size_t at = state.find(world_->version);
  ASSERT_NE(at, std::string::npos);
  state[at] ^= 1;
  auto opened = model_->Open({.state = std::make_shared<std::string>(state)});
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("the model is another"));
}

TEST_P(SessionTest, NumbersThatAreNoneAreRefused) {
  auto session = OpenAndPlay(2);
  const std::string state = *session->Save();
  const float nan = NAN;
  for (size_t back : {4u, 40000u}) {  // in the ring
    std::string bad = state;
    std::memcpy(bad.data() + bad.size() - back, &nan, 4);
    EXPECT_EQ(OpenState(bad), absl::StatusCode::kDataLoss) << back;
  }
}

// Damage is refused, or what opens is a session that can be played: never a crash. The sanitizers
// watch.
TEST_P(SessionTest, DamagedStatesAreRefusedOrPlayable) {
  auto session = OpenAndPlay(5);
  const std::string state = *session->Save();
  session.reset();
  std::mt19937 random(3);
  int opened = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string bad = state;
    if (round % 3 == 0) {
      bad.resize(random() % bad.size());
    } else {
      // Most of it is the ring: aim at the head as often.
      const size_t range = round % 3 == 1 ? std::min<size_t>(bad.size(), 2000) : bad.size();
      for (unsigned i = 0; i <= random() % 4; ++i) bad[random() % range] ^= 1 << random() % 8;
    }
    auto result = model_->Open({.state = std::make_shared<std::string>(std::move(bad))});
    if (!result.ok()) {
      ASSERT_EQ(result.status().code(), absl::StatusCode::kDataLoss);
      continue;
    }
    if (++opened % 8 != 0) continue;
    ASSERT_TRUE((*result)->Push(BlockActions{}).ok());
    while ((*result)->work().any()) {
      StepReport report;
      Session* raw = result->get();
      ASSERT_TRUE(model_->Wait(model_->Submit(NextStage(raw->work()), {&raw, 1}, 1), &report).ok());
      if (!report.session_status[0].ok()) break;  // poisoned, alone
      raw->Take();
    }
  }
  EXPECT_GT(opened, 300);
}

INSTANTIATE_TEST_SUITE_P(On, SessionTest, AllEngines(), NameOfEngine);

}  // namespace
}  // namespace firstbyte::state_dit
