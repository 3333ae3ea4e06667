// What the contract's tests run on: instruction sets of the CPU, or devices. The tests do not know
// which: a test links cpu_engines.cc or device_engines.cc.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/model/speech/aligned_mel/voice_fixture.h"

namespace firstbyte::aligned_mel {

std::vector<std::string> EngineNames();
// A model of the embedded voice; null where there is no such engine, for the reason in `why`.
std::unique_ptr<Model> OpenVoice(const std::string& engine, const LaneSize& size, std::string* why);

// A test on every engine; skipped where there is none.
class EngineTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    std::string why;
    if (OpenVoice(GetParam(), {.slots = 1, .max_batch = 1}, &why) == nullptr) GTEST_SKIP() << why;
  }

  static std::unique_ptr<Model> NewModel(const LaneSize& size = {.slots = 8, .max_batch = 8}) {
    std::string why;
    std::unique_ptr<Model> model = OpenVoice(GetParam(), size, &why);
    EXPECT_NE(model, nullptr) << why;
    return model;
  }
};

inline auto AllEngines() { return testing::ValuesIn(EngineNames()); }
inline std::string NameOfEngine(const testing::TestParamInfo<std::string>& info) {
  return info.param;
}

}  // namespace firstbyte::aligned_mel
