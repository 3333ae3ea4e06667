#include "codec/image.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "codec/image_error.h"
#include "codec/jpeg.h"
#include "codec/png.h"

namespace firstbyte {
namespace {

// What both coders can be asked for: JPEG's own limit, and products that fit an int.
constexpr int kMaxSide = 16384;

absl::StatusOr<RgbImage> DecodeRaw(absl::string_view bytes, const ImageLimits& limits, int width,
                                   int height) {
  if (auto status = CheckImageSize(width, height, limits); !status.ok()) return status;
  if (bytes.size() != static_cast<size_t>(3) * width * height) {
    return BadImage(absl::StrCat("a raw picture of ", width, " x ", height, " has ",
                                 int64_t{3} * width * height, " bytes, not ", bytes.size()));
  }
  return RgbImage{width, height, {bytes.begin(), bytes.end()}};
}

}  // namespace

absl::Status BadImage(absl::string_view message) { return Invalid("BAD_IMAGE", message); }

absl::Status CheckImageSize(int64_t width, int64_t height, const ImageLimits& limits) {
  if (width < 1 || height < 1) return BadImage("the picture is empty");
  if (width <= limits.max_side && height <= limits.max_side &&
      width * height <= limits.max_pixels) {
    return absl::OkStatus();
  }
  return Invalid("IMAGE_TOO_LARGE", absl::StrCat("the picture is ", width, " x ", height,
                                                 "; at most ", limits.max_side, " a side and ",
                                                 limits.max_pixels, " pixels are taken"));
}

std::optional<ImageFormat> SniffImageFormat(absl::string_view bytes) {
  if (absl::StartsWith(bytes, "\xff\xd8\xff")) return ImageFormat::kJpeg;
  if (absl::StartsWith(bytes, "\x89PNG\r\n\x1a\n")) return ImageFormat::kPng;
  return std::nullopt;
}

absl::StatusOr<RgbImage> DecodeImage(absl::string_view bytes, ImageFormat format,
                                     const ImageLimits& limits, int raw_width, int raw_height) {
  if (bytes.size() > limits.max_bytes) {
    return Invalid("IMAGE_TOO_LARGE",
                   absl::StrCat("the picture has ", bytes.size(), " bytes; at most ",
                                limits.max_bytes, " are taken"));
  }
  switch (format) {
    case ImageFormat::kRawRgb:
      return DecodeRaw(bytes, limits, raw_width, raw_height);
    case ImageFormat::kJpeg:
      return DecodeJpeg(bytes, limits);
    case ImageFormat::kPng:
      return DecodePng(bytes, limits);
  }
  return BadImage("there is no such format");
}

absl::Status EncodeImage(absl::Span<const uint8_t> rgb, int width, int height, ImageFormat format,
                         int quality, std::string* out) {
  if (width < 1 || height < 1 || width > kMaxSide || height > kMaxSide ||
      rgb.size() != static_cast<size_t>(3) * width * height) {
    return BadImage(absl::StrCat(rgb.size(), " bytes are no picture of ", width, " x ", height));
  }
  switch (format) {
    case ImageFormat::kRawRgb:
      out->assign(rgb.begin(), rgb.end());
      return absl::OkStatus();
    case ImageFormat::kJpeg:
      return EncodeJpeg(rgb.data(), width, height, quality, out);
    case ImageFormat::kPng:
      return EncodePng(rgb.data(), width, height, out);
  }
  return BadImage("there is no such format");
}

int64_t MaxEncodedImageBytes(ImageFormat format, int width, int height) {
  switch (format) {
    case ImageFormat::kRawRgb:
      return int64_t{3} * width * height;
    case ImageFormat::kJpeg:
      return MaxJpegBytes(width, height);
    case ImageFormat::kPng:
      return MaxPngBytes(width, height);
  }
  return 0;
}

}  // namespace firstbyte
