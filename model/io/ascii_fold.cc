#include "model/io/ascii_fold.h"

#include <array>

namespace firstbyte {
namespace {

// Printable ASCII, so that a folded plain character can be a view of static storage.
constexpr absl::string_view kPrintable =
    " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"
    "abcdefghijklmnopqrstuvwxyz{|}~";

// U+00A0 to U+00FF.
constexpr std::array<const char*, 96> kLatin1 = {" ",         "",
                                                 "",          " pounds ",
                                                 "",          " yen ",
                                                 "",          "",
                                                 "",          "",
                                                 "",          "\"",
                                                 "",          "",
                                                 "",          "",
                                                 " degrees ", " plus or minus ",
                                                 "2",         "3",
                                                 "'",         "u",
                                                 "",          ".",
                                                 "",          "1",
                                                 "",          "\"",
                                                 " 1/4",      " 1/2",
                                                 " 3/4",      "",
                                                 "A",         "A",
                                                 "A",         "A",
                                                 "A",         "A",
                                                 "AE",        "C",
                                                 "E",         "E",
                                                 "E",         "E",
                                                 "I",         "I",
                                                 "I",         "I",
                                                 "D",         "N",
                                                 "O",         "O",
                                                 "O",         "O",
                                                 "O",         " times ",
                                                 "O",         "U",
                                                 "U",         "U",
                                                 "U",         "Y",
                                                 "Th",        "ss",
                                                 "a",         "a",
                                                 "a",         "a",
                                                 "a",         "a",
                                                 "ae",        "c",
                                                 "e",         "e",
                                                 "e",         "e",
                                                 "i",         "i",
                                                 "i",         "i",
                                                 "d",         "n",
                                                 "o",         "o",
                                                 "o",         "o",
                                                 "o",         " divided by ",
                                                 "o",         "u",
                                                 "u",         "u",
                                                 "u",         "y",
                                                 "th",        "y"};

// U+0100 to U+017F, one letter each; the three two-letter ones are handled in FoldLatinA.
constexpr absl::string_view kLatinA =
    "AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIiJjJjKkkLlLlLlLlLlNnNnNnnNnOoOoOoOoRrRrRr"
    "SsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs";
static_assert(kLatinA.size() == 128);

absl::string_view FoldLatinA(char32_t c) {
  if (c == 0x132) return "IJ";
  if (c == 0x133) return "ij";
  if (c == 0x152) return "OE";
  if (c == 0x153) return "oe";
  return kLatinA.substr(c - 0x100, 1);
}

absl::string_view FoldPunctuation(char32_t c) {
  if (c >= 0x2000 && c <= 0x200A) return " ";
  switch (c) {
    case 0x2010:
    case 0x2011:
    case 0x2012:
    case 0x2013:
    case 0x2212:
      return "-";
    case 0x2014:
    case 0x2015:
      return " - ";
    case 0x2018:
    case 0x2019:
    case 0x201A:
    case 0x201B:
    case 0x2032:
      return "'";
    case 0x201C:
    case 0x201D:
    case 0x201E:
    case 0x201F:
    case 0x2033:
      return "\"";
    case 0x2024:
      return ".";
    case 0x2026:
      return "...";
    case 0x2028:
    case 0x2029:
    case 0x202F:
    case 0x205F:
    case 0x3000:
      return " ";
    case 0x2044:
      return "/";
    case 0x20AC:
      return " euros ";
    case 0x3001:
    case 0xFF0C:
      return ", ";
    case 0x3002:
    case 0xFF0E:
      return ". ";
    case 0xFF01:
      return "! ";
    case 0xFF1F:
      return "? ";
    default:
      return "";
  }
}

}  // namespace

absl::string_view FoldToAscii(char32_t c) {
  if (c == '\t' || c == '\n' || c == '\v' || c == '\f' || c == '\r' || c == 0x85) return " ";
  if (c >= ' ' && c <= '~') return kPrintable.substr(c - ' ', 1);
  if (c < 0xA0) return "";
  if (c <= 0xFF) return kLatin1[c - 0xA0];
  if (c <= 0x17F) return FoldLatinA(c);
  return FoldPunctuation(c);
}

Utf8Character DecodeUtf8(absl::string_view bytes) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const int length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4) return {0, -1};
  char32_t value = lead & (0x7F >> length);
  for (int i = 1; i < length; ++i) {
    if (i >= static_cast<int>(bytes.size())) return {0, 0};
    // The second byte's range is narrower for four leads: overlong forms, surrogates, the top.
    const unsigned char low = i > 1 ? 0x80 : lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned char high = i > 1 ? 0xBF : lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (byte(i) < low || byte(i) > high) return {0, -1};
    value = value << 6 | (byte(i) & 0x3F);
  }
  return {value, length};
}

}  // namespace firstbyte
