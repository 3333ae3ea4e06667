#include "model/registry/families.h"

#include <utility>

#include "model/speech/aligned_mel/aligned_mel.h"
#include "model/world/state_dit/state_dit.h"
#include "model/world/waypoint/waypoint.h"

namespace firstbyte {
namespace {

// A `Family` for each lane, all with the same weights.
template <typename Family, typename Weights, typename Size>
absl::StatusOr<std::vector<std::unique_ptr<Model>>> Lanes(
    const absl::StatusOr<std::shared_ptr<const Weights>>& weights, Size size,
    const ModelOptions& options) {
  if (!weights.ok()) return weights.status();
  if (options.slots > 0) size.slots = options.slots;
  if (options.max_batch > 0) size.max_batch = options.max_batch;
  std::vector<std::unique_ptr<Model>> lanes;
  for (int i = 0; i < options.lanes; ++i) {
    auto model = Family::Create(*weights, size);
    if (!model.ok()) return model.status();
    lanes.push_back(*std::move(model));
  }
  return lanes;
}

}  // namespace

absl::StatusOr<std::vector<std::unique_ptr<Model>>> OpenAlignedMel(const std::string& folder,
                                                                   const ModelOptions& options) {
  return Lanes<aligned_mel::AlignedMel>(aligned_mel::Voice::Load(folder, kernels::Kernels()),
                                        aligned_mel::LaneSize{}, options);
}

absl::StatusOr<std::vector<std::unique_ptr<Model>>> OpenStateDit(const std::string& folder,
                                                                 const ModelOptions& options) {
  return Lanes<state_dit::StateDit>(state_dit::World::Load(folder, kernels::Kernels()),
                                    state_dit::LaneSize{}, options);
}

absl::StatusOr<std::vector<std::unique_ptr<Model>>> OpenWaypoint(const std::string& folder,
                                                                 const ModelOptions& options) {
  return Lanes<waypoint::Waypoint>(waypoint::Checkpoint::Load(folder, kernels::Kernels()),
                                   waypoint::LaneSize{}, options);
}

}  // namespace firstbyte
