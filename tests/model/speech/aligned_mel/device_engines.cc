#include "model/speech/aligned_mel/gpu_aligned_mel.h"
#include "tests/model/cuda/test_device.h"
#include "tests/model/speech/aligned_mel/engine.h"

namespace firstbyte::aligned_mel {

std::vector<std::string> EngineNames() { return cuda::ExecutorNames(); }

std::unique_ptr<Model> OpenVoice(const std::string& engine, const LaneSize& size,
                                 std::string* why) {
  std::optional<cuda::TestDevice> test = cuda::OpenTestDevice(engine, why);
  if (!test) return nullptr;
  auto model = GpuAlignedMel::Create(
      LoadVoice(kernels::PreferredIsa()), ModelFolder(),
      std::make_unique<cuda::Gpu>(*test->plugin, std::move(test->device)), size, {});
  if (model.ok()) return *std::move(model);
  *why = model.status().ToString();
  return nullptr;
}

}  // namespace firstbyte::aligned_mel
