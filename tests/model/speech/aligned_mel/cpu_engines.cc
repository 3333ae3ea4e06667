#include "tests/model/speech/aligned_mel/engine.h"

namespace firstbyte::aligned_mel {

constexpr kernels::Isa kIsas[] = {kernels::Isa::kGeneric, kernels::Isa::kAvx2,
                                  kernels::Isa::kAvx512};

std::vector<std::string> EngineNames() {
  std::vector<std::string> names;
  for (const kernels::Isa isa : kIsas) names.emplace_back(kernels::IsaName(isa));
  return names;
}

std::unique_ptr<Model> OpenVoice(const std::string& engine, const LaneSize& size,
                                 std::string* why) {
  for (const kernels::Isa isa : kIsas) {
    if (engine == kernels::IsaName(isa) && kernels::Supported(isa)) {
      return NewModel(LoadVoice(isa), size);
    }
  }
  *why = "not on this machine";
  return nullptr;
}

}  // namespace firstbyte::aligned_mel
