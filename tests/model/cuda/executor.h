// Where a kernel test runs: emulated on the host, or on a GPU. The tests do not know which.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "model/cuda/steps.h"

namespace firstbyte::cuda {

class Executor {
 public:
  virtual ~Executor() = default;

  // A copy of `values` for steps to point to; it lives as long as the executor.
  template <typename T>
  T* Put(const std::vector<T>& values) {
    return static_cast<T*>(PutBytes(values.data(), values.size() * sizeof(T)));
  }
  // What has become of it.
  template <typename T>
  std::vector<T> Get(const T* from, size_t count) {
    std::vector<T> values(count);
    GetBytes(from, values.data(), count * sizeof(T));
    return values;
  }

  virtual void Run(const AttendStep<float>& step) = 0;
  virtual void Run(const AttendStep<Bf16>& step) = 0;
  virtual void Run(const HeadsStep<float>& step) = 0;
  virtual void Run(const HeadsStep<Bf16>& step) = 0;
  virtual void Run(const ModulateStep<float>& step) = 0;
  virtual void Run(const ModulateStep<Bf16>& step) = 0;
  virtual void Run(const RingWriteStep<float>& step) = 0;
  virtual void Run(const RingWriteStep<Bf16>& step) = 0;
  virtual void Run(const AdvanceStep& step) = 0;
  virtual void Run(const SampleStep& step) = 0;

 private:
  virtual void* PutBytes(const void* from, size_t bytes) = 0;
  virtual void GetBytes(const void* from, void* to, size_t bytes) = 0;
};

// What this program can run on, by name.
std::vector<std::string> ExecutorNames();
// nullptr: it cannot, for the reason in `why`.
std::unique_ptr<Executor> MakeExecutor(const std::string& name, std::string* why);

// A test on every executor; skipped where there is none.
class KernelTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    std::string why;
    executor_ = MakeExecutor(GetParam(), &why);
    if (executor_ == nullptr) GTEST_SKIP() << why;
  }
  // One without what the test has put so far.
  Executor& Fresh() {
    std::string why;
    executor_ = MakeExecutor(GetParam(), &why);
    return *executor_;
  }

  std::unique_ptr<Executor> executor_;
};

}  // namespace firstbyte::cuda
