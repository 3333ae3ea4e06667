// Fills a KernelTable with the kernels of the including file's instruction set.
#pragma once

#include "model/kernels/attention_impl.h"
#include "model/kernels/block_attention_impl.h"
#include "model/kernels/causal_impl.h"
#include "model/kernels/conv_impl.h"
#include "model/kernels/filter_impl.h"
#include "model/kernels/linear_impl.h"
#include "model/kernels/ops_impl.h"
#include "model/kernels/pulses_impl.h"
#include "model/kernels/tables.h"
#include "model/kernels/tokens_impl.h"
#include "model/kernels/winograd_impl.h"

namespace firstbyte::kernels {
namespace {

void FilterWithTwiddles(const FilterStep& step) { Filter(step, FftTwiddles()); }

constexpr KernelTable MakeTable(Isa isa) {
  return {isa,     kLanes,  Linear,    RmsNorm,   Swiglu,         TanhGate,
          SiluRow, Add,     RopeTable, Attention, Pulses,         FilterWithTwiddles,
          Causal,  Conv3x3, Winograd,  MapNorm,   BlockAttention, Modulate,
          Gate,    Heads,   ExpRow,    SinCosRow};
}

}  // namespace
}  // namespace firstbyte::kernels
