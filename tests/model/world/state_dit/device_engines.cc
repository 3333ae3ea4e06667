#include "model/world/state_dit/gpu_state_dit.h"
#include "tests/model/cuda/test_device.h"
#include "tests/model/world/state_dit/engine.h"

namespace firstbyte::state_dit {

std::vector<std::string> EngineNames() { return cuda::ExecutorNames(); }

std::unique_ptr<Model> OpenTiny(const std::string& engine, const LaneSize& size, std::string* why) {
  std::optional<cuda::TestDevice> test = cuda::OpenTestDevice(engine, why);
  if (!test) return nullptr;
  auto model = GpuStateDit::Create(
      LoadWorld(TinyFolder(), kernels::PreferredIsa()), TinyFolder(),
      std::make_unique<cuda::Gpu>(*test->plugin, std::move(test->device)), size, {});
  if (model.ok()) return *std::move(model);
  *why = model.status().ToString();
  return nullptr;
}

}  // namespace firstbyte::state_dit
