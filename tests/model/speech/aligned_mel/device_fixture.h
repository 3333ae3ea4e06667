// The embedded voice and a device to run its parts on, emulated or a GPU.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "model/cuda/gpu.h"
#include "tests/model/cuda/test_device.h"
#include "tests/model/speech/aligned_mel/voice_fixture.h"

namespace firstbyte::aligned_mel {

// For each of cuda::ExecutorNames(); skipped where there is none of it.
class DeviceTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    std::string why;
    gpu_ = NewGpu(&why);
    if (gpu_ == nullptr) GTEST_SKIP() << why;
    voice_ = LoadVoice(kernels::PreferredIsa());
    ASSERT_NE(voice_, nullptr);
  }

  // A device more; null where there is none, for the reason in `why`.
  static std::unique_ptr<cuda::Gpu> NewGpu(std::string* why) {
    std::optional<cuda::TestDevice> test = cuda::OpenTestDevice(GetParam(), why);
    if (!test) return nullptr;
    return std::make_unique<cuda::Gpu>(*test->plugin, std::move(test->device));
  }

  // make(&weights), which reads what it needs of the voice.
  template <typename Make>
  auto WithWeights(Make make) {
    auto file = SafeTensors::Open(ModelFolder() + "/model.safetensors");
    EXPECT_TRUE(file.ok()) << file.status();
    nn::WeightLoader weights(*file, kernels::Kernels());
    return make(&weights);
  }

  std::unique_ptr<cuda::Gpu> gpu_;  // outlives what is made on it
  std::shared_ptr<const Voice> voice_;
};

inline auto AllDevices() { return testing::ValuesIn(cuda::ExecutorNames()); }
inline std::string NameOfDevice(const testing::TestParamInfo<std::string>& info) {
  return info.param;
}

}  // namespace firstbyte::aligned_mel
