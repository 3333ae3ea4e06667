#include "codec/wav.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace firstbyte {
namespace {

constexpr int kBytesPerSample = 2;
constexpr size_t kHeaderBytes = 44;

void AppendLittleEndian(uint32_t value, int bytes, std::string* out) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

// Consumes little-endian fields; every read is checked against what is left.
class Cursor {
 public:
  explicit Cursor(absl::string_view bytes) : left_(bytes) {}

  std::optional<uint32_t> Number(size_t bytes) {
    if (left_.size() < bytes) return std::nullopt;
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value |= uint32_t{static_cast<uint8_t>(left_[i])} << (8 * i);
    left_.remove_prefix(bytes);
    return value;
  }
  // Fewer than `bytes` where the input ends first.
  absl::string_view Take(size_t bytes) {
    absl::string_view taken = left_.substr(0, bytes);
    left_.remove_prefix(taken.size());
    return taken;
  }

 private:
  absl::string_view left_;
};

struct Format {
  uint32_t channels, sample_rate;
};

absl::StatusOr<Format> ParseFormat(absl::string_view chunk) {
  Cursor in(chunk);
  auto tag = in.Number(2), channels = in.Number(2), rate = in.Number(4);
  in.Take(6);  // byte rate and block size follow from the rest
  auto bits = in.Number(2);
  if (!bits) return absl::InvalidArgumentError("not a WAV file: the format chunk is too short");
  constexpr uint32_t kPcm = 1, kExtensible = 0xFFFE;
  if ((*tag != kPcm && *tag != kExtensible) || *bits != 8 * kBytesPerSample) {
    return absl::InvalidArgumentError(
        absl::StrCat("WAV format ", *tag, " with ", *bits, " bits: only 16-bit PCM is read"));
  }
  if (*channels == 0 || *channels > 8 || *rate == 0 || *rate > 768000) {
    return absl::InvalidArgumentError(
        absl::StrCat("WAV with ", *channels, " channels at ", *rate, " Hz"));
  }
  return Format{*channels, *rate};
}

}  // namespace

std::string WavHeader(int sample_rate_hertz, int channels, uint32_t data_bytes) {
  std::string header;
  header.reserve(kHeaderBytes);
  header.append("RIFF");
  bool unknown = data_bytes == kUnknownWavSize;
  AppendLittleEndian(unknown ? kUnknownWavSize : data_bytes + kHeaderBytes - 8, 4, &header);
  header.append("WAVEfmt ");
  AppendLittleEndian(16, 4, &header);
  AppendLittleEndian(1, 2, &header);  // PCM
  AppendLittleEndian(channels, 2, &header);
  AppendLittleEndian(sample_rate_hertz, 4, &header);
  AppendLittleEndian(sample_rate_hertz * channels * kBytesPerSample, 4, &header);
  AppendLittleEndian(channels * kBytesPerSample, 2, &header);
  AppendLittleEndian(8 * kBytesPerSample, 2, &header);
  header.append("data");
  AppendLittleEndian(data_bytes, 4, &header);
  return header;
}

absl::StatusOr<std::unique_ptr<WavFile>> WavFile::Create(const std::string& path,
                                                         int sample_rate_hertz, int channels) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
  std::unique_ptr<WavFile> wav(new WavFile(file, path, sample_rate_hertz, channels));
  std::string header = WavHeader(sample_rate_hertz, channels, kUnknownWavSize);
  if (std::fwrite(header.data(), 1, header.size(), file) != header.size()) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
  }
  return wav;
}

WavFile::~WavFile() { Close().IgnoreError(); }

absl::Status WavFile::Write(absl::string_view pcm16) {
  if (file_ == nullptr) return absl::FailedPreconditionError(absl::StrCat(path_, " is closed"));
  if (std::fwrite(pcm16.data(), 1, pcm16.size(), file_) != pcm16.size()) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path_));
  }
  data_bytes_ += pcm16.size();
  return absl::OkStatus();
}

absl::Status WavFile::Close() {
  if (file_ == nullptr) return absl::OkStatus();
  std::FILE* file = std::exchange(file_, nullptr);
  bool ok = true;
  // Past 4 GiB the header cannot say the size: it stays "unknown". A pipe cannot seek: likewise.
  if (data_bytes_ < kUnknownWavSize - kHeaderBytes && std::fseek(file, 0, SEEK_SET) == 0) {
    std::string header =
        WavHeader(sample_rate_hertz_, channels_, static_cast<uint32_t>(data_bytes_));
    ok = std::fwrite(header.data(), 1, header.size(), file) == header.size();
  }
  ok = std::fclose(file) == 0 && ok;
  return ok ? absl::OkStatus() : absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path_));
}

absl::StatusOr<WavAudio> ParseWav(absl::string_view bytes) {
  Cursor in(bytes);
  absl::string_view riff = in.Take(4);
  in.Take(4);
  if (riff != "RIFF" || in.Take(4) != "WAVE") return absl::InvalidArgumentError("not a WAV file");
  std::optional<Format> format;
  while (true) {
    absl::string_view id = in.Take(4);
    std::optional<uint32_t> size = in.Number(4);
    if (!size) return absl::InvalidArgumentError("not a WAV file: no data chunk");
    absl::string_view body = in.Take(*size);
    if (id == "fmt ") {
      auto parsed = ParseFormat(body);
      if (!parsed.ok()) return parsed.status();
      format = *parsed;
    } else if (id == "data") {
      if (!format) return absl::InvalidArgumentError("not a WAV file: data before its format");
      body.remove_suffix(body.size() % (format->channels * kBytesPerSample));
      return WavAudio{static_cast<int>(format->sample_rate), static_cast<int>(format->channels),
                      std::string(body)};
    }
    in.Take(*size % 2);  // chunks are padded to even sizes
  }
}

}  // namespace firstbyte
