// A line for a terminal: styled pieces, cut at the terminal's width.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace firstbyte {

enum class Style { kPlain, kBold, kDim, kHeading, kGood, kWarn, kBad };

class StyledLine {
 public:
  // `columns` 0: as long as it gets. Without `styles` it is plain text.
  StyledLine(int columns, bool styles) : columns_(columns), styles_(styles) {}

  // ASCII; other bytes are shown as '?': a name that a client chose cannot move the cursor.
  StyledLine& Add(absl::string_view text, Style style = Style::kPlain);
  // Padded with spaces to `width`: on the right, or on the left.
  StyledLine& Left(absl::string_view text, int width, Style style = Style::kPlain);
  StyledLine& Right(absl::string_view text, int width, Style style = Style::kPlain);
  // Spaces up to the width of the terminal, if there is one.
  StyledLine& Fill(Style style);

  int width() const { return width_; }
  // With "\n".
  std::string str() const { return text_ + "\n"; }

 private:
  const int columns_;
  const bool styles_;
  int width_ = 0;
  std::string text_;
};

}  // namespace firstbyte
