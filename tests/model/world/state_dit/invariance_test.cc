// Same seed and actions give the same bytes: alone or beside others in any stage, whatever the
// order of the steps, saved and opened again.
#include <algorithm>
#include <array>
#include <random>

#include "gtest/gtest.h"
#include "tests/model/world/state_dit/engine.h"

namespace firstbyte::state_dit {
namespace {

constexpr int kBlocks = 14, kPromptAt = 8;

struct Player {
  std::unique_ptr<Session> session;
  int number = 0;
  int pushed = 0;
  bool prompted = false;
  std::vector<uint8_t> pictures;
  std::vector<float> samples;
};

class InvarianceTest : public EngineTest {
 protected:
  static BlockActions ActionsOfPlayer(int player, int block) {
    std::mt19937 random(100 * player + block / 3);
    BlockActions actions;
    for (int key = 0; key < kKeys; ++key) actions.keys[key] = random() % 3 == 0;
    actions.pointer_dx = static_cast<float>(random() % 200) / 100 - 1;
    return actions;
  }

  static Player NewPlayer(Model* model, int number) {
    RawInput input;
    input.embedding.assign(6, 0.0f);
    input.embedding[number % 6] = 1;
    if (number % 2 == 1) input.image = RgbImage{64, 64, std::vector<uint8_t>(12288, 40 + number)};
    auto session = model->Open({.seed = 5u + number, .scene = PreparedScene(*model, input)});
    EXPECT_TRUE(session.ok()) << session.status();
    return {*std::move(session), number};
  }

  // Gives a player at a block boundary what comes next; false when there is nothing more.
  static bool PushNext(Model* model, Player* player) {
    if (player->pushed == kBlocks) return false;
    if (player->pushed == kPromptAt && !player->prompted) {
      player->prompted = true;
      std::vector<float> mix(6, 0.0f);
      mix[(player->number + 2) % 6] = 1;
      EXPECT_TRUE(player->session->Push(*model->Prepare({.embedding = mix})).ok());
    } else {
      EXPECT_TRUE(player->session->Push(ActionsOfPlayer(player->number, player->pushed++)).ok());
    }
    return true;
  }

  static void Collect(Player* player) {
    Output output = player->session->Take();
    player->pictures.insert(player->pictures.end(), output.frames.begin(), output.frames.end());
    player->samples.insert(player->samples.end(), output.samples.begin(), output.samples.end());
  }

  static void PlayAlone(Model* model, Player* player) {
    for (bool more = true; more;) {
      while (player->session->work().any()) {
        Step(model, NextStage(player->session->work()), {player->session.get()});
        Collect(player);
      }
      more = PushNext(model, player);
    }
  }

  Player Alone(int number) {
    auto model = NewModel({.slots = 1, .max_batch = 1});
    Player player = NewPlayer(model.get(), number);
    PlayAlone(model.get(), &player);
    player.session.reset();  // before its model
    return player;
  }

  static void ExpectSame(const Player& a, const Player& b) {
    EXPECT_EQ(a.pictures.size(), size_t{kBlocks} * 12288);
    EXPECT_TRUE(a.pictures == b.pictures) << "player " << a.number;
    EXPECT_TRUE(a.samples == b.samples) << "player " << a.number;
  }
};

// Random stages for random parts of the players: they are in different passes, frames and themes.
TEST_P(InvarianceTest, NeighboursChangeNothing) {
  constexpr int kPlayers = 5;
  auto model = NewModel();
  std::vector<Player> players;
  for (int i = 0; i < kPlayers; ++i) players.push_back(NewPlayer(model.get(), i));
  std::mt19937 random(1);
  for (int left = kPlayers; left > 0;) {
    left = 0;
    for (Player& player : players) {
      const Work work = player.session->work();
      if (work.any() || (random() % 2 == 0) || PushNext(model.get(), &player)) ++left;
    }
    const Stage stage = std::array{Stage::kPrefill, Stage::kGenerate, Stage::kGenerate,
                                   Stage::kDecode, Stage::kCommit}[random() % 5];
    std::vector<Session*> batch;
    for (Player& player : players) {
      const Work work = player.session->work();
      if (work.any() && NextStage(work) == stage && random() % 3 != 0) {
        batch.push_back(player.session.get());
      }
    }
    std::shuffle(batch.begin(), batch.end(), random);
    if (batch.empty()) continue;
    Step(model.get(), stage, batch);
    if (HasFatalFailure()) return;
    for (Player& player : players) Collect(&player);
  }
  for (const Player& player : players) ExpectSame(player, Alone(player.number));
}

TEST_P(InvarianceTest, SavedAndOpenedAgainAtEveryBlock) {
  for (int number : {0, 1}) {
    // Two models in turn: slots, rings and buffers are never those of the block before.
    std::unique_ptr<Model> models[] = {NewModel({.slots = 1, .max_batch = 1}),
                                       NewModel({.slots = 1, .max_batch = 1})};
    Player player = NewPlayer(models[0].get(), number);
    Model* model = models[0].get();
    for (int turn = 0;; ++turn) {
      while (player.session->work().any()) {
        Step(model, NextStage(player.session->work()), {player.session.get()});
        Collect(&player);
      }
      auto state = player.session->Save();
      ASSERT_TRUE(state.ok()) << state.status();
      player.session.reset();
      model = models[(turn + 1) % 2].get();
      auto opened = model->Open({.state = std::make_shared<std::string>(*std::move(state))});
      ASSERT_TRUE(opened.ok()) << opened.status();
      player.session = *std::move(opened);
      if (!PushNext(model, &player)) break;
    }
    player.session.reset();
    ExpectSame(player, Alone(number));
  }
}

TEST_P(InvarianceTest, AReusedSlotRemembersNothing) {
  auto model = NewModel({.slots = 1, .max_batch = 1});
  for (int number : {2, 0, 1}) {
    Player player = NewPlayer(model.get(), number);
    PlayAlone(model.get(), &player);
    player.session.reset();
    ExpectSame(player, Alone(number));
  }
}

TEST_P(InvarianceTest, SeedsMatter) {
  Player a = Alone(0);
  auto model = NewModel();
  auto session = model->Open({.seed = 77, .scene = PreparedScene(*model)});
  Player b{*std::move(session), 0};
  PlayAlone(model.get(), &b);
  EXPECT_FALSE(a.pictures == b.pictures);
}

INSTANTIATE_TEST_SUITE_P(On, InvarianceTest, AllEngines(), NameOfEngine);

}  // namespace
}  // namespace firstbyte::state_dit
