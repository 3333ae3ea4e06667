// Random numbers that depend on nothing but what they are drawn for.
//
// Not <random>: its distributions differ between standard libraries, and a run is to be repeated
// elsewhere with the same texts, arrivals and leavers.
#pragma once

#include <cstdint>

namespace firstbyte {

enum class Purpose : uint64_t {
  kText = 0,
  kSpeechSeed,
  kVoice,
  kEncoding,
  kArrival,
  kBehaviour,
  kScript,
  kBootstrap
};

// SplitMix64's finaliser: every bit of the input moves about half of the output's.
inline uint64_t Mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

inline uint64_t Draw(uint64_t seed, Purpose purpose, uint64_t a, uint64_t b = 0) {
  return Mix(Mix(Mix(seed + static_cast<uint64_t>(purpose)) + a) + b);
}

// [0, 1)
inline double Fraction(uint64_t draw) { return static_cast<double>(draw >> 11) * 0x1p-53; }

}  // namespace firstbyte
