// A product as the device's, on the host: one chain of multiply-adds over k for each element.
#pragma once

#include "model/cuda/product.h"

namespace firstbyte::cuda {

// Without the activation, which is a kernel of its own.
void EmulateProduct(const ProductShape& shape, const ProductStep& step);

}  // namespace firstbyte::cuda
