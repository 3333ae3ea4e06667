#include "model/registry/families.h"

#include <utility>

#include "model/speech/aligned_mel/aligned_mel.h"

namespace firstbyte {

absl::StatusOr<std::vector<std::unique_ptr<Model>>> OpenAlignedMel(const std::string& folder,
                                                                   const ModelOptions& options) {
  auto voice = aligned_mel::Voice::Load(folder, kernels::Kernels());
  if (!voice.ok()) return voice.status();
  aligned_mel::LaneSize size;
  if (options.slots > 0) size.slots = options.slots;
  if (options.max_batch > 0) size.max_batch = options.max_batch;
  std::vector<std::unique_ptr<Model>> lanes;
  for (int i = 0; i < options.lanes; ++i) {
    auto model = aligned_mel::AlignedMel::Create(*voice, size);
    if (!model.ok()) return model.status();
    lanes.push_back(*std::move(model));
  }
  return lanes;
}

}  // namespace firstbyte
