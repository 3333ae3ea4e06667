#include "base/ids.h"

#include <random>

#include "absl/strings/str_format.h"

namespace firstbyte {
namespace {

uint64_t Random64() {
  thread_local std::mt19937_64 engine((static_cast<uint64_t>(std::random_device{}()) << 32) ^
                                      std::random_device{}());
  return engine();
}

}  // namespace

std::string NewUuid() {
  uint64_t high = (Random64() & ~0xF000ull) | 0x4000ull;
  uint64_t low = (Random64() & ~(3ull << 62)) | (2ull << 62);
  return absl::StrFormat("%08x-%04x-%04x-%04x-%012x", high >> 32, (high >> 16) & 0xFFFF,
                         high & 0xFFFF, low >> 48, low & 0xFFFFFFFFFFFFull);
}

uint64_t NewSeed() {
  uint64_t seed = 0;
  while (seed == 0) seed = Random64();
  return seed;
}

}  // namespace firstbyte
