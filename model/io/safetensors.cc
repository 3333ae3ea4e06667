#include "model/io/safetensors.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <set>

#include <sys/mman.h>
#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/error.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

using Json = nlohmann::json;

// The format's own cap; a real header is a few kilobytes.
constexpr uint64_t kMaxHeader = 100'000'000;
constexpr size_t kMaxDimensions = 8;

absl::Status Bad(absl::string_view file, absl::string_view what) {
  return Invalid("BAD_WEIGHTS", absl::StrCat(file, ": ", what));
}

int64_t BytesOf(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }

std::optional<DType> DTypeFromName(const std::string& name) {
  if (name == "F32") return DType::kF32;
  if (name == "F16") return DType::kF16;
  if (name == "BF16") return DType::kBF16;
  return std::nullopt;
}

// The library keeps the last of two equal keys silently; a file with both is ambiguous.
struct DuplicateKeys {
  std::vector<std::set<std::string>> open;
  std::string found;

  bool operator()(int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end && !open.empty()) open.pop_back();
    if (event == Json::parse_event_t::key && !open.empty()) {
      std::string key = parsed.get<std::string>();
      if (!open.back().insert(key).second) found = key;
    }
    return true;
  }
};

// Depth matters because the parser recurses when it destroys a value.
bool TooDeep(absl::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (!quoted) {
      depth += (text[i] == '{' || text[i] == '[') - (text[i] == '}' || text[i] == ']');
      if (depth > 8) return true;
    }
  }
  return false;
}

absl::StatusOr<Json> ParseHeader(absl::Span<const uint8_t> file, absl::string_view name) {
  if (file.size() < 8) return Bad(name, "shorter than a safetensors header");
  uint64_t length = 0;
  for (int i = 0; i < 8; ++i) length |= uint64_t{file[i]} << (8 * i);
  if (length > kMaxHeader || length > file.size() - 8) {
    return Bad(name, absl::StrCat("header of ", length, " bytes does not fit the file"));
  }
  absl::string_view text(reinterpret_cast<const char*>(file.data()) + 8, length);
  if (TooDeep(text)) return Bad(name, "header is nested too deeply");
  DuplicateKeys duplicates;
  Json header = Json::parse(text.begin(), text.end(), std::ref(duplicates), false);
  if (header.is_discarded()) return Bad(name, "header is not JSON");
  if (!header.is_object()) return Bad(name, "header is not a JSON object");
  if (!duplicates.found.empty()) {
    return Bad(name, absl::StrCat("duplicate key \"", duplicates.found, "\" in the header"));
  }
  return header;
}

// A list of integers >= 0, else nullopt.
std::optional<std::vector<int64_t>> Naturals(const Json& entry, const char* key) {
  if (!entry.contains(key) || !entry[key].is_array()) return std::nullopt;
  std::vector<int64_t> values;
  for (const Json& value : entry[key]) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > uint64_t{1} << 48) {
      return std::nullopt;
    }
    values.push_back(value.get<int64_t>());
  }
  return values;
}

absl::StatusOr<TensorView> ParseTensor(const std::string& tensor, const Json& entry,
                                       absl::Span<const uint8_t> data, absl::string_view name) {
  auto bad = [&](absl::string_view what) {
    return Bad(name, absl::StrCat("tensor \"", tensor, "\": ", what));
  };
  if (!entry.is_object()) return bad("is not an object");
  if (!entry.contains("dtype") || !entry["dtype"].is_string()) return bad("has no dtype");
  auto dtype = DTypeFromName(entry["dtype"].get<std::string>());
  if (!dtype) return bad("dtype is not F32, F16 or BF16");
  auto shape = Naturals(entry, "shape"), offsets = Naturals(entry, "data_offsets");
  if (!shape || shape->size() > kMaxDimensions) return bad("bad shape");
  if (!offsets || offsets->size() != 2) return bad("bad data_offsets");
  const int64_t begin = (*offsets)[0], end = (*offsets)[1];
  if (begin > end || end > static_cast<int64_t>(data.size())) return bad("lies outside the file");
  int64_t bytes = BytesOf(*dtype);
  for (int64_t dimension : *shape) {
    if (__builtin_mul_overflow(bytes, dimension, &bytes)) return bad("shape is too large");
  }
  if (bytes != end - begin) {
    return bad(absl::StrCat("needs ", bytes, " bytes and has ", end - begin));
  }
  return TensorView{*dtype, std::move(*shape), data.subspan(begin, end - begin)};
}

absl::Status CheckTiling(const std::map<std::string, TensorView>& tensors,
                         absl::Span<const uint8_t> data, absl::string_view name) {
  std::vector<std::pair<size_t, size_t>> ranges;
  for (const auto& [tensor, view] : tensors) {
    size_t begin = view.bytes.data() - data.data();
    ranges.emplace_back(begin, begin + view.bytes.size());
  }
  std::sort(ranges.begin(), ranges.end());
  size_t at = 0;
  for (const auto& [begin, end] : ranges) {
    if (begin < at) return Bad(name, "tensors overlap");
    if (begin > at) return Bad(name, "a gap between tensors");
    at = end;
  }
  if (at != data.size()) return Bad(name, "bytes after the last tensor");
  return absl::OkStatus();
}

