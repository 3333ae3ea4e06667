// One stage of a model on a GPU: fill, body, read.
//
//   Inputs()  pinned memory for the next step, which the sessions fill
//   Submit()  copies it, runs the body over the batch's bucket, copies the results; returns at once
//   Wait()    the results of a step, in pinned memory
// Two steps may be under way, so that the next is filled and given while the device works on one:
// its results are read one step late. Idle places of a bucket have slot -1 (steps.h).
//
// The body is what the family gives: kernels and products for a number of rows, which find all that
// changes in device memory. It is recorded when the stage is made, once for a bucket and the
// largest first, or called in every Submit() when there are to be no graphs. Used by its lane's
// thread only; errors are those of gpu.h, and a stage of which a call failed is only destroyed.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/cuda/gpu.h"
#include "model/model.h"

namespace firstbyte::cuda {

enum class GraphMode { kGraphs, kEager };

// Sizes of buckets up to `max_batch`: 1, 2, 4, ... max_batch.
std::vector<int> BucketsFor(int max_batch);

// An array in the memory of a step, at a byte of it: inputs or results.
template <typename T>
T* ArrayAt(char* memory, int64_t bytes) {
  return static_cast<T*>(static_cast<void*>(memory + bytes));
}
template <typename T>
const T* ArrayAt(const char* memory, int64_t bytes) {
  return static_cast<const T*>(static_cast<const void*>(memory + bytes));
}

class GpuStage {
 public:
  struct Shape {
    Queue queue = Queue::kSteps;
    GraphMode mode = GraphMode::kGraphs;
    int max_batch = 1;
    int64_t input_bytes = 0, result_bytes = 0;  // for max_batch; both positive
    // Of a row of the array that comes last in each: in a smaller bucket fewer are copied.
    int64_t input_row_bytes = 0, result_row_bytes = 0;
  };
  // What the body of `rows` rows works on, on the device.
  struct Step {
    int rows;
    const int32_t* slots;  // [rows]
    const char* inputs;    // [input_bytes] as filled
    char* results;         // [result_bytes]
  };
  using Body = std::function<absl::Status(const Step&)>;

  // `gpu` outlives the stage. Records the graphs.
  static absl::StatusOr<std::unique_ptr<GpuStage>> Create(Gpu* gpu, const Shape& shape, Body body);
  ~GpuStage();  // waits for the device

  // kFailedPrecondition while two steps are under way. The memory is Submit()'s until Wait().
  absl::StatusOr<char*> Inputs();
  // Row i of the inputs belongs to slots[i]; 1 to max_batch of them, no slot twice.
  absl::StatusOr<Ticket> Submit(absl::Span<const int32_t> slots);
  // Tickets in their order, each once. The results stay until the next but one Submit().
  absl::StatusOr<const char*> Wait(Ticket ticket);

 private:
  static constexpr int kUnderWay = 2;
  struct Place {  // of a step that is under way
    PinnedArray<int32_t> slots;
    PinnedArray<char> inputs, results;
    OwnedEvent done;
  };

  GpuStage(Gpu* gpu, const Shape& shape, Body body);
  absl::Status Allocate();
  absl::Status Record();
  Step StepOf(int rows) const;
  absl::Status Run(size_t bucket);  // index into buckets_
  Place& PlaceOf(Ticket ticket) { return places_[ticket % kUnderWay]; }

  Gpu* const gpu_;
  const Shape shape_;
  const Body body_;
  const std::vector<int> buckets_;
  DeviceArray<int32_t> slots_;
  DeviceArray<char> inputs_, results_;
  std::vector<OwnedGraph> graphs_;  // parallel to buckets_; empty: eager
  std::array<Place, kUnderWay> places_;
  Ticket submitted_ = 0, waited_ = 0;  // the last of each
};

}  // namespace firstbyte::cuda
