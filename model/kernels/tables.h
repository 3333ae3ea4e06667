// What the per-instruction-set files share with kernels.cc. Private to model/kernels.
#pragma once

#include "model/kernels/kernels.h"

namespace firstbyte::kernels {

extern const KernelTable kGenericTable;
#if defined(__x86_64__)
extern const KernelTable kAvx2Table;
extern const KernelTable kAvx512Table;
#endif

// [512][2]: cosine and sine of -2 pi i / 512, computed on first use. Thread-safe.
const float* FftTwiddles();

}  // namespace firstbyte::kernels
