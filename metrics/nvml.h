// What NVIDIA's GPUs are doing, by their management library (NVML), where there is one.
//
// Opened at run time: nothing links against it, and a machine without it is no error.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace firstbyte {

// A value is missing when the library does not know it (not every GPU reports its power).
struct GpuUsage {
  int index = 0;
  std::string uuid;                    // "GPU-..."; empty when it cannot be told
  std::optional<double> utilization;   // share of time in which a kernel ran, 0 to 1
  std::optional<double> memory_used;   // bytes
  std::optional<double> memory_total;  // bytes
  std::optional<double> temperature;   // Celsius
  std::optional<double> power;         // watts
  std::optional<double> sm_clock;      // hertz
};

// Thread-safe.
class Nvml {
 public:
  // nullptr: no such library, one that lacks a function, or no driver behind it. Takes a moment.
  static std::unique_ptr<Nvml> Open(const std::string& library);
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  // At most kMaxGpus of them. A few calls into the driver each, about a millisecond in all.
  static constexpr int kMaxGpus = 16;
  std::vector<GpuUsage> Read() const;

 private:
  struct Functions;
  Nvml(void* library, std::unique_ptr<const Functions> functions);

  void* const library_;
  const std::unique_ptr<const Functions> nvml_;
};

}  // namespace firstbyte
