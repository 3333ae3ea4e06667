// The bytes of a saved session: written by a copy, read with every value checked.
//
// Numbers in the machine's own order (all that we build for are little-endian), floats as they are.
// The bytes are untrusted when they are read: the first problem is kept, later reads return a
// value in range, and status() is looked at once at the end. Not thread-safe.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace firstbyte::state_dit {

class BlobWriter {
 public:
  explicit BlobWriter(size_t size_hint) { bytes_.reserve(size_hint); }

  void Text(absl::string_view text) { Raw(text.data(), text.size()); }  // of a known length
  void Int(int64_t value) { Raw(&value, sizeof(value)); }
  void Double(double value) { Raw(&value, sizeof(value)); }
  void Floats(const float* values, int64_t count) { Raw(values, sizeof(float) * count); }

  char* Room(int64_t size) {  // uninitialised as far as the caller is concerned
    bytes_.resize(bytes_.size() + size);
    return bytes_.data() + bytes_.size() - size;
  }

  std::string Finish() { return std::move(bytes_); }

 private:
  void Raw(const void* data, size_t size) { bytes_.append(static_cast<const char*>(data), size); }

  std::string bytes_;
};

class BlobReader {
 public:
  explicit BlobReader(absl::string_view bytes) : rest_(bytes) {}

  void Expect(absl::string_view text, absl::string_view what);
  int64_t Int(int64_t low, int64_t high, absl::string_view what);
  double Double(double low, double high, absl::string_view what);
  // Every value finite and within [-limit, limit].
  void Floats(float* out, int64_t count, float limit, absl::string_view what);
  // The next `size` bytes, valid as long as the blob is; nullptr when they are not there.
  const char* Bytes(int64_t size, absl::string_view what);
  void ExpectEnd();

  // DATA_LOSS (BAD_STATE) naming what was wrong.
  const absl::Status& status() const { return status_; }
  void Fail(absl::string_view what);

 private:
  bool Raw(void* out, size_t size, absl::string_view what);

  absl::string_view rest_;
  absl::Status status_;
};

}  // namespace firstbyte::state_dit
