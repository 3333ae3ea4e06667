// A player, a store and an engine with the scripted world, for the tests of world streams.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/scripted_world.h"
#include "server/stream/world_store.h"
#include "server/stream/world_stream.h"
#include "tests/server/stream/fake_transport.h"

namespace firstbyte {

// Everything one stream said.
struct WorldTranscript {
  std::optional<WorldOpened> opened;
  std::vector<WorldBlock> blocks;
  std::string pcm;
  std::vector<SpeechAudio> audio;
  std::vector<WorldSnapshot> snapshots;
  std::vector<WorldNotice> notices;
  std::optional<WorldSummary> summary;
  std::optional<WorldEnd> end;

  std::vector<int64_t> indices() const;
  std::vector<WorldNotice::Kind> kinds() const;  // of the notices
  std::string reason() const { return end ? DetailOf(end->status).reason : "not ended"; }
};

// One call, driven by the test's thread, which writes at once.
class Player {
 public:
  explicit Player(const StreamContext& context)
      : transport_(std::make_shared<TestTransport>()),
        stream_(WorldStream::Create(context, transport_)) {}

  Player& Say(WorldRequest request) {
    stream_->Handle(std::move(request));
    return *this;
  }
  // Reads until the transcript has so many blocks (snapshots, notices), or the stream ends.
  void ReadBlocks(size_t count);
  void ReadSnapshots(size_t count);
  void ReadNotices(size_t count);
  void ReadOpened();
  WorldTranscript& ReadAll();
  // Takes what is there without waiting.
  void Drain();

  WorldStream& stream() { return *stream_; }
  TestTransport& transport() { return *transport_; }
  WorldTranscript& got() { return got_; }
  std::string reason() const { return got_.reason(); }

 private:
  bool Keep(WorldStream::NextResult next);

  const std::shared_ptr<TestTransport> transport_;
  const std::shared_ptr<WorldStream> stream_;
  WorldTranscript got_;
};

// Whether `condition` comes true while the lane works; the lane's clock only moves with its steps.
class WorldTest : public testing::Test {
 protected:
  void SetUp() override { Make(); }
  void TearDown() override;

  void Make(ScriptedWorldOptions options = {}, WorldStoreOptions store = {});

  OpenWorld Open(uint64_t seed = 1) const {
    return {.tenant = "t", .origin = CreateWorld{.seed = seed}, .video = ImageFormat::kRawRgb};
  }
  OpenWorld Resume(const WorldTranscript& before, int64_t last_received) const {
    return {.tenant = "t",
            .origin = ResumeWorld{before.opened->session_id, before.opened->token, last_received},
            .video = ImageFormat::kRawRgb};
  }
  Player NewPlayer() { return Player(context_); }

  // What the first stream of a session with `open` and `requests` says until half-close.
  WorldTranscript Run(std::vector<WorldRequest> requests);
  // Raw pictures of a replayed block.
  std::vector<std::string> Frames(const Output& block) const;
  // Blocks until session `id` has parked.
  void AwaitParked(const std::string& id);
  // The engine must be as if nothing had happened.
  void ExpectUnharmed();
  void AwaitFreeSlots();

  ScriptedWorldOptions options_;
  FakeClock clock_;
  CountingObserver observer_;
  std::unique_ptr<WorldStore> store_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ThreadPool> pool_;
  StreamContext context_;
};

// Actions number `sequence` with `keys` held.
inline WorldActions Act(int64_t sequence, std::vector<std::string> keys = {}, int repeat = 1) {
  return {.sequence = sequence, .keys = std::move(keys), .repeat = repeat};
}
BlockActions Held(const std::vector<int>& keys);

}  // namespace firstbyte
