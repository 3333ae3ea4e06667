// SHA-256 and HMAC-SHA256, by libcrypto.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace firstbyte {

std::string Sha256(absl::string_view bytes);                               // 32 bytes
std::string HmacSha256(absl::string_view key, absl::string_view message);  // 32 bytes

// Whether they are equal, in a time that says nothing about where they differ.
bool EqualInConstantTime(absl::string_view a, absl::string_view b);

// Bytes nobody can guess.
std::string RandomBytes(int count);

}  // namespace firstbyte
