// Reader of the safetensors format: a mapped file of named tensors.
//
//   u64 little-endian header length | JSON {name: {dtype, shape, data_offsets}} | tensor bytes
//
// The file is untrusted: every bound is checked at Open(), and a reader that opened can be read
// without further checks. Immutable, so thread-safe. Errors are INVALID_ARGUMENT (BAD_WEIGHTS) or
// NOT_FOUND with a message that names the file and the tensor.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace firstbyte {

enum class DType { kF32, kF16, kBF16 };

struct TensorView {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  absl::Span<const uint8_t> bytes;  // in the mapping; row-major; not necessarily aligned
  int64_t elements() const;
};

class SafeTensors {
 public:
  // Maps `path`. Tensors must tile the data part: no overlap, no gap, nothing after the last.
  static absl::StatusOr<SafeTensors> Open(const std::string& path);
  // The same checks on bytes in memory, which must outlive the reader. `name` is for messages.
  static absl::StatusOr<SafeTensors> Parse(absl::Span<const uint8_t> file, absl::string_view name);

  // "__metadata__" of the header.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }

  // A tensor widened to float. `shape` is what the caller expects, or the call fails.
  absl::StatusOr<std::vector<float>> Floats(const std::string& tensor,
                                            const std::vector<int64_t>& shape) const;

  // 16 hexadecimal digits over all tensors' bytes: names the weights, protects against nothing.
  std::string Digest() const;

 private:
  SafeTensors() = default;

  std::string name_;
  std::shared_ptr<const void> mapping_;
  std::map<std::string, std::string> metadata_;
  std::map<std::string, TensorView> tensors_;
};

// Element by element, exact; infinities and NaN are kept.
void WidenToFloat(const TensorView& tensor, float* out);

}  // namespace firstbyte
