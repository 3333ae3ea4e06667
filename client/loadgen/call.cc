#include "client/loadgen/call.h"

namespace firstbyte {

absl::string_view BehaviourName(Behaviour behaviour) {
  switch (behaviour) {
    case Behaviour::kListen:
      return "listen";
    case Behaviour::kCancel:
      return "cancel";
    case Behaviour::kReadSlowly:
      return "read_slowly";
    case Behaviour::kDisconnect:
      return "disconnect";
  }
  return "?";
}

std::optional<absl::Duration> CallRecord::first_byte_after(absl::Time from) const {
  if (arrivals.empty()) return std::nullopt;
  return arrivals.front().at - from;
}

}  // namespace firstbyte
