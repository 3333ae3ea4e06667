// Still pictures on the wire: one way in and one way out for every format that StepWorld knows.
//
// Thread-safe. Decoding is for bytes that nobody vouches for: the size in the header is checked
// before anything is decoded, and whatever is damaged, cut short or not a picture is
// kInvalidArgument with reason BAD_IMAGE (IMAGE_TOO_LARGE when it is beyond the limits).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/image.h"

namespace firstbyte {

enum class ImageFormat {
  kRawRgb,  // as RgbImage::data, without a header
  kJpeg,
  kPng,
};

inline constexpr int kDefaultJpegQuality = 85;

struct ImageLimits {
  size_t max_bytes = 4 << 20;    // as coded
  int max_side = 4096;           // pixels
  int64_t max_pixels = 4 << 20;  // 12 MiB decoded
};

// What `bytes` begin as; nullopt: neither JPEG nor PNG.
std::optional<ImageFormat> SniffImageFormat(absl::string_view bytes);

// Eight bits a channel whatever the source has: grey becomes RGB, 16 bits are rounded, palettes
// looked up, transparent parts put on black. CMYK is refused. Orientation tags are ignored.
// kRawRgb has no header, so its size is said by `raw_width`, `raw_height`.
absl::StatusOr<RgbImage> DecodeImage(absl::string_view bytes, ImageFormat format,
                                     const ImageLimits& limits = {}, int raw_width = 0,
                                     int raw_height = 0);

// Replaces `out`, whose memory is used again: a buffer kept between frames is not allocated anew.
// `rgb`: 3 * width * height bytes as RgbImage::data. `quality`: JPEG only, 1 to 100. Same picture,
// same bytes. kInvalidArgument when the numbers do not hold together.
absl::Status EncodeImage(absl::Span<const uint8_t> rgb, int width, int height, ImageFormat format,
                         int quality, std::string* out);

// No picture of this size takes more bytes, whatever is on it.
int64_t MaxEncodedImageBytes(ImageFormat format, int width, int height);

}  // namespace firstbyte
