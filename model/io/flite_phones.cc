#include "model/io/flite_phones.h"

#include <algorithm>
#include <cstring>

namespace firstbyte {
namespace {

constexpr const char* kPartsOfSpeech[] = {"0",  "content", "det", "in",  "to",  "md",
                                          "cc", "wp",      "pps", "aux", "punc"};
constexpr int kPartOfSpeechFlag = 12;
constexpr int kContent = 1;
constexpr char kPunctuation[] = ".,?!";
constexpr int kPunctuationFlag = 23;
constexpr int kOtherPunctuation = 4;

int PartOfSpeech(const char* name) {
  int index = 0;
  for (const char* known : kPartsOfSpeech) {
    if (std::strcmp(known, name) == 0) return index;
    ++index;
  }
  return kContent;
}

int Punctuation(const char* name) {
  const char* found = name[0] == '\0' ? nullptr : std::strchr(kPunctuation, name[0]);
  return found == nullptr ? kOtherPunctuation : static_cast<int>(found - kPunctuation);
}

void ReadFlags(const cst_item* segment, float* flags) {
  const cst_item* in_syllable = item_as(segment, "SylStructure");
  if (in_syllable == nullptr || item_parent(in_syllable) == nullptr) {  // a pause
    flags[kPartOfSpeechFlag] = 1;
    flags[kPunctuationFlag + kOtherPunctuation] = 1;
    return;
  }
  const cst_item* syllable = item_parent(in_syllable);
  const bool first = item_prev(in_syllable) == nullptr;
  const bool last = item_next(in_syllable) == nullptr;
  flags[0] = std::strcmp(ffeature_string(syllable, "stress"), "1") == 0;
  flags[1] = std::strcmp(ffeature_string(syllable, "R:Syllable.accented"), "1") == 0;
  flags[2] = first && item_prev(syllable) == nullptr;
  flags[3] = last && item_next(syllable) == nullptr;
  flags[4] = first;
  flags[5] = last;
  const float in = static_cast<float>(ffeature_int(syllable, "R:Syllable.syl_in"));
  const float out = static_cast<float>(ffeature_int(syllable, "R:Syllable.syl_out"));
  flags[6] = std::min(in, 12.0f) / 6;
  flags[7] = std::min(out, 12.0f) / 6;
  flags[8] = in / (in + out + 1e-3f);
  const int phrase_break = ffeature_int(syllable, "R:Syllable.syl_break");
  flags[9] = phrase_break == 0;
  flags[10] = phrase_break == 1;
  flags[11] = phrase_break >= 3;
  flags[kPartOfSpeechFlag + PartOfSpeech(ffeature_string(syllable, "parent.R:Word.gpos"))] = 1;
  // The word's own token: punctuation sits on the last word of a token only.
  flags[kPunctuationFlag + Punctuation(ffeature_string(syllable, "parent.R:Token.parent.punc"))] =
      1;
}

}  // namespace

int ReadFlitePhones(const cst_utterance* utterance, absl::Span<FlitePhone> out) {
  size_t count = 0;
  for (const cst_item* segment = relation_head(utt_relation(utterance, "Segment"));
       segment != nullptr; segment = item_next(segment)) {
    if (count < out.size()) {
      out[count].name = item_feat_string(segment, "name");
      out[count].flags.fill(0);
      ReadFlags(segment, out[count].flags.data());
    }
    ++count;
  }
  return static_cast<int>(count);
}

}  // namespace firstbyte
