// The family on a GPU, emulated or not: against the CPU's, and the promises of model/model.h.
#include "model/world/waypoint/gpu_waypoint.h"

#include <cmath>
#include <deque>

#include "base/error.h"
#include "tests/model/world/waypoint/device_fixture.h"

namespace firstbyte::waypoint {
namespace {

constexpr int kBlocks = 5;  // past the wrap of the shorter memory
constexpr LaneSize kSize = {.slots = 3, .max_batch = 2};

using Frames = std::vector<std::vector<uint8_t>>;

class GpuWaypointTest : public DeviceTest {
 protected:
  static std::unique_ptr<Model> NewModel(std::shared_ptr<const Checkpoint> checkpoint,
                                         const cuda::GpuOptions& options = {}) {
    std::string why;
    auto model =
        GpuWaypoint::Create(std::move(checkpoint), TinyFolder(), NewGpu(&why), kSize, options);
    EXPECT_TRUE(model.ok()) << model.status();
    return *std::move(model);
  }
  std::unique_ptr<Model> OnGpu(const cuda::GpuOptions& options = {}) const {
    return NewModel(checkpoint_, options);
  }
  std::unique_ptr<Model> OnCpu() const { return *Waypoint::Create(checkpoint_, kSize); }

  static std::unique_ptr<Session> Enter(Model* model, uint64_t seed) {
    SessionSpec spec;
    spec.seed = seed;
    if (seed % 2 == 0) spec.scene = *model->Prepare({.image = Picture()});  // which they begin with
    auto session = model->Open(spec);
    EXPECT_TRUE(session.ok()) << session.status();
    return *std::move(session);
  }
  static std::unique_ptr<Session> Restore(Model* model, const std::string& state) {
    auto session = model->Open({.state = std::make_shared<const std::string>(state)});
    EXPECT_TRUE(session.ok()) << session.status();
    return *std::move(session);
  }

  static Frames PlayOn(Model* model, Session* session, int first, int count) {
    Frames frames;
    for (Output& block : Play(model, session, first, count)) {
      frames.push_back(std::move(block.frames));
    }
    return frames;
  }
  static Frames Alone(Model* model, uint64_t seed) {
    return PlayOn(model, Enter(model, seed).get(), 0, kBlocks);
  }

  // Two players, each in steps of its own, of which two are under way.
  static std::vector<Frames> InTurns(Model* model) {
    std::vector<std::unique_ptr<Session>> sessions;
    for (uint64_t seed : {1, 2}) sessions.push_back(Enter(model, seed));
    std::vector<Frames> played(2);
    std::deque<std::pair<Ticket, size_t>> under_way;
    size_t most = 0;
    const auto finish = [&] {
      const auto [ticket, player] = under_way.front();
      under_way.pop_front();
      StepReport report;
      const absl::Status status = model->Wait(ticket, &report);
      EXPECT_TRUE(status.ok() && report.session_status[0].ok()) << status;
      Output output = sessions[player]->Take();
      if (output.block >= 0) played[player].push_back(std::move(output.frames));
    };
    for (int turn = 0; played[0].size() + played[1].size() < 2 * kBlocks; ++turn) {
      Session* session = sessions[turn % 2].get();
      const auto block = static_cast<int>(played[turn % 2].size());
      if (session->work().wants_block && block < kBlocks) {
        EXPECT_TRUE(session->Push(Golden::Get().Actions(block)).ok());
      }
      const auto stage = NextStage(*session);
      if (!under_way.empty() && (!stage || under_way.size() == 2)) finish();
      if (!stage) continue;
      under_way.emplace_back(model->Submit(*stage, {&session, 1}, 4), turn % 2);
      most = std::max(most, under_way.size());
    }
    while (!under_way.empty()) finish();
    EXPECT_EQ(most, 2u);
    return played;
  }

  // Both in the same steps where they are in the same stage.
  static std::vector<Frames> Together(Model* model) {
    std::vector<std::unique_ptr<Session>> sessions;
    for (uint64_t seed : {1, 2}) sessions.push_back(Enter(model, seed));
    std::vector<Frames> played(2);
    while (played[1].size() < kBlocks || sessions[1]->work().any()) {
      for (size_t i = 0; i < 2; ++i) {
        const auto block = static_cast<int>(played[i].size());
        if (!sessions[i]->work().wants_block || block == kBlocks) continue;
        EXPECT_TRUE(sessions[i]->Push(Golden::Get().Actions(block)).ok());
      }
      const Stage stage = *NextStage(*sessions[1]);  // which begins later, with its picture
      std::vector<Session*> batch = {sessions[1].get()};
      if (CanRun(sessions[0]->work(), stage)) batch.push_back(sessions[0].get());
      if (batch.size() == 1 && sessions[0]->work().any()) batch = {sessions[0].get()};
      Step(model, *NextStage(*batch[0]), batch);
      for (size_t i = 0; i < 2; ++i) {
        Output output = sessions[i]->Take();
        if (output.block >= 0) played[i].push_back(std::move(output.frames));
      }
      if (HasFatalFailure()) break;
    }
    return played;
  }

