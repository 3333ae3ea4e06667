#include "model/world/state_dit/state_blob.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace firstbyte::state_dit {

void BlobReader::Fail(absl::string_view what) {
  if (!status_.ok()) return;
  status_ = Error(absl::StatusCode::kDataLoss, "BAD_STATE",
                  absl::StrCat("the saved state does not hold together: ", what));
}

const char* BlobReader::Bytes(int64_t size, absl::string_view what) {
  if (!status_.ok()) return nullptr;
  if (size > static_cast<int64_t>(rest_.size())) {
    Fail(absl::StrCat(what, " is cut off"));
    return nullptr;
  }
  const char* bytes = rest_.data();
  rest_.remove_prefix(size);
  return bytes;
}

bool BlobReader::Raw(void* out, size_t size, absl::string_view what) {
  const char* bytes = Bytes(static_cast<int64_t>(size), what);
  if (bytes != nullptr && size > 0) std::memcpy(out, bytes, size);
  return bytes != nullptr;
}

void BlobReader::Expect(absl::string_view text, absl::string_view what) {
  if (!status_.ok()) return;
  if (rest_.substr(0, text.size()) != text) return Fail(absl::StrCat(what, " is another"));
  rest_.remove_prefix(text.size());
}

int64_t BlobReader::Int(int64_t low, int64_t high, absl::string_view what) {
  int64_t value = low;
  if (!Raw(&value, sizeof(value), what)) return low;
  if (value >= low && value <= high) return value;
  Fail(absl::StrCat(what, " is out of range"));
  return low;
}

double BlobReader::Double(double low, double high, absl::string_view what) {
  double value = low;
  if (!Raw(&value, sizeof(value), what)) return low;
  if (value >= low && value <= high) return value;  // false for NaN
  Fail(absl::StrCat(what, " is out of range"));
  return low;
}

void BlobReader::Floats(float* out, int64_t count, float limit, absl::string_view what) {
  const bool good =
      Raw(out, sizeof(float) * count, what) &&
      std::all_of(out, out + count, [limit](float v) { return std::abs(v) <= limit; });
  if (good) return;
  std::fill_n(out, count, 0.0f);
  Fail(absl::StrCat(what, " is out of range"));
}

void BlobReader::ExpectEnd() {
  if (status_.ok() && !rest_.empty()) Fail("bytes follow its end");
}

}  // namespace firstbyte::state_dit
