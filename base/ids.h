// Random identifiers and seeds.
#pragma once

#include <cstdint>
#include <string>

namespace firstbyte {

// 128 random bits as an RFC 4122 version-4 UUID. Thread-safe.
std::string NewUuid();

// A random seed for a request that named none; never 0. Thread-safe.
uint64_t NewSeed();

}  // namespace firstbyte
