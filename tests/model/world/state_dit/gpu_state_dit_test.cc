// The family with its transformer on a GPU, emulated or not, against the CPU's.
#include "model/world/state_dit/gpu_state_dit.h"

#include <cmath>
#include <deque>
#include <optional>

#include "base/error.h"
#include "tests/model/world/state_dit/device_fixture.h"

namespace firstbyte::state_dit {
namespace {

constexpr int kPlayers = 3, kBlocks = 5;
constexpr LaneSize kSize = {.slots = 4, .max_batch = kPlayers};

class GpuStateDitTest : public DeviceTest {
 protected:
  std::unique_ptr<Model> Open(cuda::Number number = cuda::Number::kF32) {
    std::string why;
    auto model = GpuStateDit::Create(world_, TinyFolder(), NewGpu(&why), kSize, {.number = number});
    EXPECT_TRUE(model.ok()) << model.status();
    return *std::move(model);
  }

  // What each player sees and hears, block by block.
  using Played = std::vector<std::vector<Output>>;

  static std::vector<std::unique_ptr<Session>> Enter(Model* model) {
    std::vector<std::unique_ptr<Session>> sessions;
    for (uint64_t seed = 1; seed <= kPlayers; ++seed) {
      auto session = model->Open({.seed = seed, .scene = PreparedScene(*model)});
      EXPECT_TRUE(session.ok()) << session.status();
      sessions.push_back(*std::move(session));
    }
    return sessions;
  }
  static void BeginBlock(Session* session, size_t player, size_t block) {
    BlockActions actions;
    actions.keys[(player + block) % kKeys] = true;
    actions.pointer_dx = 0.3f;
    ASSERT_TRUE(session->Push(std::move(actions)).ok());
  }

  static Output PlayBlock(Model* model, Session* session, size_t block) {
    BeginBlock(session, 0, block);
    return Settle(model, session);
  }

  // Of different engines.
  static void ExpectAlike(const Output& one, const Output& other) {
    ASSERT_EQ(one.block, other.block);
    ASSERT_EQ(one.frames.size(), other.frames.size());
    for (size_t i = 0; i < one.frames.size(); ++i) {
      ASSERT_LE(std::abs(one.frames[i] - other.frames[i]), 1) << "pixel " << i;
    }
    for (size_t i = 0; i < one.samples.size(); ++i) {
      ASSERT_NEAR(one.samples[i], other.samples[i], 1e-3) << "sample " << i;
    }
  }

  // All in the same steps, which are waited for at once.
  static Played PlayTogether(Model* model) {
    const auto sessions = Enter(model);
    Played played(kPlayers);
    std::vector<Session*> all;
    for (const auto& session : sessions) all.push_back(session.get());
    for (size_t block = 0; block <= kBlocks; ++block) {
      while (all[0]->work().any()) {
        Step(model, NextStage(all[0]->work()), all);
        for (size_t i = 0; i < kPlayers; ++i) {
          Output output = all[i]->Take();
          if (output.block >= 0) played[i].push_back(std::move(output));
        }
      }
      if (block == kBlocks) break;
      for (size_t i = 0; i < kPlayers; ++i) BeginBlock(all[i], i, block);
    }
    return played;
  }

