#include "model/kernels/table_impl.h"

namespace firstbyte::kernels {

const KernelTable kAvx2Table = MakeTable(Isa::kAvx2);

}  // namespace firstbyte::kernels
