// Where text may be cut: gRPC string fields must be UTF-8, message by message.
#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"

namespace firstbyte {

// Whether `text` is UTF-8 (no surrogates, no overlong forms, at most U+10FFFF).
bool IsUtf8(absl::string_view text);

// The most bytes of `text`, at most `limit` (>= 4), that do not end inside a character. A tail that
// can never become a character counts as complete.
size_t CompleteUtf8Prefix(absl::string_view text, size_t limit);

}  // namespace firstbyte
