// A language model of one product and a draw, with what a session has said in arrays by slot: the
// least that has a fill, a body and a read.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "model/cuda/gpu_stage.h"
#include "tests/model/cuda/executor.h"
#include "tests/model/cuda/random_case.h"

namespace firstbyte::cuda {

class TinyLm {
 public:
  static constexpr int kSlots = 7, kMaxBatch = 5, kWidth = 8, kVocabulary = 40;
  static constexpr int kWords = (kVocabulary + 31) / 32;
  static constexpr float kPenalty = 3;
  using Row = std::array<float, kWidth>;

  explicit TinyLm(TestDevice test) : plugin_(*test.plugin), gpu_(plugin_, std::move(test.device)) {
    weights_ = RandomCase(1).Normals<float>(kVocabulary * kWidth);
  }

  absl::Status Open(GraphMode mode) {
    absl::StatusOr<OwnedProduct> product = gpu_.NewProduct({.number = Number::kF32,
                                                            .most_rows = kMaxBatch,
                                                            .n = kVocabulary,
                                                            .k = kWidth,
                                                            .x_stride = kWidth,
                                                            .y_stride = kVocabulary});
    if (!product.ok()) return product.status();
    product_ = *std::move(product);
    absl::Status status = Put(weights_, &on_device_);
    status.Update(Put(std::vector<float>(kMaxBatch * kVocabulary), &logits_));
    status.Update(Put(std::vector<uint64_t>(kSlots, 1), &seeds_));
    status.Update(Put(std::vector<int64_t>(kSlots), &draws_));
    status.Update(Put(std::vector<float>(kSlots, 0), &temperatures_));
    status.Update(Put(std::vector<int32_t>(kSlots), &top_ks_));
    status.Update(Put(std::vector<float>(kSlots, 1), &top_ps_));
    status.Update(Put(std::vector<float>(kSlots, kPenalty), &penalties_));
    status.Update(Put(std::vector<uint32_t>(kSlots * kWords), &seen_));
    if (!status.ok()) return status;
    const GpuStage::Shape shape = {.mode = mode,
                                   .max_batch = kMaxBatch,
                                   .input_bytes = kMaxBatch * sizeof(Row),
                                   .result_bytes = kMaxBatch * sizeof(int32_t)};
    absl::StatusOr<std::unique_ptr<GpuStage>> stage =
        GpuStage::Create(&gpu_, shape, [this](const GpuStage::Step& step) { return Body(step); });
    if (stage.ok()) stage_ = *std::move(stage);
    return stage.status();
  }

  absl::StatusOr<Ticket> Submit(const std::vector<int32_t>& slots, const std::vector<Row>& rows) {
    absl::StatusOr<char*> inputs = stage_->Inputs();
    if (!inputs.ok()) return inputs.status();
    std::copy(rows.begin(), rows.end(), reinterpret_cast<Row*>(*inputs));
    return stage_->Submit(slots);
  }
  absl::StatusOr<std::vector<int32_t>> Wait(Ticket ticket, size_t rows) {
    absl::StatusOr<const char*> results = stage_->Wait(ticket);
    if (!results.ok()) return results.status();
    const auto* tokens = reinterpret_cast<const int32_t*>(*results);
    return std::vector<int32_t>(tokens, tokens + rows);
  }

  // What a session that has said `said` draws, by the host.
  int32_t Expected(const Row& row, std::vector<bool>* said) const {
    said->resize(kVocabulary);
    std::vector<double> logits(kVocabulary);
    for (int token = 0; token < kVocabulary; ++token) {
      for (int i = 0; i < kWidth; ++i) logits[token] += row[i] * weights_[token * kWidth + i];
      if ((*said)[token]) logits[token] *= logits[token] > 0 ? 1 / kPenalty : kPenalty;
    }
    const auto token = std::max_element(logits.begin(), logits.end()) - logits.begin();
    (*said)[token] = true;
    return static_cast<int32_t>(token);
  }

  Gpu& gpu() { return gpu_; }
  GpuStage* stage() { return stage_.get(); }
  int bodies() const { return bodies_; }
  void FailBody(absl::Status status) { body_status_ = std::move(status); }

 private:
  template <typename T>
  absl::Status Put(const std::vector<T>& values, DeviceArray<T>* array) {
    absl::StatusOr<DeviceArray<T>> made = gpu_.NewArray<T>(values.size());
    if (!made.ok()) return made.status();
    *array = *std::move(made);
    absl::Status status = gpu_.Call(plugin_.to_device, Queue::kSteps, array->get(), values.data(),
                                    static_cast<int64_t>(values.size() * sizeof(T)));
    status.Update(gpu_.Call(plugin_.wait));
    return status;
  }

  absl::Status Body(const GpuStage::Step& step) {
    ++bodies_;
    if (!body_status_.ok()) return body_status_;
    const ProductStep product = {step.inputs, on_device_.get(), nullptr, logits_.get(), step.rows};
    absl::Status status = gpu_.Call(plugin_.multiply, Queue::kSteps, product_.get(), &product);
    if (!status.ok()) return status;
    const SampleStep sample = {.logits = logits_.get(),
                               .slots = step.slots,
                               .seeds = seeds_.get(),
                               .draws = draws_.get(),
                               .temperatures = temperatures_.get(),
                               .top_ks = top_ks_.get(),
                               .top_ps = top_ps_.get(),
                               .penalties = penalties_.get(),
                               .seen = seen_.get(),
                               .tokens = reinterpret_cast<int32_t*>(step.results),
                               .rows = step.rows,
                               .vocabulary = kVocabulary};
    return gpu_.Call(plugin_.sample, Queue::kSteps, &sample);
  }

  const PluginTable& plugin_;
  Gpu gpu_;
  std::vector<float> weights_;
  OwnedProduct product_;
  DeviceArray<float> on_device_, logits_, temperatures_, top_ps_, penalties_;
  DeviceArray<uint64_t> seeds_;
  DeviceArray<int64_t> draws_;
  DeviceArray<int32_t> top_ks_;
  DeviceArray<uint32_t> seen_;
  absl::Status body_status_;
  int bodies_ = 0;
  std::unique_ptr<GpuStage> stage_;  // goes first
};

}  // namespace firstbyte::cuda
