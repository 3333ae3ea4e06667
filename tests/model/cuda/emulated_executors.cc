#include <cstring>
#include <new>

#include "model/cuda/attend.h"
#include "model/cuda/emulate.h"
#include "model/cuda/heads.h"
#include "model/cuda/modulate.h"
#include "model/cuda/ring.h"
#include "model/cuda/sample.h"
#include "tests/model/cuda/executor.h"

namespace firstbyte::cuda {
namespace {

class EmulatedExecutor : public Executor {
 public:
  explicit EmulatedExecutor(ThreadOrder order) : order_(order) {}

  void Run(const AttendStep<float>& step) override { Attend(step); }
  void Run(const AttendStep<Bf16>& step) override { Attend(step); }
  void Run(const HeadsStep<float>& step) override { Start(Heads<float>{step}); }
  void Run(const HeadsStep<Bf16>& step) override { Start(Heads<Bf16>{step}); }
  void Run(const ModulateStep<float>& step) override { Start(Modulate<float>{step}); }
  void Run(const ModulateStep<Bf16>& step) override { Start(Modulate<Bf16>{step}); }
  void Run(const RingWriteStep<float>& step) override { Start(RingWrite<float>{step}); }
  void Run(const RingWriteStep<Bf16>& step) override { Start(RingWrite<Bf16>{step}); }
  void Run(const AdvanceStep& step) override { Start(Advance{step}); }
  void Run(const SampleStep& step) override { Start(Sample{step}); }

 private:
  // As many bytes as asked for, so that AddressSanitizer sees what lies beyond.
  struct Free {
    void operator()(void* memory) const { ::operator delete (memory, std::align_val_t{16}); }
  };

  template <typename Kernel>
  void Start(const Kernel& kernel) {
    ASSERT_TRUE(kernel.fits());
    Emulate(kernel, order_);
  }
  template <typename T>
  void Attend(const AttendStep<T>& step) {
    Start(AttendSplit<T>{step});
    Start(AttendCombine<T>{step});
  }

  void* PutBytes(const void* from, size_t bytes) override {
    memory_.emplace_back(::operator new (bytes, std::align_val_t{16}));
    if (bytes > 0) std::memcpy(memory_.back().get(), from, bytes);
    return memory_.back().get();
  }
  void GetBytes(const void* from, void* to, size_t bytes) override { std::memcpy(to, from, bytes); }

  const ThreadOrder order_;
  std::vector<std::unique_ptr<void, Free>> memory_;
};

}  // namespace

std::vector<std::string> ExecutorNames() { return {"Forward", "Backward"}; }

std::unique_ptr<Executor> MakeExecutor(const std::string& name, std::string*) {
  return std::make_unique<EmulatedExecutor>(name == "Forward" ? ThreadOrder::kForward
                                                              : ThreadOrder::kBackward);
}

}  // namespace firstbyte::cuda
