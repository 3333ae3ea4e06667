#include "server/stream/saved_world.h"

#include <random>

#include "base/error.h"
#include "gtest/gtest.h"
#include "server/stream/saved_header.h"
#include "server/stream/sha256.h"

namespace firstbyte {
namespace {

SavedActions Walk(int64_t sequence) {
  SavedActions actions{.sequence = sequence,
                       .client_time = absl::FromUnixNanos(1'700'000'000'123'456'789),
                       .repeat = 3};
  actions.actions.keys.set(0).set(255);
  actions.actions.pointer_dx = 0.1F;
  actions.actions.pointer_dy = -2;
  actions.actions.scroll = -0.0F;
  actions.actions.axes = {0.25F, -1};
  return actions;
}

SavedWorld Full() {
  SavedWorld world{.model = "maze",
                   .version = "abc",
                   .seed = 0xFFFF'FFFF'FFFF'FFFF,
                   .next_block = 7,
                   .media_clock = absl::Milliseconds(350),
                   .audio_sequence = 7,
                   .skipped_blocks = 2,
                   .held = Walk(4)};
  world.pending = {Walk(5), SavedPrompt{.text = "a red \"room\"\n\xc3\xa9", .apply_at_block = 9},
                   ResetWorld{}, SavedPrompt{.embedding = {1.5F, -3e-30F}}};
  for (int i = 5; i < 7; ++i) {
    SavedBlock block{.presentation_offset = absl::Milliseconds(50) * i,
                     .applied_action_sequence = i};
    block.output.block = i;
    block.output.frames = std::vector<uint8_t>(12, i);
    block.output.start_sample = 800 * i;
    block.output.samples = {0.5F, -0.25F};
    world.blocks.push_back(block);
  }
  world.blocks[0].client_time = absl::UnixEpoch();
  world.state = std::make_shared<const std::string>("state\0with zeros", 16);
  world.session = SavedSession{"id", 3, 2, absl::FromUnixSeconds(12)};
  return world;
}

// A container that lies in its header but has the right digest.
std::string WithHeader(std::string header, absl::string_view rest = "") {
  std::string out = "FBWORLD1";
  for (int shift = 0; shift < 32; shift += 8) {
    out.push_back(static_cast<char>(header.size() >> shift));
  }
  out += header;
  out.append(rest.data(), rest.size());
  return out + Sha256(out);
}

void ExpectCorrupted(absl::string_view container) {
  auto world = ParseWorld(container);
  ASSERT_EQ(world.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DetailOf(world.status()).reason, "SNAPSHOT_CORRUPTED");
}

TEST(SavedWorld, ComesBackAsItWas) {
  const SavedWorld full = Full();
  const std::string container = SerializeWorld(full);
  auto world = ParseWorld(container);
  ASSERT_TRUE(world.ok()) << world.status();
  EXPECT_EQ(SerializeWorld(*world), container);
  EXPECT_EQ(world->seed, full.seed);
  EXPECT_EQ(world->media_clock, full.media_clock);
  EXPECT_EQ(*world->state, *full.state);
  ASSERT_EQ(world->pending.size(), 4u);
  const auto& walk = std::get<SavedActions>(world->pending[0]);
  EXPECT_EQ(walk.actions.keys, Walk(5).actions.keys);
  EXPECT_EQ(walk.client_time, Walk(5).client_time);
  EXPECT_EQ(walk.actions.pointer_dx, 0.1F);
  EXPECT_EQ(std::get<SavedPrompt>(world->pending[1]).text, "a red \"room\"\n\xc3\xa9");
  EXPECT_TRUE(std::holds_alternative<ResetWorld>(world->pending[2]));
  EXPECT_EQ(std::get<SavedPrompt>(world->pending[3]).embedding[1], -3e-30F);
  EXPECT_EQ(world->blocks[1].output.frames, full.blocks[1].output.frames);
  EXPECT_EQ(world->blocks[1].output.samples, full.blocks[1].output.samples);
  EXPECT_EQ(world->session->confirmed, 2);
}

TEST(SavedWorld, AnEmptyOneComesBackToo) {
  SavedWorld world{.state = std::make_shared<const std::string>()};
  auto back = ParseWorld(SerializeWorld(world));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_FALSE(back->session);
}

TEST(SavedWorld, TheHeaderCanBeReadAlone) {
  const SavedWorld full = Full();
  const std::string container = SerializeWorld(full);
  auto header = ParseWorldHeader(container.substr(0, container.size() - 40));
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->world.model, "maze");
  EXPECT_EQ(header->sizes.state, 16);
  EXPECT_EQ(header->world.session->generation, 3);
}

TEST(SavedWorld, EveryFlippedBitIsFound) {
  const std::string container = SerializeWorld(Full());
  for (size_t i = 0; i < container.size(); ++i) {
    std::string flipped = container;
    flipped[i] ^= static_cast<char>(1 << (i % 8));
    EXPECT_FALSE(ParseWorld(flipped).ok()) << "byte " << i;
  }
}

TEST(SavedWorld, EveryCutIsFound) {
  const std::string container = SerializeWorld(Full());
  for (size_t size = 0; size < container.size(); ++size) {
    EXPECT_FALSE(ParseWorld(container.substr(0, size)).ok()) << size;
  }
  ExpectCorrupted(container + "x");
}

// The digest is no signature: whoever makes a container can make the digest.
TEST(SavedWorld, AForgedHeaderIsReadStrictly) {
  const std::string good = FormatHeader({});
  ASSERT_TRUE(ParseWorld(WithHeader(good)).ok());
  auto with = [&](const std::string& from, const std::string& to) {
    std::string header = good;
    const size_t at = header.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return header.replace(at, from.size(), to);
  };
  for (const std::string& header : {
           std::string(),
           std::string("{}"),
           std::string("[]"),
           std::string("null"),
           std::string("{\"a\":"),
           good + " ",
           with("{", "{\"unknown\":1,"),
           with("\"next_block\":0", "\"next_block\":-1"),
           with("\"next_block\":0", "\"next_block\":18446744073709551615"),
           with("\"next_block\":0", "\"next_block\":1e300"),
           with("\"next_block\":0", "\"next_block\":\"0\""),
           with("\"seed\":0", "\"seed\":-1"),
           with("\"state_bytes\":0", "\"state_bytes\":9223372036854775807"),
           with("\"state_bytes\":0", "\"state_bytes\":1"),
           with("\"blocks\":[]", "\"blocks\":[{}]"),
           with("\"blocks\":[]", "\"blocks\":5"),
           with("\"pending\":[]", "\"pending\":[null]"),
           with("\"pending\":[]", "\"pending\":[{\"reset\":false}]"),
           with("\"pending\":[]", "\"pending\":[{\"actions\":{}}]"),
           with("\"keys\":[]", "\"keys\":[256]"),
           with("\"keys\":[]", "\"keys\":[-1]"),
           with("\"keys\":[]", "\"keys\":[3,3]"),
           with("\"scroll\":0.0", "\"scroll\":1e39"),
           with("\"scroll\":0.0", "\"scroll\":null"),
           with("\"pointer\":[0.0,0.0]", "\"pointer\":[0.0]"),
           with("\"axes\":[]", "\"axes\":[1.5]"),
           std::string(100'000, '['),
           with("\"pending\":[]",
                "\"pending\":" + std::string(50'000, '[') + std::string(50'000, ']')),
       }) {
    SCOPED_TRACE(header.substr(0, 80));
    ExpectCorrupted(WithHeader(header));
  }
}

TEST(SavedWorld, ABlockThatClaimsMoreThanThereIsIsCorrupted) {
  SavedWorld world{.next_block = 1, .state = std::make_shared<const std::string>("s")};
  world.blocks.resize(1);
  world.blocks[0].output.block = 0;
  const std::string good = FormatHeader(world);
  ASSERT_TRUE(ParseWorld(WithHeader(good, "s")).ok());
  for (const char* size : {"4611686018427387905", "9223372036854775807", "1"}) {
    for (const char* what : {"\"samples\":", "\"frame_bytes\":"}) {
      std::string header = good;
      const std::string zero = std::string(what) + "0";
      header.replace(header.find(zero), zero.size(), std::string(what) + size);
      ExpectCorrupted(WithHeader(header, "s"));
    }
  }
  world.blocks[0].output.block = 1;  // a gap before next_block
  ExpectCorrupted(WithHeader(FormatHeader(world), "s"));
}

TEST(SavedWorld, RandomDamageUnderARightDigestNeverCrashes) {
  const std::string container = SerializeWorld(Full());
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = container.substr(0, container.size() - 32);
    for (int flips = 1 + static_cast<int>(random() % 4); flips > 0; --flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    const std::string sealed = bytes + Sha256(bytes);
    auto world = ParseWorld(sealed);
    if (!world.ok()) continue;
    EXPECT_EQ(SerializeWorld(*world), sealed);
  }
}

TEST(SavedWorld, OnlyTheModelThatMadeItMayGoOn) {
  const SavedWorld world = Full();
  EXPECT_TRUE(CheckModel(world, {.name = "maze", .version = "abc"}).ok());
  for (const ModelInfo& other :
       {ModelInfo{.name = "maze", .version = "abd"}, ModelInfo{.name = "mice", .version = "abc"}}) {
    const absl::Status status = CheckModel(world, other);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(DetailOf(status).reason, "MODEL_MISMATCH");
  }
}

}  // namespace
}  // namespace firstbyte