struct Mapping {
  ~Mapping() {
    if (address != MAP_FAILED) munmap(address, size);
  }
  void* address = MAP_FAILED;
  size_t size = 0;
};

float HalfToFloat(uint16_t half) {
  const uint32_t sign = uint32_t{half & 0x8000u} << 16;
  const uint32_t exponent = half >> 10 & 31, fraction = half & 1023;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | fraction << 13);
  if (exponent == 0) {
    float value = static_cast<float>(fraction) * 0x1p-24f;  // subnormal or zero
    return sign ? -value : value;
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

}  // namespace

int64_t TensorView::elements() const { return static_cast<int64_t>(bytes.size()) / BytesOf(dtype); }

absl::StatusOr<SafeTensors> SafeTensors::Parse(absl::Span<const uint8_t> file,
                                               absl::string_view name) {
  absl::StatusOr<Json> header = ParseHeader(file, name);
  if (!header.ok()) return header.status();
  uint64_t length = 0;
  for (int i = 0; i < 8; ++i) length |= uint64_t{file[i]} << (8 * i);
  absl::Span<const uint8_t> data = file.subspan(8 + length);
  SafeTensors reader;
  reader.name_ = std::string(name);
  for (const auto& [key, entry] : header->items()) {
    if (key == "__metadata__") {
      if (!entry.is_object()) return Bad(name, "__metadata__ is not an object");
      for (const auto& [k, v] : entry.items()) {
        if (!v.is_string()) return Bad(name, "__metadata__ holds more than strings");
        reader.metadata_[k] = v.get<std::string>();
      }
      continue;
    }
    absl::StatusOr<TensorView> view = ParseTensor(key, entry, data, name);
    if (!view.ok()) return view.status();
    reader.tensors_[key] = *std::move(view);
  }
  if (absl::Status s = CheckTiling(reader.tensors_, data, name); !s.ok()) return s;
  return reader;
}

absl::StatusOr<SafeTensors> SafeTensors::Open(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return Error(absl::StatusCode::kNotFound, "NO_WEIGHTS",
                 absl::StrCat(path, ": ", std::strerror(errno)));
  }
  struct stat info {};
  auto mapping = std::make_shared<Mapping>();
  if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0) {
    mapping->size = static_cast<size_t>(info.st_size);
    mapping->address = mmap(nullptr, mapping->size, PROT_READ, MAP_PRIVATE, fd, 0);
  }
  close(fd);
  if (mapping->address == MAP_FAILED) return Bad(path, "not a file that can be mapped");
  absl::StatusOr<SafeTensors> reader =
      Parse({static_cast<const uint8_t*>(mapping->address), mapping->size}, path);
  if (reader.ok()) reader->mapping_ = std::move(mapping);
  return reader;
}

absl::StatusOr<std::vector<float>> SafeTensors::Floats(const std::string& tensor,
                                                       const std::vector<int64_t>& shape) const {
  auto found = tensors_.find(tensor);
  if (found == tensors_.end()) return Bad(name_, absl::StrCat("no tensor \"", tensor, "\""));
  if (found->second.shape != shape) {
    return Bad(name_, absl::StrCat("tensor \"", tensor, "\" is [",
                                   absl::StrJoin(found->second.shape, ", "), "], expected [",
                                   absl::StrJoin(shape, ", "), "]"));
  }
  std::vector<float> values(found->second.elements());
  WidenToFloat(found->second, values.data());
  return values;
}

// FNV-1a, eight bytes at a time.
std::string SafeTensors::Digest() const {
  uint64_t hash = 0xcbf29ce484222325;
  for (const auto& [name, view] : tensors_) {
    for (size_t i = 0; i < view.bytes.size(); i += 8) {
      uint64_t word = 0;
      std::memcpy(&word, view.bytes.data() + i, std::min<size_t>(8, view.bytes.size() - i));
      hash = (hash ^ word) * 0x100000001b3;
      hash ^= hash >> 32;
    }
  }
  return absl::StrFormat("%016x", hash);
}

void WidenToFloat(const TensorView& tensor, float* out) {
  const uint8_t* from = tensor.bytes.data();
  if (tensor.dtype == DType::kF32) {
    std::memcpy(out, from, tensor.bytes.size());
    return;
  }
  const int64_t count = tensor.elements();
  for (int64_t i = 0; i < count; ++i, from += 2) {
    const uint16_t bits = static_cast<uint16_t>(from[0] | from[1] << 8);
    out[i] = tensor.dtype == DType::kBF16 ? std::bit_cast<float>(uint32_t{bits} << 16)
                                          : HalfToFloat(bits);
  }
}

}  // namespace firstbyte
