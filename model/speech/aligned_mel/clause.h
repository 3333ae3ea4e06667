// A clause as the networks read it: phones with their flags, and where each phone ends.
#pragma once

#include <array>
#include <vector>

#include "absl/types/span.h"
#include "model/speech/aligned_mel/config.h"

namespace firstbyte::aligned_mel {

// Views of the front end's output; the owner is the Prepared clause.
struct PhoneSpan {
  absl::Span<const int> phones;                       // [n], each below Config::phones.size()
  absl::Span<const std::array<float, kFlags>> flags;  // [n]
};

// Ends in mel frames, strictly increasing from >= 1; the last is a multiple of kStack.
using Ends = std::vector<int>;

}  // namespace firstbyte::aligned_mel
