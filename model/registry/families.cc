#include "model/registry/families.h"

#include <utility>

#include "model/speech/aligned_mel/aligned_mel.h"
#include "model/world/state_dit/state_dit.h"
#include "model/world/waypoint/waypoint.h"

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

constexpr Family kFamilies[] = {
    {"aligned_mel", Open<aligned_mel::AlignedMel, aligned_mel::Voice, aligned_mel::LaneSize>,
     Describe<aligned_mel::AlignedMel, aligned_mel::LaneSize, aligned_mel::ReadConfig>},
    {"state_dit", Open<state_dit::StateDit, state_dit::World, state_dit::LaneSize>,
     Describe<state_dit::StateDit, state_dit::LaneSize, state_dit::ReadConfig>},
    {"waypoint-1.5", Open<waypoint::Waypoint, waypoint::Checkpoint, waypoint::LaneSize>,
     Describe<waypoint::Waypoint, waypoint::LaneSize, waypoint::ReadConfig>},
};

}  // namespace

absl::Span<const Family> Families() { return kFamilies; }

}  // namespace firstbyte
