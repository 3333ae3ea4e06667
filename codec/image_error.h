// What the picture codecs refuse, and how they say it. Thread-safe.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "codec/image.h"

namespace firstbyte {

// kInvalidArgument, reason BAD_IMAGE.
absl::Status BadImage(absl::string_view message);

// Whether a picture of this size, as its header says, is to be decoded: BAD_IMAGE when it is empty,
// IMAGE_TOO_LARGE beyond `limits`.
absl::Status CheckImageSize(int64_t width, int64_t height, const ImageLimits& limits);

}  // namespace firstbyte
