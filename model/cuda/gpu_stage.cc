#include "model/cuda/gpu_stage.h"

#include <algorithm>

#include "base/error.h"

namespace firstbyte::cuda {
namespace {

absl::Status OutOfTurn(absl::string_view what) {
  return Error(absl::StatusCode::kFailedPrecondition, "OUT_OF_TURN", what);
}

}  // namespace

std::vector<int> BucketsFor(int max_batch) {
  std::vector<int> buckets;
  for (int rows = 1; rows < max_batch; rows *= 2) buckets.push_back(rows);
  buckets.push_back(max_batch);
  return buckets;
}

absl::StatusOr<std::unique_ptr<GpuStage>> GpuStage::Create(Gpu* gpu, const Shape& shape,
                                                           Body body) {
  std::unique_ptr<GpuStage> stage(new GpuStage(gpu, shape, std::move(body)));
  absl::Status status = stage->Allocate();
  if (status.ok() && shape.mode == GraphMode::kGraphs) status = stage->Record();
  if (!status.ok()) return status;
  return stage;
}

GpuStage::GpuStage(Gpu* gpu, const Shape& shape, Body body)
    : gpu_(gpu), shape_(shape), body_(std::move(body)), buckets_(BucketsFor(shape.max_batch)) {}

// Steps under way use memory that is about to go. A device that is lost has none.
GpuStage::~GpuStage() { gpu_->Call(gpu_->plugin().wait).IgnoreError(); }

absl::Status GpuStage::Allocate() {
  absl::Status status = Take(gpu_->NewArray<int32_t>(shape_.max_batch), &slots_);
  status.Update(Take(gpu_->NewArray<char>(shape_.input_bytes), &inputs_));
  status.Update(Take(gpu_->NewArray<char>(shape_.result_bytes), &results_));
  for (Place& place : places_) {
    status.Update(Take(gpu_->NewPinned<int32_t>(shape_.max_batch), &place.slots));
    status.Update(Take(gpu_->NewPinned<char>(shape_.input_bytes), &place.inputs));
    status.Update(Take(gpu_->NewPinned<char>(shape_.result_bytes), &place.results));
    status.Update(Take(gpu_->NewEvent(), &place.done));
  }
  return status;
}

GpuStage::Step GpuStage::StepOf(int rows) const {
  return {rows, slots_.get(), inputs_.get(), results_.get()};
}

absl::Status GpuStage::Record() {
  graphs_.resize(buckets_.size());
  for (size_t i = buckets_.size(); i-- > 0;) {
    absl::Status status = gpu_->Call(gpu_->plugin().begin_graph, shape_.queue);
    if (!status.ok()) return status;
    status = body_(StepOf(buckets_[i]));
    status.Update(Take(gpu_->EndGraph(), &graphs_[i]));  // also of a body that failed
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<char*> GpuStage::Inputs() {
  if (submitted_ - waited_ == kUnderWay) return OutOfTurn("two steps are under way");
  return PlaceOf(submitted_ + 1).inputs.get();
}

absl::Status GpuStage::Run(size_t bucket) {
  if (graphs_.empty()) return body_(StepOf(buckets_[bucket]));
  return gpu_->Call(gpu_->plugin().launch, shape_.queue, graphs_[bucket].get());
}

absl::StatusOr<Ticket> GpuStage::Submit(absl::Span<const int32_t> slots) {
  if (submitted_ - waited_ == kUnderWay) return OutOfTurn("two steps are under way");
  if (slots.empty() || slots.size() > static_cast<size_t>(shape_.max_batch)) {
    return OutOfTurn("a batch of no size that the stage was made for");
  }
  Place& place = PlaceOf(submitted_ + 1);
  std::fill_n(place.slots.get(), shape_.max_batch, -1);
  std::copy(slots.begin(), slots.end(), place.slots.get());
  const size_t bucket =
      std::lower_bound(buckets_.begin(), buckets_.end(), slots.size()) - buckets_.begin();
  const int64_t missing = shape_.max_batch - buckets_[bucket];  // rows of the largest
  const PluginTable& plugin = gpu_->plugin();
  const Queue queue = shape_.queue;
  absl::Status status = gpu_->Call(plugin.to_device, queue, slots_.get(), place.slots.get(),
                                   int64_t{sizeof(int32_t)} * shape_.max_batch);
  const auto then = [&](auto... call) {
    if (status.ok()) status = gpu_->Call(call...);
  };
  then(plugin.to_device, queue, inputs_.get(), place.inputs.get(),
       shape_.input_bytes - missing * shape_.input_row_bytes);
  if (status.ok()) status = Run(bucket);
  then(plugin.to_host, queue, place.results.get(), results_.get(),
       shape_.result_bytes - missing * shape_.result_row_bytes);
  then(plugin.mark, queue, place.done.get());
  if (!status.ok()) return status;
  return ++submitted_;
}

absl::StatusOr<const char*> GpuStage::Wait(Ticket ticket) {
  if (ticket != waited_ + 1 || ticket > submitted_) return OutOfTurn("not the step that is next");
  Place& place = PlaceOf(ticket);
  absl::Status status = gpu_->Call(gpu_->plugin().wait_event, place.done.get());
  if (!status.ok()) return status;
  waited_ = ticket;
  return place.results.get();
}

}  // namespace firstbyte::cuda
