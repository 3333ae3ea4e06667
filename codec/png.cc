#include "codec/png.h"

#include <png.h>

#include "absl/strings/str_cat.h"
#include "codec/image_error.h"

namespace firstbyte {
namespace {

// The library's own state, freed on every path.
struct PngImage : png_image {
  PngImage() : png_image{} { version = PNG_IMAGE_VERSION; }
  ~PngImage() { png_image_free(this); }
  PngImage(const PngImage&) = delete;
  PngImage& operator=(const PngImage&) = delete;
};

absl::Status Damaged(const PngImage& png) {
  return BadImage(absl::StrCat("not a readable PNG: ", png.message));
}

}  // namespace

absl::StatusOr<RgbImage> DecodePng(absl::string_view bytes, const ImageLimits& limits) {
  PngImage png;
  if (png_image_begin_read_from_memory(&png, bytes.data(), bytes.size()) == 0) return Damaged(png);
  if (auto status = CheckImageSize(png.width, png.height, limits); !status.ok()) return status;
  png.format = PNG_FORMAT_RGB;
  RgbImage image{static_cast<int>(png.width), static_cast<int>(png.height), {}};
  image.data.resize(static_cast<size_t>(3) * image.width * image.height);
  constexpr png_color kBlack = {0, 0, 0};
  if (png_image_finish_read(&png, &kBlack, image.data.data(), 3 * image.width, nullptr) == 0) {
    return Damaged(png);
  }
  return image;
}

absl::Status EncodePng(const uint8_t* rgb, int width, int height, std::string* out) {
  PngImage png;
  png.width = width;
  png.height = height;
  png.format = PNG_FORMAT_RGB;
  png.flags = PNG_IMAGE_FLAG_FAST;
  out->resize(MaxPngBytes(width, height));
  png_alloc_size_t size = out->size();
  if (png_image_write_to_memory(&png, out->data(), &size, 0, rgb, 3 * width, nullptr) == 0) {
    return absl::InternalError(absl::StrCat("PNG: ", png.message));
  }
  out->resize(size);
  return absl::OkStatus();
}

int64_t MaxPngBytes(int width, int height) {
  // zlib may add an eighth and a bit to what does not compress; chunks and header add the rest.
  int64_t rows = int64_t{height} * (int64_t{3} * width + 1);
  return rows + rows / 8 + rows / 64 + rows / 256 + 1024;
}

}  // namespace firstbyte
