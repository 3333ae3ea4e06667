#include "model/kernels/isa.h"

#include <cstdlib>

namespace firstbyte::kernels {
namespace {

Isa Choose() {
  const char* named = std::getenv("FIRSTBYTE_ISA");
  if (named != nullptr) {
    std::optional<Isa> isa = IsaFromName(named);
    if (isa && Supported(*isa)) return *isa;
  }
  if (Supported(Isa::kAvx512)) return Isa::kAvx512;
  return Supported(Isa::kAvx2) ? Isa::kAvx2 : Isa::kGeneric;
}

}  // namespace

absl::string_view IsaName(Isa isa) {
  switch (isa) {
    case Isa::kGeneric:
      return "generic";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "unknown";
}

std::optional<Isa> IsaFromName(absl::string_view name) {
  for (Isa isa : {Isa::kGeneric, Isa::kAvx2, Isa::kAvx512}) {
    if (name == IsaName(isa)) return isa;
  }
  return std::nullopt;
}

bool Supported(Isa isa) {
#if defined(__x86_64__)
  // These builtins also ask whether the kernel saves the wide registers.
  if (isa == Isa::kAvx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == Isa::kAvx512) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("fma");
  }
#endif
  return isa == Isa::kGeneric;
}

Isa PreferredIsa() {
  static const Isa isa = Choose();
  return isa;
}

}  // namespace firstbyte::kernels
