// PNG by libpng. Callers use codec/image.h, which checks sizes and limits.
//
// Through its "simplified" interface: that one catches the library's longjmp itself, so no C++
// object of ours is ever jumped over. Thread-safe: each call has its own codec.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/image.h"
#include "codec/image.h"

namespace firstbyte {

// As DecodeImage. A file's own gamma is converted to sRGB.
absl::StatusOr<RgbImage> DecodePng(absl::string_view bytes, const ImageLimits& limits);

// Little compression, much speed: no filters, zlib's fast levels.
absl::Status EncodePng(const uint8_t* rgb, int width, int height, std::string* out);

int64_t MaxPngBytes(int width, int height);

}  // namespace firstbyte
