// Which instruction set the kernels use, chosen once per process.
#pragma once

#include <optional>

#include "absl/strings/string_view.h"

namespace firstbyte::kernels {

// Later is wider. kGeneric is plain C++ on 16-byte vectors and runs anywhere.
enum class Isa { kGeneric, kAvx2, kAvx512 };

absl::string_view IsaName(Isa isa);                      // "generic", "avx2", "avx512"
std::optional<Isa> IsaFromName(absl::string_view name);  // nullopt for an unknown name
bool Supported(Isa isa);                                 // by this processor and this kernel

// The widest supported set, or a narrower one that the environment variable FIRSTBYTE_ISA names
// (to compare and to test; an unknown or unsupported name is ignored). Thread-safe.
Isa PreferredIsa();

}  // namespace firstbyte::kernels
