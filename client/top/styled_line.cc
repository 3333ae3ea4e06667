#include "client/top/styled_line.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace firstbyte {
namespace {

absl::string_view Code(Style style) {
  switch (style) {
    case Style::kPlain:
      return "";
    case Style::kBold:
      return "\033[1m";
    case Style::kDim:
      return "\033[2m";
    case Style::kHeading:
      return "\033[30;42m";  // as htop's
    case Style::kGood:
      return "\033[32m";
    case Style::kWarn:
      return "\033[33m";
    case Style::kBad:
      return "\033[1;31m";
  }
  return "";
}

}  // namespace

StyledLine& StyledLine::Add(absl::string_view text, Style style) {
  const size_t room = columns_ > 0 ? std::max(columns_ - width_, 0) : text.size();
  std::string shown(text.substr(0, room));
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return !absl::ascii_isprint(c); }, '?');
  width_ += static_cast<int>(shown.size());
  const bool plain = !styles_ || style == Style::kPlain || shown.empty();
  absl::StrAppend(&text_, plain ? "" : Code(style), shown, plain ? "" : "\033[0m");
  return *this;
}

StyledLine& StyledLine::Left(absl::string_view text, int width, Style style) {
  const int gap = std::max(width - static_cast<int>(text.size()), 0);
  return Add(absl::StrCat(text, std::string(gap, ' ')), style);
}

StyledLine& StyledLine::Right(absl::string_view text, int width, Style style) {
  const int gap = std::max(width - static_cast<int>(text.size()), 0);
  return Add(absl::StrCat(std::string(gap, ' '), text), style);
}

StyledLine& StyledLine::Fill(Style style) {
  return Add(std::string(std::max(columns_ - width_, 0), ' '), style);
}

}  // namespace firstbyte
