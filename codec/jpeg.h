// JPEG by libjpeg-turbo. Callers use codec/image.h, which checks sizes and limits.
//
// Through its TurboJPEG interface: that one catches the library's longjmp itself, so no C++ object
// of ours is ever jumped over. Thread-safe: each call has its own codec.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/image.h"
#include "codec/image.h"

namespace firstbyte {

// As DecodeImage. A file of more than 500 scans is refused: each one costs a pass over the picture,
// so a small file could cost an hour.
absl::StatusOr<RgbImage> DecodeJpeg(absl::string_view bytes, const ImageLimits& limits);

// Baseline, 4:4:4: pictures of worlds are small and shown enlarged, where halved colour shows.
absl::Status EncodeJpeg(const uint8_t* rgb, int width, int height, int quality, std::string* out);

int64_t MaxJpegBytes(int width, int height);

}  // namespace firstbyte
