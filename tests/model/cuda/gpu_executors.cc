#include <cstdlib>
#include <utility>

#include "model/cuda/plugin_loader.h"
#include "tests/model/cuda/executor.h"

namespace firstbyte::cuda {
namespace {

// Through the plugin, as the server would. FIRSTBYTE_CUDA_PLUGIN names one that lies elsewhere.
class GpuExecutor : public Executor {
 public:
  GpuExecutor(const PluginTable& plugin, DeviceHandle device)
      : plugin_(plugin), device_(std::move(device)) {}
  ~GpuExecutor() override {
    for (void* memory : memory_) plugin_.release(device_.get(), memory, nullptr);
  }

  void Run(const AttendStep<float>& step) override { Start(plugin_.f32.attend, step); }
  void Run(const AttendStep<Bf16>& step) override { Start(plugin_.bf16.attend, step); }
  void Run(const HeadsStep<float>& step) override { Start(plugin_.f32.heads, step); }
  void Run(const HeadsStep<Bf16>& step) override { Start(plugin_.bf16.heads, step); }
  void Run(const ModulateStep<float>& step) override { Start(plugin_.f32.modulate, step); }
  void Run(const ModulateStep<Bf16>& step) override { Start(plugin_.bf16.modulate, step); }
  void Run(const RingWriteStep<float>& step) override { Start(plugin_.f32.ring_write, step); }
  void Run(const RingWriteStep<Bf16>& step) override { Start(plugin_.bf16.ring_write, step); }
  void Run(const AdvanceStep& step) override { Start(plugin_.advance, step); }
  void Run(const SampleStep& step) override { Start(plugin_.sample, step); }

 private:
  template <typename Step>
  void Start(Code (*start)(Device*, const Step*, Fault*), const Step& step) {
    Expect(start(device_.get(), &step, &fault_));
    Expect(plugin_.wait(device_.get(), &fault_));
  }
  void Expect(Code code) { ASSERT_EQ(code, Code::kOk) << fault_.text; }

  void* PutBytes(const void* from, size_t bytes) override {
    memory_.push_back(nullptr);
    Expect(plugin_.allocate(device_.get(), static_cast<int64_t>(bytes > 0 ? bytes : 1),
                            &memory_.back(), &fault_));
    if (bytes > 0) {
      Expect(plugin_.to_device(device_.get(), memory_.back(), from, static_cast<int64_t>(bytes),
                               &fault_));
    }
    return memory_.back();
  }
  void GetBytes(const void* from, void* to, size_t bytes) override {
    Expect(plugin_.to_host(device_.get(), to, from, static_cast<int64_t>(bytes), &fault_));
  }

  const PluginTable& plugin_;
  const DeviceHandle device_;
  Fault fault_{};
  std::vector<void*> memory_;
};

}  // namespace

std::vector<std::string> ExecutorNames() { return {"Gpu"}; }

std::unique_ptr<Executor> MakeExecutor(const std::string&, std::string* why) {
  const char* named = std::getenv("FIRSTBYTE_CUDA_PLUGIN");
  auto fail = [why](const absl::Status& status) {
    *why = "no GPU to run the kernels on: " + std::string(status.message());
    return nullptr;
  };
  absl::StatusOr<std::string> path =
      FindPlugin(named == nullptr ? "" : named, FIRSTBYTE_BINARY_DIR "/firstbyted");
  if (!path.ok()) return fail(path.status());
  absl::StatusOr<const PluginTable*> plugin = LoadPlugin(*path);
  if (!plugin.ok()) return fail(plugin.status());
  absl::StatusOr<DeviceHandle> device = OpenDevice(**plugin, 0);
  if (!device.ok()) return fail(device.status());
  return std::make_unique<GpuExecutor>(**plugin, *std::move(device));
}

}  // namespace firstbyte::cuda
