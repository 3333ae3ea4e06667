// Elementwise steps between the matrix products. Every element depends on its own inputs alone.
#pragma once

#include <cstdint>

#include "model/kernels/kernels.h"

namespace firstbyte::waypoint {

// x[m, n] = x * (1 + scale[n]) + shift[n]
void Modulate(const float* scale, const float* shift, int m, int n, float* x);
// y[m, n] += gate[n] * x[m, n]
void AddGated(const float* x, const float* gate, int m, int n, float* y);
// x[m, n] = x + row[n]
void AddRow(const float* row, int m, int n, float* x);
void Relu(int64_t count, float* x);
void Silu(const kernels::KernelTable& kernels, int64_t count, float* x);
// y = 3 tanh(x / 3)
void SoftClamp(const kernels::KernelTable& kernels, const float* x, int64_t count, float* y);
// softmax(scale * x) of each row of x [m, n], in place.
void Softmax(const kernels::KernelTable& kernels, float scale, int m, int n, float* x);

// To the nearest bfloat16, ties to even.
float RoundToBf16(float x);

}  // namespace firstbyte::waypoint
