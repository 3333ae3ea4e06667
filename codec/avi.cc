#include "codec/avi.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

namespace firstbyte {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{1} << 30;  // old readers stop at a gigabyte
constexpr uint32_t kRateScale = 1000;
constexpr uint32_t kHasIndex = 0x10, kInterleaved = 0x100, kKeyFrame = 0x10;

std::string U16(uint32_t value) {
  return {static_cast<char>(value & 0xff), static_cast<char>(value >> 8 & 0xff)};
}
std::string U32(uint32_t value) { return U16(value & 0xffff) + U16(value >> 16); }

std::string Chunk(absl::string_view id, absl::string_view data) {
  return absl::StrCat(id, U32(static_cast<uint32_t>(data.size())), data);
}
std::string List(absl::string_view name, absl::string_view data) {
  return Chunk("LIST", absl::StrCat(name, data));
}

std::string StreamHeader(absl::string_view type, absl::string_view handler, uint32_t scale,
                         uint32_t rate, uint32_t length, uint32_t buffer, uint32_t sample_size) {
  return Chunk("strh", absl::StrCat(type, handler, U32(0), U32(0), U32(0), U32(scale), U32(rate),
                                    U32(0), U32(length), U32(buffer), U32(0xffffffff),
                                    U32(sample_size), U32(0), U32(0)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<AviFile>> AviFile::Create(const std::string& path,
                                                         const AviFormat& format) {
  std::FILE* file = std::fopen(path.c_str(), "wbe");
  if (file == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
  std::unique_ptr<AviFile> avi(new AviFile(file, path, format));
  if (auto status = avi->Write(avi->Header()); !status.ok()) return status;
  return avi;
}

AviFile::AviFile(std::FILE* file, std::string path, const AviFormat& format)
    : file_(file), path_(std::move(path)), format_(format) {}

AviFile::~AviFile() { Close().IgnoreError(); }

absl::Status AviFile::AddFrame(absl::string_view jpeg) {
  ++frames_;
  return AddChunk("00dc", jpeg);
}

absl::Status AviFile::AddSound(absl::string_view pcm16) {
  if (format_.sample_rate_hertz == 0 || pcm16.empty()) return absl::OkStatus();
  samples_ += static_cast<uint32_t>(pcm16.size() / 2);
  return AddChunk("01wb", pcm16);
}

absl::Status AviFile::AddChunk(absl::string_view id, absl::string_view data) {
  if (file_ == nullptr) return absl::FailedPreconditionError(absl::StrCat(path_, " is closed"));
  if (movi_bytes_ + data.size() > kMaxBytes) {
    return absl::ResourceExhaustedError(absl::StrCat(path_, ": an AVI film ends at one gigabyte"));
  }
  const auto size = static_cast<uint32_t>(data.size());
  absl::StrAppend(&index_, id, U32(kKeyFrame), U32(static_cast<uint32_t>(movi_bytes_)), U32(size));
  largest_chunk_ = std::max(largest_chunk_, size);
  std::string chunk = Chunk(id, data);
  if (chunk.size() % 2 == 1) chunk.push_back('\0');
  movi_bytes_ += chunk.size();
  return Write(chunk);
}

absl::Status AviFile::Write(absl::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) == bytes.size()) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path_));
}

// Everything before the first chunk; as long while the film runs as in the end.
std::string AviFile::Header() const {
  const auto rate = static_cast<uint32_t>(std::lround(format_.frames_per_second * kRateScale));
  const uint32_t width = format_.width, height = format_.height;
  const uint32_t hertz = format_.sample_rate_hertz;
  const uint32_t frame_us = rate == 0 ? 0 : static_cast<uint32_t>(1e6 * kRateScale / rate);
  std::string picture =
      Chunk("strf", absl::StrCat(U32(40), U32(width), U32(height), U16(1), U16(24), "MJPG",
                                 U32(3 * width * height), U32(0), U32(0), U32(0), U32(0)));
  std::string streams = List(
      "strl", StreamHeader("vids", "MJPG", kRateScale, rate, frames_, largest_chunk_, 0) + picture);
  if (hertz > 0) {
    std::string sound =
        Chunk("strf", absl::StrCat(U16(1), U16(1), U32(hertz), U32(2 * hertz), U16(2), U16(16)));
    streams += List("strl", StreamHeader("auds", U32(0), 1, hertz, samples_, 2 * hertz, 2) + sound);
  }
  std::string main =
      Chunk("avih", absl::StrCat(U32(frame_us), U32(0), U32(0), U32(kHasIndex | kInterleaved),
                                 U32(frames_), U32(0), U32(hertz > 0 ? 2 : 1), U32(largest_chunk_),
                                 U32(width), U32(height), U32(0), U32(0), U32(0), U32(0)));
  std::string headers = List("hdrl", main + streams);
  const uint64_t riff = 4 + headers.size() + 8 + movi_bytes_ + 8 + index_.size();
  return absl::StrCat("RIFF", U32(static_cast<uint32_t>(riff)), "AVI ", headers, "LIST",
                      U32(static_cast<uint32_t>(movi_bytes_)), "movi");
}

absl::Status AviFile::Close() {
  if (file_ == nullptr) return absl::OkStatus();
  absl::Status status = Write(Chunk("idx1", index_));
  if (std::fseek(file_, 0, SEEK_SET) == 0 && status.ok()) status = Write(Header());
  if (std::fclose(std::exchange(file_, nullptr)) != 0 && status.ok()) {
    status = absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path_));
  }
  return status;
}

}  // namespace firstbyte
