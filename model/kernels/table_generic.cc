#include "model/kernels/table_impl.h"

namespace firstbyte::kernels {

const KernelTable kGenericTable = MakeTable(Isa::kGeneric);

}  // namespace firstbyte::kernels
