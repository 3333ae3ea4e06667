// Reads phones and their linguistic flags from a flite utterance.
//
// The one place that defines the model's input, used by the server's front end and by the program
// that makes the training data. Include it only where libflite is linked.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "absl/types/span.h"

extern "C" {
#include <flite/flite.h>
}

namespace firstbyte {

// Flags of one phone, in this order (a `pau` has zeros, gpos "0", punctuation "other"):
//   0 syllable stressed           1 syllable accented
//   2 first phone of its word     3 last phone of its word
//   4 first phone of its syllable 5 last phone of its syllable
//   6 min(syl_in, 12) / 6         7 min(syl_out, 12) / 6, syllables since / until a phrase break
//   8 syl_in / (syl_in + syl_out + 1e-3)
//   9 syl_break == 0             10 syl_break == 1             11 syl_break >= 3
//   12-22 part of speech, one-hot: 0 content det in to md cc wp pps aux punc
//   23-27 punctuation after the word, one-hot: . , ? ! other
inline constexpr int kPhoneFlags = 28;

struct FlitePhone {
  const char* name;  // flite's, valid while the utterance lives
  std::array<float, kPhoneFlags> flags;
};

// The phones of an utterance that has been through flite's text analysis and intonation. Writes at
// most `out.size()` of them and returns how many there are. Holds nothing that needs destruction:
// flite may leave this function by longjmp.
int ReadFlitePhones(const cst_utterance* utterance, absl::Span<FlitePhone> out);

}  // namespace firstbyte
