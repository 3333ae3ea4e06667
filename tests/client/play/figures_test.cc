#include "client/play/figures.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

v1::Block Block(int64_t index, int64_t sequence) {
  v1::Block block;
  block.set_index(index);
  block.set_applied_action_sequence(sequence);
  block.add_frames();
  return block;
}

TEST(PlayFigures, AnActionIsTimedToTheFirstBlockThatShowsIt) {
  PlayFigures figures;
  const absl::Time start = absl::UnixEpoch();
  figures.Sent(1, start);
  figures.Sent(2, start + absl::Milliseconds(10));
  figures.Received(Block(0, 0), start + absl::Milliseconds(20));
  EXPECT_EQ(figures.now(start).action_to_frame_ms, -1);
  v1::Block block = Block(1, 2);
  block.mutable_timing()->mutable_first_byte_duration()->set_nanos(25'000'000);
  figures.Received(block, start + absl::Milliseconds(40));
  EXPECT_EQ(figures.now(start).action_to_frame_ms, 30) << "of the newest that it shows";
  EXPECT_EQ(figures.now(start).network_ms, 5);
  figures.Received(Block(2, 2), start + absl::Milliseconds(90));
  EXPECT_EQ(figures.now(start).action_to_frame_ms, 30) << "later blocks do not count";
}

TEST(PlayFigures, FramesAreCountedOverTheLastSecond) {
  PlayFigures figures;
  const absl::Time start = absl::UnixEpoch();
  for (int i = 0; i < 60; ++i) figures.Received(Block(i, 0), start + i * absl::Milliseconds(50));
  const absl::Time end = start + absl::Milliseconds(59 * 50);
  EXPECT_EQ(figures.now(end).frames_per_second, 20);
  EXPECT_EQ(figures.now(end + absl::Seconds(2)).frames_per_second, 0);
  EXPECT_EQ(figures.now(end).block, 59);
}

TEST(PlayFigures, TheClosingLine) {
  PlayFigures figures;
  EXPECT_EQ(figures.Summary(20), "0 blocks, 0.0 s of world; 0 late");
  const absl::Time start = absl::UnixEpoch();
  for (int i = 0; i <= 100; ++i) {
    figures.Sent(i + 1, start + i * absl::Milliseconds(20));
    figures.Received(Block(i, i + 1), start + i * absl::Milliseconds(20) + absl::Milliseconds(i));
  }
  figures.Skipped(3);
  EXPECT_EQ(figures.Summary(20),
            "101 blocks, 5.0 s of world, 47.6 frames/s; action to frame p50 50.0 ms, p95 95.0 ms; "
            "3 late");
}

}  // namespace
}  // namespace firstbyte
