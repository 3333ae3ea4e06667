#include "codec/image.h"

#include <png.h>
#include <turbojpeg.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/codec/picture.h"

namespace firstbyte {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr ImageFormat kFormats[] = {ImageFormat::kRawRgb, ImageFormat::kJpeg, ImageFormat::kPng};

std::string Encode(const RgbImage& image, ImageFormat format, int quality = kDefaultJpegQuality) {
  std::string bytes;
  auto status = EncodeImage(image.data, image.width, image.height, format, quality, &bytes);
  EXPECT_TRUE(status.ok()) << status;
  return bytes;
}

RgbImage Decode(const std::string& bytes, ImageFormat format) {
  auto image = DecodeImage(bytes, format);
  EXPECT_TRUE(image.ok()) << image.status();
  return image.ok() ? *std::move(image) : RgbImage{};
}

std::string Reason(const absl::StatusOr<RgbImage>& image) {
  if (image.ok()) return "decoded";
  EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument) << image.status();
  return DetailOf(image.status()).reason;
}

// A PNG of any kind that `rows` (one string a row) fits.
std::string PngFile(int width, int height, int depth, int colours, int interlace,
                    const std::vector<std::string>& rows) {
  std::string file;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  auto write = [](png_structp p, png_bytep data, size_t size) {
    static_cast<std::string*>(png_get_io_ptr(p))->append(reinterpret_cast<char*>(data), size);
  };
  png_set_write_fn(png, &file, write, [](png_structp) {});
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_IHDR(png, info, width, height, depth, colours, interlace, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  const png_color palette[] = {{255, 0, 0}, {0, 255, 0}};
  if (colours == PNG_COLOR_TYPE_PALETTE) png_set_PLTE(png, info, palette, 2);
  png_write_info(png, info);
  std::vector<png_bytep> pointers;
  for (const std::string& row : rows) {
    pointers.push_back(reinterpret_cast<png_bytep>(const_cast<char*>(row.data())));
  }
  if (!rows.empty()) {
    png_write_image(png, pointers.data());
    png_write_end(png, info);
  }
  png_destroy_write_struct(&png, &info);
  return file;
}

std::string JpegFile(const std::vector<uint8_t>& pixels, int width, int height, int pixel_format,
                     int subsampling, int flags) {
  tjhandle codec = tjInitCompress();
  unsigned char* data = nullptr;
  unsigned long size = 0;  // NOLINT(google-runtime-int)
  EXPECT_EQ(tjCompress2(codec, pixels.data(), width, 0, height, pixel_format, &data, &size,
                        subsampling, 90, flags),
            0);
  std::string file(reinterpret_cast<char*>(data), size);
  tjFree(data);
  tjDestroy(codec);
  return file;
}

TEST(Image, LosslessFormatsReturnEveryPixel) {
  for (RgbImage image : {Slopes(64, 64), Noise(33, 7), Slopes(1, 1), Noise(3, 130)}) {
    EXPECT_EQ(Decode(Encode(image, ImageFormat::kPng), ImageFormat::kPng).data, image.data);
    auto raw = DecodeImage(Encode(image, ImageFormat::kRawRgb), ImageFormat::kRawRgb, {},
                           image.width, image.height);
    ASSERT_TRUE(raw.ok());
    EXPECT_EQ(raw->data, image.data);
  }
}

TEST(Image, JpegComesCloserWithQuality) {
  RgbImage image = Slopes(64, 64);
  double last = 0;
  for (auto [quality, least] : {std::pair{10, 24.0}, {50, 32.0}, {85, 38.0}, {100, 45.0}}) {
    double psnr =
        Psnr(image, Decode(Encode(image, ImageFormat::kJpeg, quality), ImageFormat::kJpeg));
    EXPECT_GT(psnr, least) << quality;
    EXPECT_GT(psnr, last);
    last = psnr;
  }
  EXPECT_LT(Encode(image, ImageFormat::kJpeg, 50).size(),
            Encode(image, ImageFormat::kJpeg, 95).size());
}

TEST(Image, SizesThatAreNoMultipleOfABlockWork) {
  for (auto [width, height] : {std::pair{1, 1}, {7, 9}, {17, 1}, {1, 17}, {63, 65}}) {
    RgbImage image = Slopes(width, height);
    EXPECT_GT(Psnr(image, Decode(Encode(image, ImageFormat::kJpeg, 95), ImageFormat::kJpeg)), 20)
        << width << " x " << height;
  }
}

TEST(Image, SamePictureSameBytesInAReusedBuffer) {
  RgbImage image = Slopes(64, 64);
  for (ImageFormat format : kFormats) {
    std::string first = Encode(image, format), buffer;
    ASSERT_TRUE(EncodeImage(Noise(64, 64).data, 64, 64, format, 85, &buffer).ok());
    const char* memory = buffer.data();
    ASSERT_TRUE(EncodeImage(image.data, 64, 64, format, 85, &buffer).ok());
    EXPECT_EQ(buffer, first);
    EXPECT_EQ(buffer.data(), memory) << "allocated again";
  }
}

TEST(Image, NothingIsLargerThanItsBound) {
  for (ImageFormat format : kFormats) {
    for (auto [width, height] : {std::pair{1, 1}, {64, 64}, {250, 3}, {3, 250}, {320, 200}}) {
      std::string bytes = Encode(Noise(width, height), format, 100);
      EXPECT_LE(static_cast<int64_t>(bytes.size()), MaxEncodedImageBytes(format, width, height));
    }
  }
}

TEST(Image, WrongNumbersAreRefusedWhenEncoding) {
  std::string out;
  std::vector<uint8_t> rgb(3 * 4 * 4);
  for (ImageFormat format : kFormats) {
    EXPECT_FALSE(EncodeImage(rgb, 4, 5, format, 85, &out).ok());
    EXPECT_FALSE(EncodeImage({}, 0, 0, format, 85, &out).ok());
    EXPECT_FALSE(EncodeImage(rgb, -4, -4, format, 85, &out).ok());
  }
  EXPECT_FALSE(EncodeImage(rgb, 4, 4, ImageFormat::kJpeg, 0, &out).ok());
  EXPECT_FALSE(EncodeImage(rgb, 4, 4, ImageFormat::kJpeg, 101, &out).ok());
}

TEST(Image, FormatsAreSniffed) {
  RgbImage image = Slopes(8, 8);
  EXPECT_EQ(SniffImageFormat(Encode(image, ImageFormat::kJpeg)), ImageFormat::kJpeg);
  EXPECT_EQ(SniffImageFormat(Encode(image, ImageFormat::kPng)), ImageFormat::kPng);
  EXPECT_EQ(SniffImageFormat("GIF89a"), std::nullopt);
  EXPECT_EQ(SniffImageFormat(""), std::nullopt);
}

TEST(Image, EveryKindOfPngBecomesRgb) {
  const std::vector<std::string> grey = {std::string("\x00\xff", 2), std::string("\xff\x00", 2)};
  const std::vector<uint8_t> chequers = {0, 0, 0, 255, 255, 255, 255, 255, 255, 0, 0, 0};
  for (int interlace : {PNG_INTERLACE_NONE, PNG_INTERLACE_ADAM7}) {
    std::string file = PngFile(2, 2, 8, PNG_COLOR_TYPE_GRAY, interlace, grey);
    EXPECT_EQ(Decode(file, ImageFormat::kPng).data, chequers);
  }
  std::string deep = PngFile(1, 1, 16, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                             {std::string("\xff\xff\x00\x00\xff\xff", 6)});
  EXPECT_EQ(Decode(deep, ImageFormat::kPng).data, (std::vector<uint8_t>{255, 0, 255}));
  std::string clear = PngFile(2, 1, 8, PNG_COLOR_TYPE_RGB_ALPHA, PNG_INTERLACE_NONE,
                              {std::string("\xff\xff\xff\x00\x0a\x14\x1e\xff", 8)});
  EXPECT_EQ(Decode(clear, ImageFormat::kPng).data, (std::vector<uint8_t>{0, 0, 0, 10, 20, 30}));
  std::string palette = PngFile(2, 1, 1, PNG_COLOR_TYPE_PALETTE, PNG_INTERLACE_NONE, {"\x40"});
  EXPECT_EQ(Decode(palette, ImageFormat::kPng).data, (std::vector<uint8_t>{255, 0, 0, 0, 255, 0}));
}

TEST(Image, GreyAndProgressiveJpegBecomeRgb) {
  std::vector<uint8_t> grey(16 * 16, 100);
  std::string file = JpegFile(grey, 16, 16, TJPF_GRAY, TJSAMP_GRAY, 0);
  EXPECT_EQ(Decode(file, ImageFormat::kJpeg).data, std::vector<uint8_t>(16 * 16 * 3, 100));
  RgbImage image = Slopes(40, 24);
  file = JpegFile(image.data, 40, 24, TJPF_RGB, TJSAMP_420, TJFLAG_PROGRESSIVE);
  EXPECT_GT(Psnr(image, Decode(file, ImageFormat::kJpeg)), 25);
}

TEST(Image, CmykIsRefusedInWords) {
  std::string file =
      JpegFile(std::vector<uint8_t>(16 * 16 * 4, 9), 16, 16, TJPF_CMYK, TJSAMP_444, 0);
  auto image = DecodeImage(file, ImageFormat::kJpeg);
  EXPECT_EQ(Reason(image), "BAD_IMAGE");
  EXPECT_THAT(std::string(image.status().message()), HasSubstr("CMYK"));
}

TEST(Image, AGiantIsRefusedByItsHeaderAlone) {
  // Neither file has any pixels: decoding would fail otherwise, so the reason tells the order.
  std::string png = PngFile(60000, 60000, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, {});
  png += std::string("\0\0\0\x0aIDAT", 8);
  EXPECT_EQ(Reason(DecodeImage(png, ImageFormat::kPng)), "IMAGE_TOO_LARGE");
  std::string jpeg = Encode(Slopes(16, 16), ImageFormat::kJpeg);
  size_t frame = jpeg.find("\xff\xc0");
  jpeg.replace(frame + 5, 4, "\xea\x60\xea\x60");  // 60000 x 60000
  EXPECT_EQ(Reason(DecodeImage(jpeg, ImageFormat::kJpeg)), "IMAGE_TOO_LARGE");
  EXPECT_EQ(Reason(DecodeImage("", ImageFormat::kRawRgb, {}, 60000, 60000)), "IMAGE_TOO_LARGE");
}

TEST(Image, LimitsCountSidesPixelsAndBytes) {
  for (ImageFormat format : {ImageFormat::kJpeg, ImageFormat::kPng}) {
    std::string file = Encode(Slopes(40, 20), format);
    EXPECT_TRUE(DecodeImage(file, format, {.max_side = 40, .max_pixels = 800}).ok());
    EXPECT_EQ(Reason(DecodeImage(file, format, {.max_side = 39})), "IMAGE_TOO_LARGE");
    EXPECT_EQ(Reason(DecodeImage(file, format, {.max_pixels = 799})), "IMAGE_TOO_LARGE");
    EXPECT_EQ(Reason(DecodeImage(file, format, {.max_bytes = file.size() - 1})), "IMAGE_TOO_LARGE");
  }
}

TEST(Image, RawBytesMustHaveTheSizeSaid) {
  EXPECT_EQ(Reason(DecodeImage("abcdef", ImageFormat::kRawRgb, {}, 2, 1)), "decoded");
  EXPECT_EQ(Reason(DecodeImage("abcde", ImageFormat::kRawRgb, {}, 2, 1)), "BAD_IMAGE");
  EXPECT_EQ(Reason(DecodeImage("", ImageFormat::kRawRgb)), "BAD_IMAGE");
  EXPECT_EQ(Reason(DecodeImage("", ImageFormat::kRawRgb, {}, -1, -1)), "BAD_IMAGE");
}

// A JPEG that says its first component `scans` times over, which is allowed, and costs each time.
std::string ScansOfGrey(int scans) {
  std::string file =
      JpegFile(std::vector<uint8_t>(16 * 16, 100), 16, 16, TJPF_GRAY, TJSAMP_GRAY, 0);
  const std::string one("\xff\xc0\x00\x0b\x08\x00\x10\x00\x10\x01\x01\x11\x00", 13);
  const std::string three(
      "\xff\xc0\x00\x11\x08\x00\x10\x00\x10\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00", 19);
  size_t frame = file.find(one);
  EXPECT_NE(frame, std::string::npos);
  file.replace(frame, one.size(), three);
  size_t at = file.find("\xff\xda");
  const std::string scan = file.substr(at, file.size() - 2 - at);
  file.resize(at);
  for (int i = 0; i < scans; ++i) file += scan;
  return file + "\xff\xd9";
}

TEST(Image, AJpegOfAThousandScansIsRefused) {
  EXPECT_EQ(Reason(DecodeImage(ScansOfGrey(3), ImageFormat::kJpeg)), "decoded");
  EXPECT_EQ(Reason(DecodeImage(ScansOfGrey(1000), ImageFormat::kJpeg)), "BAD_IMAGE");
}

TEST(Image, EveryTruncationIsRefused) {
  for (ImageFormat format : {ImageFormat::kJpeg, ImageFormat::kPng}) {
    std::string file = Encode(Slopes(24, 24), format);
    for (size_t size = 0; size + 12 < file.size(); ++size) {  // 12: the empty end chunk of a PNG
      EXPECT_EQ(Reason(DecodeImage(file.substr(0, size), format)), "BAD_IMAGE") << size;
    }
  }
}

TEST(Image, EveryCorruptBitIsSurvived) {
  RgbImage image = Slopes(16, 12);
  std::string progressive = JpegFile(image.data, 16, 12, TJPF_RGB, TJSAMP_420, TJFLAG_PROGRESSIVE);
  const std::pair<std::string, ImageFormat> files[] = {
      {Encode(image, ImageFormat::kJpeg), ImageFormat::kJpeg},
      {progressive, ImageFormat::kJpeg},
      {Encode(image, ImageFormat::kPng), ImageFormat::kPng}};
  for (const auto& [file, format] : files) {
    for (size_t at = 0; at < file.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        std::string bad = file;
        bad[at] = static_cast<char>(bad[at] ^ 1 << bit);
        auto decoded = DecodeImage(bad, format, {.max_side = 512});
        if (decoded.ok()) {
          EXPECT_EQ(decoded->data.size(), size_t{3} * decoded->width * decoded->height);
        } else {
          EXPECT_THAT(Reason(decoded), AnyOf("BAD_IMAGE", "IMAGE_TOO_LARGE"));
        }
      }
    }
  }
}

TEST(Image, TheWrongFormatIsRefused) {
  RgbImage image = Slopes(8, 8);
  EXPECT_EQ(Reason(DecodeImage(Encode(image, ImageFormat::kPng), ImageFormat::kJpeg)), "BAD_IMAGE");
  EXPECT_EQ(Reason(DecodeImage(Encode(image, ImageFormat::kJpeg), ImageFormat::kPng)), "BAD_IMAGE");
  EXPECT_EQ(Reason(DecodeImage("", ImageFormat::kPng)), "BAD_IMAGE");
  EXPECT_EQ(Reason(DecodeImage("", ImageFormat::kJpeg)), "BAD_IMAGE");
}

}  // namespace
}  // namespace firstbyte
