#include "client/utf8.h"

#include <algorithm>
#include <cstdint>

namespace firstbyte {
namespace {

bool IsContinuation(char byte) { return (static_cast<uint8_t>(byte) & 0xC0) == 0x80; }

// Bytes of the character that `lead` begins; 0 when none begins so.
size_t CharacterSize(char lead) {
  auto byte = static_cast<uint8_t>(lead);
  if (byte < 0x80) return 1;
  if (byte >= 0xC2 && byte <= 0xDF) return 2;
  if (byte >= 0xE0 && byte <= 0xEF) return 3;
  if (byte >= 0xF0 && byte <= 0xF4) return 4;
  return 0;
}

// The second byte decides about overlong forms, surrogates and the upper end.
bool SecondByteFits(uint8_t lead, uint8_t second) {
  switch (lead) {
    case 0xE0:
      return second >= 0xA0;
    case 0xED:
      return second <= 0x9F;
    case 0xF0:
      return second >= 0x90;
    case 0xF4:
      return second <= 0x8F;
    default:
      return true;
  }
}

}  // namespace

bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    size_t size = CharacterSize(text[0]);
    if (size == 0 || text.size() < size) return false;
    if (!std::all_of(text.begin() + 1, text.begin() + size, IsContinuation)) return false;
    if (size > 1 && !SecondByteFits(text[0], text[1])) return false;
    text.remove_prefix(size);
  }
  return true;
}

size_t CompleteUtf8Prefix(absl::string_view text, size_t limit) {
  size_t end = std::min(text.size(), limit);
  for (size_t back = 1; back <= std::min<size_t>(end, 3); ++back) {
    char byte = text[end - back];
    if (IsContinuation(byte)) continue;
    return CharacterSize(byte) > back ? end - back : end;
  }
  return end;
}

}  // namespace firstbyte
