// What only an emulated device can show: that the host waits where it must, and what becomes of it
// when memory is short or the device is lost.
#include "tests/model/cuda/emulated_device.h"

#include "base/error.h"
#include "tests/model/cuda/tiny_lm.h"

namespace firstbyte::cuda {
namespace {

class EmulatedDeviceTest : public testing::Test {
 protected:
  EmulatedDeviceTest() : handle_(*OpenDevice(EmulatedPlugin(), 0)), device_(handle_.get()) {}
  Emulation& emulation() { return EmulationOf(device_); }
  std::unique_ptr<TinyLm> Lm() {
    return std::make_unique<TinyLm>(TestDevice{&EmulatedPlugin(), std::move(handle_)});
  }

  DeviceHandle handle_;
  Device* const device_;
};

TEST_F(EmulatedDeviceTest, RunsNothingBeforeItIsWaitedFor) {
  Gpu gpu(EmulatedPlugin(), std::move(handle_));
  const auto array = *gpu.NewArray<int>(1);
  int value = 1, read = 0;
  const auto copy = [&](auto function, void* to, const void* from) {
    ASSERT_TRUE(gpu.Call(function, Queue::kSteps, to, from, int64_t{sizeof(int)}).ok());
  };
  copy(gpu.plugin().to_device, array.get(), &value);
  copy(gpu.plugin().to_host, &read, array.get());
  value = 2;
  EXPECT_EQ(read, 0) << "too early to read";
  ASSERT_TRUE(gpu.Call(gpu.plugin().wait).ok());
  EXPECT_EQ(read, 2) << "too early to write";
}

TEST_F(EmulatedDeviceTest, AQueueFollowsTheOther) {
  Gpu gpu(EmulatedPlugin(), std::move(handle_));
  const PluginTable& plugin = gpu.plugin();
  const auto array = *gpu.NewArray<int>(1);
  const OwnedEvent written = *gpu.NewEvent(), read = *gpu.NewEvent();
  const int value = 7;
  int results[2] = {};
  const auto take = [&](int* to) {
    ASSERT_TRUE(gpu.Call(plugin.to_host, Queue::kMedia, to, array.get(), int64_t{4}).ok());
  };
  ASSERT_TRUE(gpu.Call(plugin.to_device, Queue::kSteps, array.get(), &value, int64_t{4}).ok());
  ASSERT_TRUE(gpu.Call(plugin.mark, Queue::kSteps, written.get()).ok());
  take(&results[0]);
  ASSERT_TRUE(gpu.Call(plugin.follow, Queue::kMedia, written.get()).ok());
  take(&results[1]);
  ASSERT_TRUE(gpu.Call(plugin.mark, Queue::kMedia, read.get()).ok());
  ASSERT_TRUE(gpu.Call(plugin.wait_event, read.get()).ok());
  EXPECT_EQ(results[0], 0);
  EXPECT_EQ(results[1], 7);
}

TEST_F(EmulatedDeviceTest, ASubmittedStepIsOneLaunchAndNotWaitedFor) {
  std::unique_ptr<TinyLm> lm = Lm();
  ASSERT_TRUE(lm->Open(GraphMode::kGraphs).ok());
  const int64_t before = emulation().steps;
  const absl::StatusOr<Ticket> first = lm->Submit({3}, {TinyLm::Row{1}});
  const absl::StatusOr<Ticket> second = lm->Submit({3, 0}, {TinyLm::Row{1}, TinyLm::Row{2}});
  EXPECT_EQ(emulation().launches, 2);
  EXPECT_EQ(emulation().steps, before);
  ASSERT_TRUE(lm->Wait(*first, 1).ok());
  const int64_t one = emulation().steps - before;
  EXPECT_GT(one, 0);
  ASSERT_TRUE(lm->Wait(*second, 2).ok());
  EXPECT_EQ(emulation().steps - before, 2 * one) << "the first waited for itself only";
}

TEST_F(EmulatedDeviceTest, WithoutMemoryAModelIsRefusedAndLeavesNothing) {
  std::unique_ptr<TinyLm> lm = Lm();
  const int64_t all = emulation().free_bytes;
  ASSERT_TRUE(lm->Open(GraphMode::kGraphs).ok());
  const int64_t needed = all - emulation().free_bytes;
  lm = nullptr;
  for (int64_t bytes = 0; bytes < needed; bytes += 64) {
    handle_ = *OpenDevice(EmulatedPlugin(), 0);
    EmulationOf(handle_.get()).free_bytes = bytes;
    lm = Lm();
    const absl::Status status = lm->Open(GraphMode::kGraphs);
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << bytes;
    EXPECT_EQ(DetailOf(status).reason, "GPU_MEMORY");
    EXPECT_TRUE(lm->gpu().Call(EmulatedPlugin().wait).ok()) << "the device goes on";
  }
}

TEST_F(EmulatedDeviceTest, ASessionsMemoryIsRefusedWhileOthersGoOn) {
  std::unique_ptr<TinyLm> lm = Lm();
  ASSERT_TRUE(lm->Open(GraphMode::kGraphs).ok());
  const int64_t alive = emulation().alive;
  emulation().free_bytes = 100;
  EXPECT_EQ(lm->gpu().NewArray<char>(101).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(lm->gpu().NewArray<char>(100).ok()) << "and back at once";
  EXPECT_EQ(emulation().alive, alive);
  const absl::StatusOr<Ticket> ticket = lm->Submit({0}, {TinyLm::Row{1}});
  EXPECT_TRUE(lm->Wait(*ticket, 1).ok());
}

TEST_F(EmulatedDeviceTest, ALostDeviceIsAnErrorOfEveryCall) {
  std::unique_ptr<TinyLm> lm = Lm();
  ASSERT_TRUE(lm->Open(GraphMode::kGraphs).ok());
  emulation().steps_to_live = emulation().steps + 3;  // in the middle of the first step
  const absl::StatusOr<Ticket> first = lm->Submit({0}, {TinyLm::Row{1}});
  const absl::StatusOr<Ticket> second = lm->Submit({0}, {TinyLm::Row{1}});
  ASSERT_TRUE(first.ok() && second.ok()) << "nobody knows yet";
  const absl::Status lost = lm->Wait(*first, 1).status();
  EXPECT_EQ(lost.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(DetailOf(lost).reason, "DEVICE_LOST");
  EXPECT_EQ(lm->gpu().NewArray<char>(1).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(lm->gpu().Call(EmulatedPlugin().wait).code(), absl::StatusCode::kUnavailable);
}

TEST_F(EmulatedDeviceTest, WhatAStageMadeGoesWithIt) {
  Gpu gpu(EmulatedPlugin(), std::move(handle_));
  const auto body = [](const GpuStage::Step&) { return absl::OkStatus(); };
  auto stage = GpuStage::Create(&gpu, {.max_batch = 4, .input_bytes = 8, .result_bytes = 8}, body);
  ASSERT_TRUE(stage.ok()) << stage.status();
  ASSERT_TRUE((*stage)->Submit({0, 1, 2}).ok());
  EXPECT_GT(emulation().alive, 0);
  stage->reset();
  EXPECT_EQ(emulation().alive, 0);
}

}  // namespace
}  // namespace firstbyte::cuda