  // The mean and the largest difference, in codes.
  static std::pair<double, int> Apart(const Frames& one, const Frames& other) {
    double sum = 0, count = 0;
    int most = 0;
    EXPECT_EQ(one.size(), other.size());
    for (size_t i = 0; i < one.size(); ++i) {
      EXPECT_EQ(one[i].size(), other[i].size());
      for (size_t j = 0; j < one[i].size(); ++j, ++count) {
        const int apart = std::abs(one[i][j] - other[i][j]);
        sum += apart;
        most = std::max(most, apart);
      }
    }
    return {sum / count, most};
  }
};

TEST_P(GpuWaypointTest, ShowsWhatTheCpuDoes) {
  const auto gpu = OnGpu(), cpu = OnCpu();
  for (uint64_t seed : {1, 2}) {
    const auto [mean, most] = Apart(Alone(gpu.get(), seed), Alone(cpu.get(), seed));
    EXPECT_LE(most, 1) << seed;
    EXPECT_LE(mean, 0.01) << seed;
  }
}

TEST_P(GpuWaypointTest, InBf16ItIsNear) {
  const auto gpu = OnGpu({.number = cuda::Number::kBf16});
  const auto [mean, most] = Apart(Alone(gpu.get(), 2), Alone(OnCpu().get(), 2));
  EXPECT_LE(mean, 1) << "largest difference " << most;
}

TEST_P(GpuWaypointTest, NeighboursGraphsAndStepsUnderWayDoNotChangeTheFrames) {
  const std::vector<Frames> together = Together(OnGpu().get());
  EXPECT_EQ(InTurns(OnGpu().get()), together);
  const auto eager = OnGpu({.mode = cuda::GraphMode::kEager});
  EXPECT_EQ(Alone(eager.get(), 1), together[0]);
  EXPECT_EQ(Alone(eager.get(), 2), together[1]);
}

TEST_P(GpuWaypointTest, ASavedWorldGoesOnInAnotherSlotOfAnotherDevice) {
  const auto model = OnGpu(), other = OnGpu();
  const auto session = Enter(model.get(), 2);
  PlayOn(model.get(), session.get(), 0, kBlocks);
  const std::string state = *session->Save();
  const auto full = Enter(other.get(), 1);  // of another world's slot
  PlayOn(other.get(), full.get(), 3, 2);
  const auto restored = Restore(other.get(), state);
  EXPECT_TRUE(*restored->Save() == state);
  EXPECT_EQ(PlayOn(other.get(), restored.get(), kBlocks, 2),
            PlayOn(model.get(), session.get(), kBlocks, 2));
}

TEST_P(GpuWaypointTest, AWorldMovesBetweenCpuAndGpu) {
  const auto gpu = OnGpu(), cpu = OnCpu();
  const auto session = Enter(cpu.get(), 2);
  PlayOn(cpu.get(), session.get(), 0, kBlocks);
  const std::string state = *session->Save();
  const auto moved = Restore(gpu.get(), state);
  EXPECT_TRUE(*moved->Save() == state);
  EXPECT_LE(Apart(PlayOn(gpu.get(), moved.get(), kBlocks, 2),
                  PlayOn(cpu.get(), session.get(), kBlocks, 2))
                .second,
            1);
  const auto back = Restore(cpu.get(), *moved->Save());
  EXPECT_LE(Apart(PlayOn(cpu.get(), back.get(), kBlocks + 2, 1),
                  PlayOn(cpu.get(), session.get(), kBlocks + 2, 1))
                .second,
            1);
}

TEST_P(GpuWaypointTest, AWorldSavedBeforeItsFirstBlockRemembersNoOtherWorld) {
  const auto model = OnGpu();
  PlayOn(model.get(), Enter(model.get(), 5).get(), 0, 1);
  const auto cpu = OnCpu();
  EXPECT_TRUE(*Enter(model.get(), 1)->Save() == *Enter(cpu.get(), 1)->Save());
}

TEST_P(GpuWaypointTest, ResetGoesBackToTheOrigin) {
  const auto model = OnGpu();
  for (uint64_t seed : {1, 2}) {
    const auto session = Enter(model.get(), seed);
    const Frames first = PlayOn(model.get(), session.get(), 0, 2);
    ASSERT_TRUE(session->Push(ResetWorld{}).ok());
    EXPECT_EQ(PlayOn(model.get(), session.get(), 0, 2), first) << seed;
  }
}

TEST_P(GpuWaypointTest, ADamagedStateIsDataLossAndLeavesTheSlotFree) {
  const auto model = OnGpu();
  const auto session = Enter(model.get(), 1);
  PlayOn(model.get(), session.get(), 0, 1);
  std::string state = *session->Save();
  state[state.size() / 2] ^= 1;
  for (int i = 0; i < 2 * kSize.slots; ++i) {
    const auto status = model->Open({.state = std::make_shared<const std::string>(state)}).status();
    EXPECT_EQ(DetailOf(status).reason, "BAD_STATE") << status;
  }
}

INSTANTIATE_TEST_SUITE_P(On, GpuWaypointTest, AllDevices(), NameOfDevice);

}  // namespace
}  // namespace firstbyte::waypoint
