#include "tests/server/stream/world_fixture.h"

#include <thread>
#include <utility>

namespace firstbyte {

std::vector<int64_t> WorldTranscript::indices() const {
  std::vector<int64_t> indices;
  for (const WorldBlock& block : blocks) indices.push_back(block.index);
  return indices;
}

std::vector<WorldNotice::Kind> WorldTranscript::kinds() const {
  std::vector<WorldNotice::Kind> kinds;
  for (const WorldNotice& notice : notices) kinds.push_back(notice.kind);
  return kinds;
}

bool Player::Keep(WorldStream::NextResult next) {
  if (auto* end = std::get_if<WorldEnd>(&next)) {
    got_.end = std::move(*end);
    EXPECT_TRUE(std::holds_alternative<std::monostate>(stream_->Next())) << "ended twice";
    return false;
  }
  auto& response = std::get<WorldResponse>(next);
  if (auto* opened = std::get_if<WorldOpened>(&response)) {
    EXPECT_FALSE(got_.opened);
    got_.opened = std::move(*opened);
  }
  EXPECT_TRUE(got_.opened) << "something came before `opened`";
  if (auto* block = std::get_if<WorldBlock>(&response)) got_.blocks.push_back(std::move(*block));
  if (auto* audio = std::get_if<SpeechAudio>(&response)) {
    got_.pcm += audio->audio.data;
    got_.audio.push_back(std::move(*audio));
  }
  if (auto* snapshot = std::get_if<WorldSnapshot>(&response)) got_.snapshots.push_back(*snapshot);
  if (auto* notice = std::get_if<WorldNotice>(&response)) got_.notices.push_back(*notice);
  if (auto* summary = std::get_if<WorldSummary>(&response)) got_.summary = *summary;
  stream_->OnWritten();
  return true;
}

void Player::ReadOpened() {
  while (!got_.opened && Keep(transport_->Await(*stream_))) {
  }
}
void Player::ReadBlocks(size_t count) {
  while (got_.blocks.size() < count && Keep(transport_->Await(*stream_))) {
  }
}
void Player::ReadSnapshots(size_t count) {
  while (got_.snapshots.size() < count && Keep(transport_->Await(*stream_))) {
  }
}
void Player::ReadNotices(size_t count) {
  while (got_.notices.size() < count && Keep(transport_->Await(*stream_))) {
  }
}
WorldTranscript& Player::ReadAll() {
  while (!got_.end && Keep(transport_->Await(*stream_))) {
  }
  return got_;
}
void Player::Drain() {
  while (true) {
    auto next = stream_->Next();
    if (std::holds_alternative<std::monostate>(next) || !Keep(std::move(next))) return;
  }
}

void WorldTest::Make(ScriptedWorldOptions options, WorldStoreOptions store) {
  engine_.reset();
  options_ = options;
  auto inject = options.on_step;
  options.on_step = [this, inject](Stage stage, int batch) {
    clock_.Advance(absl::Milliseconds(1));
    return inject ? inject(stage, batch) : absl::OkStatus();
  };
  std::vector<std::vector<std::unique_ptr<Model>>> lanes(1);
  lanes[0].push_back(MakeScriptedWorld(std::move(options)));
  store_ = *WorldStore::Create(store);
  engine_ = *Engine::Create(std::move(lanes), {.clock = &clock_});
  pool_ = std::make_unique<ThreadPool>(2, "test");
  context_ = {.engine = engine_.get(),
              .pool = pool_.get(),
              .observer = &observer_,
              .worlds = store_.get(),
              .clock = &clock_};
}

void WorldTest::TearDown() {
  engine_.reset();
  pool_.reset();
  store_.reset();
  EXPECT_EQ(observer_.outbox_bytes, 0) << "outbox bytes leaked";
}

WorldTranscript WorldTest::Run(std::vector<WorldRequest> requests) {
  Player player = NewPlayer();
  for (auto& request : requests) player.Say(std::move(request));
  player.stream().HalfClose();
  return player.ReadAll();
}

std::vector<std::string> WorldTest::Frames(const Output& block) const {
  const size_t bytes = size_t{3} * options_.width * options_.height;
  std::vector<std::string> frames;
  for (size_t at = 0; at < block.frames.size(); at += bytes) {
    const auto first = block.frames.begin() + static_cast<std::ptrdiff_t>(at);
    frames.emplace_back(first, first + static_cast<std::ptrdiff_t>(bytes));
  }
  return frames;
}

void WorldTest::AwaitParked(const std::string& id) {
  for (bool parked = false; !parked;) {
    // The answer comes on the store's thread, after all that it was asked before.
    absl::StatusOr<WorldSessionInfo> info;
    Mutex mu;
    CondVar answered;
    bool done = false;
    store_->Get("t", id, [&](absl::StatusOr<WorldSessionInfo> got) {
      MutexLock lock(&mu);
      info = std::move(got);
      done = true;
      answered.NotifyAll();
    });
    {
      MutexLock lock(&mu);
      while (!done) answered.Wait(&mu);
    }
    ASSERT_TRUE(info.ok()) << info.status();
    parked = info->state == WorldSessionState::kParked;
    if (!parked) std::this_thread::yield();
  }
}

void WorldTest::AwaitFreeSlots() {
  while (engine_->admission().usage(0).used > 0) std::this_thread::yield();
}

void WorldTest::ExpectUnharmed() {
  AwaitFreeSlots();
  WorldTranscript next = Run({Open(77), Act(1, {"W"}), Act(2)});
  ASSERT_TRUE(next.end->status.ok()) << next.end->status;
  ScriptedWorldReplay replay(options_, 77);
  ASSERT_EQ(next.blocks.size(), 2u);
  EXPECT_EQ(next.blocks[0].frames, Frames(replay.Next(Held({0}))));
  EXPECT_EQ(next.blocks[1].frames, Frames(replay.Next({})));
}

BlockActions Held(const std::vector<int>& keys) {
  BlockActions actions;
  for (int key : keys) actions.keys.set(key);
  return actions;
}

}  // namespace firstbyte
