#include "model/kernels/table_impl.h"

namespace firstbyte::kernels {

const KernelTable kAvx512Table = MakeTable(Isa::kAvx512);

}  // namespace firstbyte::kernels
