#include "model/registry/families.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/log.h"
#include "model/speech/aligned_mel/aligned_mel.h"
#include "model/speech/aligned_mel/gpu_aligned_mel.h"
#include "model/world/state_dit/gpu_state_dit.h"
#include "model/world/state_dit/state_dit.h"
#include "model/world/waypoint/gpu_waypoint.h"
#include "model/world/waypoint/waypoint.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

template <typename Size>
Size SizeOf(const ModelOptions& options) {
  Size size;
  if (options.slots > 0) size.slots = options.slots;
  if (options.max_batch > 0) size.max_batch = options.max_batch;
  return size;
}

// A `Type` for each lane, all with the same weights.
template <typename Type, typename Weights, typename Size>
absl::StatusOr<std::vector<std::unique_ptr<Model>>> Open(const std::string& folder,
                                                         const ModelOptions& options) {
  auto weights = Weights::Load(folder, kernels::Kernels());
  if (!weights.ok()) return weights.status();
  std::vector<std::unique_ptr<Model>> lanes;
  for (int i = 0; i < options.lanes; ++i) {
    auto model = Type::Create(*weights, SizeOf<Size>(options));
    if (!model.ok()) return model.status();
    lanes.push_back(*std::move(model));
  }
  return lanes;
}

template <typename Type, typename Size, auto read_config>
absl::StatusOr<ModelInfo> Describe(const std::string& folder, const ModelOptions& options) {
  auto config = read_config(folder);
  if (!config.ok()) return config.status();
  return Type::Describe(*config, SizeOf<Size>(options));
}

// --- On GPUs. A family's type there has
//   static constexpr char kFamily[];
//   static constexpr cuda::Number kNumbers[];  // that it can multiply in
//   static absl::StatusOr<std::unique_ptr<Type>> Create(
//       std::shared_ptr<const Weights>, const std::string& folder, std::unique_ptr<cuda::Gpu>,
//       const Size&, const cuda::GpuOptions&);
//   static ModelInfo Describe(const Config&, const Size&);

void LogOpened(const ModelInfo& model, int lane, const cuda::GpuOptions& options, cuda::Gpu* gpu) {
  const absl::StatusOr<cuda::DeviceInfo> device = gpu->Info();
  if (!device.ok()) return;  // which the first step will say
  const int64_t slots = model.slots * model.slot_bytes;
  LogInfo("model_on_gpu",
          {{"model", model.name},
           {"lane", lane},
           {"gpu", options.gpu_of(lane)},
           {"device", device->name},
           {"dtype", std::string(cuda::NumberName(options.number))},
           {"mode", options.mode == cuda::GraphMode::kGraphs ? "graph" : "eager"},
           {"buckets", cuda::BucketsFor(model.max_batch)},
           {"slots", model.slots},
           {"slot_bytes", model.slot_bytes},
           {"bytes_besides", gpu->allocated_bytes() - slots},  // weights and workspaces
           {"free_bytes", device->free_bytes}});
}

absl::Status WithoutRoom(const ModelInfo& model, int gpu, const absl::Status& status) {
  if (!absl::IsResourceExhausted(status)) return status;
  return Error(absl::StatusCode::kResourceExhausted, DetailOf(status).reason,
               absl::StrCat("GPU ", gpu, " has no room for model '", model.name, "' with ",
                            model.slots, " slots of ", model.slot_bytes, " bytes (",
                            status.message(), "): lower --max-streams or --max-batch"));
}

// The size of a lane, with the slots that fit where nobody says how many.
template <typename Type, typename Size, typename Config>
absl::StatusOr<Size> SizeOnGpus(const Config& config, const ModelOptions& options) {
  Size size = SizeOf<Size>(options);
  if (options.slots > 0) return size;
  const int64_t slot_bytes = Type::Describe(config, size).slot_bytes;
  absl::Status status = cuda::Take(
      cuda::SlotsWithRoom(*options.gpu, options.lanes, slot_bytes, size.slots), &size.slots);
  if (!status.ok()) return status;
  return size;
}

