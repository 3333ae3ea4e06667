#include "codec/jpeg.h"

#include <turbojpeg.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "codec/image_error.h"

namespace firstbyte {
namespace {

struct Destroy {
  void operator()(void* codec) const { tjDestroy(codec); }
};
using Codec = std::unique_ptr<void, Destroy>;

absl::Status Damaged(const Codec& codec) {
  return BadImage(absl::StrCat("not a readable JPEG: ", tjGetErrorStr2(codec.get())));
}

}  // namespace

absl::StatusOr<RgbImage> DecodeJpeg(absl::string_view bytes, const ImageLimits& limits) {
  Codec codec(tjInitDecompress());
  if (codec == nullptr) return absl::ResourceExhaustedError("no memory for a JPEG decoder");
  auto data = reinterpret_cast<const unsigned char*>(bytes.data());
  RgbImage image;
  int subsampling = 0, colours = 0;
  if (tjDecompressHeader3(codec.get(), data, bytes.size(), &image.width, &image.height,
                          &subsampling, &colours) != 0) {
    return Damaged(codec);
  }
  if (auto status = CheckImageSize(image.width, image.height, limits); !status.ok()) return status;
  if (colours == TJCS_CMYK || colours == TJCS_YCCK) {
    return BadImage("the JPEG is CMYK, made for print; save it as RGB");
  }
  image.data.resize(static_cast<size_t>(3) * image.width * image.height);
  // The library only warns when a file is cut short, and fills up with grey. We want whole ones.
  constexpr int kFlags = TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS | TJFLAG_ACCURATEDCT;
  if (tjDecompress2(codec.get(), data, bytes.size(), image.data.data(), image.width,
                    3 * image.width, image.height, TJPF_RGB, kFlags) != 0) {
    return Damaged(codec);
  }
  return image;
}

absl::Status EncodeJpeg(const uint8_t* rgb, int width, int height, int quality, std::string* out) {
  if (quality < 1 || quality > 100) {
    return BadImage(absl::StrCat("JPEG quality ", quality, " is not in 1 to 100"));
  }
  Codec codec(tjInitCompress());
  if (codec == nullptr) return absl::ResourceExhaustedError("no memory for a JPEG encoder");
  out->resize(MaxJpegBytes(width, height));
  auto data = reinterpret_cast<unsigned char*>(out->data());
  unsigned long size = out->size();  // NOLINT(google-runtime-int): the library's type
  constexpr int kFlags = TJFLAG_NOREALLOC | TJFLAG_ACCURATEDCT;
  if (tjCompress2(codec.get(), rgb, width, 3 * width, height, TJPF_RGB, &data, &size, TJSAMP_444,
                  quality, kFlags) != 0) {
    return absl::InternalError(absl::StrCat("JPEG: ", tjGetErrorStr2(codec.get())));
  }
  out->resize(size);
  return absl::OkStatus();
}

int64_t MaxJpegBytes(int width, int height) {
  return static_cast<int64_t>(tjBufSize(width, height, TJSAMP_444));
}

}  // namespace firstbyte
