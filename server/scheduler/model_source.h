// Where a model comes from, and where it stands.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/model.h"

namespace firstbyte {

struct ModelSource {
  // One copy for each lane. Blocks. Not set: a model that is resident from the start stays so.
  std::function<absl::StatusOr<std::vector<std::unique_ptr<Model>>>()> open;
  std::string architecture;  // as its config names it
  int64_t weight_bytes = 0;  // of its files
};

struct LazyModel {
  ModelInfo info;  // as DescribeModelFolder() says it
  ModelSource source;
};

struct ModelStanding {
  enum class State { kUnloaded, kLoading, kLoaded, kUnloading, kFailed } state;
  std::string why;  // it could not be loaded; for operators
};

}  // namespace firstbyte