template <typename Type, typename Weights, typename Size>
absl::StatusOr<std::vector<std::unique_ptr<Model>>> OpenOnGpus(const std::string& folder,
                                                               const ModelOptions& options) {
  const cuda::GpuOptions& on = *options.gpu;
  absl::Status numbers = cuda::RequireNumber(on.number, Type::kNumbers, Type::kFamily);
  if (!numbers.ok()) return numbers;
  auto weights = Weights::Load(folder, kernels::Kernels());
  if (!weights.ok()) return weights.status();
  const auto size = SizeOnGpus<Type, Size>((*weights)->config, options);
  if (!size.ok()) return size.status();
  std::vector<std::unique_ptr<Model>> lanes;
  for (int i = 0; i < options.lanes; ++i) {
    auto gpu = cuda::OpenGpu(on, i);
    if (!gpu.ok()) return gpu.status();
    cuda::Gpu* const device = gpu->get();
    auto model = Type::Create(*weights, folder, *std::move(gpu), *size, on);
    if (!model.ok()) {
      return WithoutRoom(Type::Describe((*weights)->config, *size), on.gpu_of(i), model.status());
    }
    LogOpened((*model)->info(), i, on, device);
    lanes.push_back(*std::move(model));
  }
  return lanes;
}

template <typename Type, typename Size, auto read_config>
absl::StatusOr<ModelInfo> DescribeOnGpus(const std::string& folder, const ModelOptions& options) {
  absl::Status numbers = cuda::RequireNumber(options.gpu->number, Type::kNumbers, Type::kFamily);
  if (!numbers.ok()) return numbers;
  auto config = read_config(folder);
  if (!config.ok()) return config.status();
  const auto size = SizeOnGpus<Type, Size>(*config, options);
  if (!size.ok()) return size.status();
  return Type::Describe(*config, *size);
}

constexpr FamilyEngine kAlignedMelOnGpus = {
    OpenOnGpus<aligned_mel::GpuAlignedMel, aligned_mel::Voice, aligned_mel::GpuLaneSize>,
    DescribeOnGpus<aligned_mel::GpuAlignedMel, aligned_mel::GpuLaneSize, aligned_mel::ReadConfig>};
constexpr FamilyEngine kStateDitOnGpus = {
    OpenOnGpus<state_dit::GpuStateDit, state_dit::World, state_dit::GpuLaneSize>,
    DescribeOnGpus<state_dit::GpuStateDit, state_dit::GpuLaneSize, state_dit::ReadConfig>};

constexpr FamilyEngine kWaypointOnGpus = {
    OpenOnGpus<waypoint::GpuWaypoint, waypoint::Checkpoint, waypoint::GpuLaneSize>,
    DescribeOnGpus<waypoint::GpuWaypoint, waypoint::GpuLaneSize, waypoint::ReadConfig>};

constexpr Family kFamilies[] = {
    {"aligned_mel",
     {Open<aligned_mel::AlignedMel, aligned_mel::Voice, aligned_mel::LaneSize>,
      Describe<aligned_mel::AlignedMel, aligned_mel::LaneSize, aligned_mel::ReadConfig>},
     &kAlignedMelOnGpus},
    {"state_dit",
     {Open<state_dit::StateDit, state_dit::World, state_dit::LaneSize>,
      Describe<state_dit::StateDit, state_dit::LaneSize, state_dit::ReadConfig>},
     &kStateDitOnGpus},
    {"waypoint-1.5",
     {Open<waypoint::Waypoint, waypoint::Checkpoint, waypoint::LaneSize>,
      Describe<waypoint::Waypoint, waypoint::LaneSize, waypoint::ReadConfig>},
     &kWaypointOnGpus},
};

}  // namespace

absl::Span<const Family> Families() { return kFamilies; }

}  // namespace firstbyte
