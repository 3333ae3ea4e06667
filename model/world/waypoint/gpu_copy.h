// Numbers on the host as floats, copied from and to a device at once: both wait for it. T is float
// or cuda::Bf16.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "model/cuda/gpu.h"

namespace firstbyte::waypoint {

template <typename T>
absl::Status CopyFrom(cuda::Gpu* gpu, const T* device, int64_t count, float* host) {
  std::vector<T> numbers(count);
  absl::Status status = gpu->Call(gpu->plugin().to_host, cuda::Queue::kSteps, numbers.data(),
                                  device, count * int64_t{sizeof(T)});
  status.Update(gpu->Call(gpu->plugin().wait));
  for (const T& number : numbers) *host++ = cuda::ToFloat(number);
  return status;
}

template <typename T>
absl::Status CopyInto(cuda::Gpu* gpu, const float* host, int64_t count, T* device) {
  std::vector<T> numbers(count);
  for (T& number : numbers) cuda::Store(*host++, &number);
  absl::Status status = gpu->Call(gpu->plugin().to_device, cuda::Queue::kSteps, device,
                                  numbers.data(), count * int64_t{sizeof(T)});
  status.Update(gpu->Call(gpu->plugin().wait));
  return status;
}

}  // namespace firstbyte::waypoint
