// Which kernels each step of plugin.h runs: one list for the GPU and for its emulation.
//
// `Starter` is how a kernel is started there:
//   template <typename Kernel>
//   static Code Start(Device*, Queue, const Kernel&, Fault*);   // of sizes that fit
//   static Code Refuse(Fault*, const char* why);                // -> kBadStep
#pragma once

#include "model/cuda/attend_tile.h"
#include "model/cuda/heads.h"
#include "model/cuda/modulate.h"
#include "model/cuda/plugin.h"
#include "model/cuda/ring.h"
#include "model/cuda/sample.h"

namespace firstbyte::cuda {

template <typename Starter>
struct Kernels {
  template <typename Kernel, typename Step>
  static Code Run(Device* device, Queue queue, const Step* step, Fault* fault) {
    const Kernel kernel{*step};
    if (!kernel.fits()) return Starter::Refuse(fault, "a kernel was given sizes it cannot take");
    return Starter::Start(device, queue, kernel, fault);
  }

  template <typename T>
  static Code RunAttend(Device* device, Queue queue, const AttendStep<T>* step, Fault* fault) {
    if (AttendTile<T>{*step}.fits()) return Run<AttendTile<T>>(device, queue, step, fault);
    const Code code = Run<AttendSplit<T>>(device, queue, step, fault);
    return code == Code::kOk ? Run<AttendCombine<T>>(device, queue, step, fault) : code;
  }

  template <typename T>
  static constexpr TypedKernels<T> Typed() {
    return {.attend = RunAttend<T>,
            .heads = Run<Heads<T>, HeadsStep<T>>,
            .modulate = Run<Modulate<T>, ModulateStep<T>>,
            .ring_write = Run<RingWrite<T>, RingWriteStep<T>>,
            .activate = Run<Activate<T>, ActivateStep<T>>,
            .swiglu = Run<Swiglu<T>, SwigluStep<T>>,
            .taps = Run<Taps<T>, TapsStep<T>>,
            .map_norm = Run<MapNorm<T>, MapNormStep<T>>,
            .shuffle = Run<Shuffle<T>, ShuffleStep<T>>,
            .picture = Run<Picture<T>, PictureStep<T>>,
            .causal_taps = Run<CausalTaps<T>, CausalTapsStep<T>>,
            .tanh_gate = Run<TanhGate<T>, TanhGateStep<T>>};
  }
  static constexpr StartStep<AdvanceStep> kAdvance = Run<Advance, AdvanceStep>;
  static constexpr StartStep<SampleStep> kSample = Run<Sample, SampleStep>;
  static constexpr SourceFilterKernels kSourceFilter = {
      .glides = Run<Glides, GlideStep>,
      .excite = Run<Excite, ExciteStep>,
      .filter = Run<Filter, FilterStep>,
      .overlap_add = Run<OverlapAdd, OverlapAddStep>};

  // What is left of a product when it has been multiplied.
  static Code FinishProduct(Device* device, Queue queue, const ProductShape& shape,
                            const ProductStep& step, Fault* fault) {
    if (shape.activation == Activation::kNone) return Code::kOk;
    if (shape.y_bytes() == 4) return ActivateAs<float>(device, queue, shape, step, fault);
    if (shape.number == Number::kF16) return ActivateAs<F16>(device, queue, shape, step, fault);
    return ActivateAs<Bf16>(device, queue, shape, step, fault);
  }

 private:
  template <typename T>
  static Code ActivateAs(Device* device, Queue queue, const ProductShape& shape,
                         const ProductStep& step, Fault* fault) {
    const ActivateStep<T> activate = {static_cast<T*>(step.y), shape.y_stride, step.rows, shape.n,
                                      shape.activation};
    return Run<Activate<T>>(device, queue, &activate, fault);
  }
};

}  // namespace firstbyte::cuda
