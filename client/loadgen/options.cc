#include "client/loadgen/options.h"

#include "absl/strings/str_cat.h"

namespace firstbyte {

std::string Describe(const LoadLevel& level) {
  switch (level.mode) {
    case LoadMode::kListeners:
      return absl::StrCat(level.amount, level.amount == 1 ? " listener" : " listeners");
    case LoadMode::kConcurrency:
      return absl::StrCat("closed loop of ", level.amount);
    case LoadMode::kQps:
      if (level.amount == 0) return "open loop of a trace";
      return absl::StrCat("open loop of ", level.amount, " a second");
  }
  return "?";
}

}  // namespace firstbyte