  // Each in steps of its own, two of which are under way.
  static Played PlayInTurns(Model* model) {
    const auto sessions = Enter(model);
    Played played(kPlayers);
    std::deque<std::pair<Ticket, size_t>> under_way;
    const auto finish = [&] {
      StepReport report;
      const auto [ticket, player] = under_way.front();
      under_way.pop_front();
      const absl::Status status = model->Wait(ticket, &report);
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_TRUE(report.session_status[0].ok());
      Output output = sessions[player]->Take();
      if (output.block >= 0) played[player].push_back(std::move(output));
    };
    size_t most = 0;
    for (size_t turn = 0; turn < 1000; ++turn) {
      const size_t player = turn % kPlayers;
      Session* session = sessions[player].get();
      if (session->work().wants_block && played[player].size() < kBlocks) {
        BeginBlock(session, player, played[player].size());
      }
      const Work work = session->work();
      if (!work.any() || under_way.size() == GpuStateDit::kStepsUnderWay) {
        if (!under_way.empty()) finish();
      }
      if (!work.any()) continue;
      under_way.emplace_back(model->Submit(NextStage(work), {&session, 1}, 1), player);
      most = std::max(most, under_way.size());
    }
    while (!under_way.empty()) finish();
    EXPECT_EQ(most, 2u);
    return played;
  }
};

TEST_P(GpuStateDitTest, ShowsWhatTheCpuDoes) {
  const auto gpu = Open();
  const auto cpu = NewModel(world_, kSize);
  const Played made = PlayTogether(gpu.get()), expected = PlayTogether(cpu.get());
  for (size_t player = 0; player < kPlayers; ++player) {
    ASSERT_EQ(made[player].size(), static_cast<size_t>(kBlocks));
    for (size_t block = 0; block < kBlocks; ++block) {
      ExpectAlike(made[player][block], expected[player][block]);
    }
  }
}

TEST_P(GpuStateDitTest, TwoStepsUnderWayMakeTheSameBytes) {
  const auto one = Open(), other = Open();
  const Played together = PlayTogether(one.get()), turns = PlayInTurns(other.get());
  for (size_t player = 0; player < kPlayers; ++player) {
    ASSERT_EQ(turns[player].size(), together[player].size());
    for (size_t block = 0; block < kBlocks; ++block) {
      EXPECT_EQ(turns[player][block].frames, together[player][block].frames);
      EXPECT_EQ(turns[player][block].samples, together[player][block].samples);
    }
  }
}

// A session goes on elsewhere, within what the two differ by.
TEST_P(GpuStateDitTest, ASessionMovesBetweenCpuAndDevice) {
  const auto device = Open();
  const auto cpu = NewModel(world_, kSize);
  for (Model* from : {device.get(), static_cast<Model*>(cpu.get())}) {
    Model* const to = from == device.get() ? static_cast<Model*>(cpu.get()) : device.get();
    auto stays = *from->Open({.seed = 4, .scene = PreparedScene(*from)});
    Settle(from, stays.get());
    for (size_t block = 0; block < 7; ++block) PlayBlock(from, stays.get(), block);
    auto state = stays->Save();
    ASSERT_TRUE(state.ok()) << state.status();
    auto moved = to->Open({.state = std::make_shared<const std::string>(*state)});
    ASSERT_TRUE(moved.ok()) << moved.status();
    EXPECT_EQ(*(*moved)->Save(), *state) << "not a byte has changed on the way";
    for (size_t block = 7; block < 12; ++block) {
      ExpectAlike(PlayBlock(to, moved->get(), block), PlayBlock(from, stays.get(), block));
    }
  }
}

TEST_P(GpuStateDitTest, InHalfFloatsASavedSessionGoesOnWithTheSameBytes) {
  for (const cuda::Number number : {cuda::Number::kF16, cuda::Number::kBf16}) {
    const auto model = Open(number);
    auto stays = *model->Open({.seed = 4, .scene = PreparedScene(*model)});
    Settle(model.get(), stays.get());
    for (size_t block = 0; block < 6; ++block) PlayBlock(model.get(), stays.get(), block);
    const std::string state = *stays->Save();
    auto moved = *model->Open({.state = std::make_shared<const std::string>(state)});
    EXPECT_EQ(*moved->Save(), state);
    for (size_t block = 6; block < 8; ++block) {
      const Output one = PlayBlock(model.get(), moved.get(), block);
      const Output other = PlayBlock(model.get(), stays.get(), block);
      EXPECT_EQ(one.frames, other.frames);
      EXPECT_EQ(one.samples, other.samples);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(On, GpuStateDitTest, AllDevices(), NameOfDevice);

}  // namespace
}  // namespace firstbyte::state_dit
