#include "model/cuda/gpu_options.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/error.h"

namespace firstbyte::cuda {
namespace {

constexpr Number kNumbers[] = {Number::kF32, Number::kTf32, Number::kF16, Number::kBf16};

}  // namespace

absl::StatusOr<std::unique_ptr<Gpu>> OpenGpu(const GpuOptions& options, int lane) {
  absl::StatusOr<DeviceHandle> device = OpenDevice(*options.plugin, options.gpu_of(lane));
  if (!device.ok()) return device.status();
  return std::make_unique<Gpu>(*options.plugin, *std::move(device));
}

absl::StatusOr<int> SlotsWithRoom(const GpuOptions& options, int lanes, int64_t slot_bytes,
                                  int wanted) {
  std::map<int, int> lanes_on;
  for (int lane = 0; lane < lanes; ++lane) ++lanes_on[options.gpu_of(lane)];
  int64_t slots = wanted;
  for (int lane = 0; lane < lanes; ++lane) {
    absl::StatusOr<std::unique_ptr<Gpu>> gpu = OpenGpu(options, lane);
    if (!gpu.ok()) return gpu.status();
    absl::StatusOr<DeviceInfo> info = (*gpu)->Info();
    if (!info.ok()) return info.status();
    const int64_t room = info->free_bytes / 4 * 3 / lanes_on[options.gpu_of(lane)];
    slots = std::min(slots, room / std::max<int64_t>(slot_bytes, 1));
  }
  return static_cast<int>(std::max<int64_t>(slots, 1));
}

absl::string_view NumberName(Number number) {
  switch (number) {
    case Number::kF32:
      return "fp32";
    case Number::kTf32:
      return "tf32";
    case Number::kF16:
      return "fp16";
    case Number::kBf16:
      return "bf16";
  }
  return "";
}

std::optional<Number> NumberNamed(absl::string_view name) {
  for (Number number : kNumbers) {
    if (name == NumberName(number)) return number;
  }
  return std::nullopt;
}

absl::Status RequireNumber(Number number, absl::Span<const Number> has, absl::string_view family) {
  if (std::find(has.begin(), has.end(), number) != has.end()) return absl::OkStatus();
  const std::string names = absl::StrJoin(
      has, " or ", [](std::string* out, Number each) { absl::StrAppend(out, NumberName(each)); });
  return Error(absl::StatusCode::kUnimplemented, "NOT_SUPPORTED",
               absl::StrCat("models of the family ", family, " do not run in ", NumberName(number),
                            ": use --dtype ", names));
}

}  // namespace firstbyte::cuda
