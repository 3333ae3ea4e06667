#include "model/io/segmenter.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "base/error.h"
#include "model/io/ascii_fold.h"

namespace firstbyte {
namespace {

// A comma earlier than this would leave a stump ("However,") alone in its clause.
constexpr size_t kMinWordsBeforeCut = 4;

constexpr absl::string_view kNeverEnds[] = {
    "mr",  "mrs",  "ms",  "mx",  "dr",     "prof", "rev", "fr",     "st",  "mt",  "ft",   "gen",
    "col", "capt", "lt",  "sgt", "maj",    "cmdr", "adm", "gov",    "sen", "rep", "pres", "hon",
    "vs",  "e.g",  "i.e", "cf",  "approx", "dept", "est", "messrs", "mme", "mlle"};
constexpr absl::string_view kEndsBeforeCapital[] = {
    "etc", "inc",  "ltd", "co",   "corp", "jr",  "sr",   "esq", "bros", "al",  "a.m", "p.m",
    "ave", "blvd", "rd",  "ph.d", "m.d",  "b.a", "m.a",  "b.c", "a.d",  "ca",  "jan", "feb",
    "mar", "apr",  "jun", "jul",  "aug",  "sep", "sept", "oct", "nov",  "dec", "mon", "tue",
    "wed", "thu",  "fri", "sat",  "sun",  "hr",  "min",  "lb",  "oz"};
constexpr absl::string_view kContinuesBeforeDigit[] = {"no", "nos", "vol", "fig", "p",
                                                       "pp", "ch",  "sec", "art", "eq"};

template <size_t N>
bool Contains(const absl::string_view (&list)[N], absl::string_view word) {
  return absl::c_linear_search(list, word);
}

// "U.S", "J.R.R": single capitals with dots between.
bool IsInitials(absl::string_view stem) {
  for (size_t i = 0; i < stem.size(); ++i) {
    if (i % 2 == 0 ? !absl::ascii_isupper(stem[i]) : stem[i] != '.') return false;
  }
  return stem.size() % 2 == 1;
}

// Whether the single dot at the end of `stem` + "." ends a sentence when `next` comes after it.
bool DotEndsSentence(absl::string_view stem, char next) {
  while (!stem.empty() && !absl::ascii_isalnum(stem.front())) stem.remove_prefix(1);
  if (IsInitials(stem)) return false;
  const std::string word = absl::AsciiStrToLower(stem);
  if (Contains(kNeverEnds, word)) return false;
  if (Contains(kContinuesBeforeDigit, word)) return !absl::ascii_isdigit(next);
  if (Contains(kEndsBeforeCapital, word)) {
    return !absl::ascii_islower(next) && !absl::ascii_isdigit(next) && next != ',';
  }
  return true;
}

bool EndsSentence(absl::string_view token, char next) {
  while (!token.empty() && absl::StrContains("\"')]}*_", token.back())) token.remove_suffix(1);
  if (token.empty()) return false;
  if (token.back() == '?' || token.back() == '!') return true;
  if (!absl::ConsumeSuffix(&token, ".")) return false;
  if (absl::EndsWith(token, ".")) return !absl::ascii_islower(next);  // an ellipsis
  return DotEndsSentence(token, next);
}

bool IsDash(absl::string_view token) {
  return absl::c_all_of(token, [](char c) { return c == '-'; });
}

}  // namespace

bool Clause::speakable() const { return absl::c_any_of(text, absl::ascii_isalnum); }

absl::StatusOr<std::vector<Clause>> Segmenter::Append(absl::string_view utf8) {
  std::vector<Clause> clauses;
  std::string joined;
  absl::string_view rest = utf8;
  if (!partial_character_.empty()) {
    joined = std::move(partial_character_);
    joined.append(utf8.data(), utf8.size());
    rest = joined;
  }
  std::string held;
  while (!rest.empty()) {
    const Utf8Character character = DecodeUtf8(rest);
    if (character.length < 0) {
      return Invalid("INVALID_UTF8", "the text is not UTF-8", "text.content");
    }
    if (character.length == 0) {
      held = std::string(rest);
      break;
    }
    TakeCharacter(character.code_point, position_, position_ + character.length, &clauses);
    position_ += character.length;
    rest.remove_prefix(character.length);
  }
  partial_character_ = std::move(held);
  return clauses;
}

absl::StatusOr<std::vector<Clause>> Segmenter::Flush() {
  if (!partial_character_.empty()) {
    return Invalid("INVALID_UTF8", "the text ends inside a character", "text.content");
  }
  std::vector<Clause> clauses;
  EndToken();
  newlines_ = 0;
  Emit(tokens_.size(), &clauses);
  return clauses;
}

void Segmenter::TakeCharacter(char32_t code_point, int64_t begin, int64_t end,
                              std::vector<Clause>* out) {
  for (const char c : FoldToAscii(code_point)) {
    if (c == ' ') {
      EndToken();
      continue;
    }
    if (token_.text.size() == kMaxTokenBytes) EndToken();
    if (token_.text.empty()) StartToken(c, begin, out);
    token_.text.push_back(c);
    token_.end_byte = end;
  }
  if (code_point == '\n' || code_point == 0x2029) newlines_ += code_point == '\n' ? 1 : 2;
}

void Segmenter::StartToken(char first, int64_t begin, std::vector<Clause>* out) {
  if (!tokens_.empty() && (newlines_ >= 2 || EndsSentence(tokens_.back().text, first))) {
    Emit(tokens_.size(), out);
  } else if (tokens_.size() >= kMaxWords || sentence_bytes_ + kMaxTokenBytes > kMaxClauseBytes) {
    CutLongSentence(out);
  }
  newlines_ = 0;
  token_.begin_byte = begin;
}

void Segmenter::EndToken() {
  if (token_.text.empty()) return;
  Token token = std::exchange(token_, Token{"", 0, 0});
  if (IsDash(token.text)) {
    // A dash between words is a pause; the front end would read it as "minus" or drop it.
    if (tokens_.empty() || !absl::ascii_isalnum(tokens_.back().text.back())) return;
    tokens_.back().text.push_back(',');
    tokens_.back().end_byte = token.end_byte;
    ++sentence_bytes_;
    return;
  }
  sentence_bytes_ += static_cast<int64_t>(token.text.size()) + 1;
  tokens_.push_back(std::move(token));
}

void Segmenter::CutLongSentence(std::vector<Clause>* out) {
  size_t cut = tokens_.size();
  for (size_t i = tokens_.size(); i >= kMinWordsBeforeCut; --i) {
    const char last = tokens_[i - 1].text.back();
    if (last == ',' || last == ';' || last == ':') {
      cut = i;
      break;
    }
  }
  Emit(cut, out);
}

void Segmenter::Emit(size_t tokens, std::vector<Clause>* out) {
  if (tokens == 0) return;
  Clause clause;
  clause.begin_byte = tokens_.front().begin_byte;
  clause.end_byte = tokens_[tokens - 1].end_byte;
  for (size_t i = 0; i < tokens; ++i) {
    if (i > 0) clause.text.push_back(' ');
    clause.text += tokens_[i].text;
  }
  sentence_bytes_ -= static_cast<int64_t>(clause.text.size()) + 1;
  tokens_.erase(tokens_.begin(), tokens_.begin() + static_cast<std::ptrdiff_t>(tokens));
  out->push_back(std::move(clause));
}

}  // namespace firstbyte
