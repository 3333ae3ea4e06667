// What a kernel test does with its device (test_device.h): puts values there, runs a step, gets
// them.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/model/cuda/test_device.h"

namespace firstbyte::cuda {

class Executor {
 public:
  explicit Executor(TestDevice test) : plugin_(*test.plugin), device_(std::move(test.device)) {}
  ~Executor() {
    for (void* memory : memory_) plugin_.release(device_.get(), memory);
  }

  // A copy of `values` for steps to point to; it lives as long as the executor.
  template <typename T>
  T* Put(const std::vector<T>& values) {
    return static_cast<T*>(PutBytes(values.data(), values.size() * sizeof(T)));
  }
  // What has become of it.
  template <typename T>
  std::vector<T> Get(const T* from, size_t count) {
    std::vector<T> values(count);
    GetBytes(from, values.data(), count * sizeof(T));
    return values;
  }

  void Run(const AttendStep<float>& step) { Start(plugin_.f32.attend, step); }
  void Run(const AttendStep<Bf16>& step) { Start(plugin_.bf16.attend, step); }
  void Run(const HeadsStep<float>& step) { Start(plugin_.f32.heads, step); }
  void Run(const HeadsStep<Bf16>& step) { Start(plugin_.bf16.heads, step); }
  void Run(const ModulateStep<float>& step) { Start(plugin_.f32.modulate, step); }
  void Run(const ModulateStep<Bf16>& step) { Start(plugin_.bf16.modulate, step); }
  void Run(const RingWriteStep<float>& step) { Start(plugin_.f32.ring_write, step); }
  void Run(const RingWriteStep<Bf16>& step) { Start(plugin_.bf16.ring_write, step); }
  void Run(const TapsStep<float>& step) { Start(plugin_.f32.taps, step); }
  void Run(const TapsStep<Bf16>& step) { Start(plugin_.bf16.taps, step); }
  void Run(const MapNormStep<float>& step) { Start(plugin_.f32.map_norm, step); }
  void Run(const MapNormStep<Bf16>& step) { Start(plugin_.bf16.map_norm, step); }
  void Run(const ShuffleStep<float>& step) { Start(plugin_.f32.shuffle, step); }
  void Run(const ShuffleStep<Bf16>& step) { Start(plugin_.bf16.shuffle, step); }
  template <typename T>
  void Run(const PictureStep<T>& step) {
    Start(KernelsOf<T>(plugin_).picture, step);
  }
  template <typename T>
  void Run(const ActivateStep<T>& step) {
    Start(KernelsOf<T>(plugin_).activate, step);
  }
  template <typename T>
  void Run(const SwigluStep<T>& step) {
    Start(KernelsOf<T>(plugin_).swiglu, step);
  }
  template <typename T>
  void Run(const CausalTapsStep<T>& step) {
    Start(KernelsOf<T>(plugin_).causal_taps, step);
  }
  template <typename T>
  void Run(const TanhGateStep<T>& step) {
    Start(KernelsOf<T>(plugin_).tanh_gate, step);
  }
  void Run(const GlideStep& step) { Start(plugin_.source_filter.glides, step); }
  void Run(const ExciteStep& step) { Start(plugin_.source_filter.excite, step); }
  void Run(const FilterStep& step) { Start(plugin_.source_filter.filter, step); }
  void Run(const OverlapAddStep& step) { Start(plugin_.source_filter.overlap_add, step); }
  void Run(const AdvanceStep& step) { Start(plugin_.advance, step); }
  void Run(const SampleStep& step) { Start(plugin_.sample, step); }
  void Run(const ProductShape& shape, const ProductStep& step);

 private:
  template <typename Step>
  void Start(StartStep<Step> start, const Step& step) {
    Expect(start(device_.get(), Queue::kSteps, &step, &fault_));
    Expect(plugin_.wait(device_.get(), &fault_));
  }
  void Expect(Code code) { ASSERT_EQ(code, Code::kOk) << fault_.text; }
  void* PutBytes(const void* from, size_t bytes);
  void GetBytes(const void* from, void* to, size_t bytes);

  const PluginTable& plugin_;
  const DeviceHandle device_;
  Fault fault_{};
  std::vector<void*> memory_;
};

// A test on every executor; skipped where there is none.
class KernelTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    std::string why;
    std::optional<TestDevice> test = OpenTestDevice(GetParam(), &why);
    if (!test) GTEST_SKIP() << why;
    executor_ = std::make_unique<Executor>(*std::move(test));
  }
  // One without what the test has put so far.
  Executor& Fresh() {
    SetUp();
    return *executor_;
  }

  std::unique_ptr<Executor> executor_;
};

}  // namespace firstbyte::cuda
