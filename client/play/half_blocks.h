// Pictures as text: each cell of a terminal shows two pixels, one above the other, as the two
// colours of an upper half block.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/image.h"

namespace firstbyte {

enum class ColourDepth { kTrueColour, k256 };

// What the terminal of this process can show, from COLORTERM and TERM; k256 when in doubt.
ColourDepth TerminalColours();

// One terminal. Draws only what differs from the picture before, so that a still scene costs
// nothing and a slow line keeps up.
class HalfBlocks {
 public:
  explicit HalfBlocks(ColourDepth depth) : depth_(depth) {}

  // Escape sequences that show `image` as large as it fits into `columns` x `rows` cells from the
  // top left corner, in its own proportions, centred. The rest is cleared when the size changed.
  std::string Draw(const RgbImage& image, int columns, int rows);
  // The terminal shows something else now: draw everything next time.
  void Forget() { cells_.clear(); }

 private:
  using Colour = std::array<uint8_t, 3>;
  struct Cell {
    Colour upper, lower;
    bool operator==(const Cell&) const = default;
  };

  void SetColours(const Cell& cell, std::string* out);

  const ColourDepth depth_;
  int columns_ = 0, rows_ = 0;  // of the terminal
  int width_ = 0, height_ = 0;  // of the picture, in cells
  std::vector<Cell> cells_;     // [height_, width_]: what the terminal shows
  Cell pen_ = {};               // colours in effect
  bool pen_known_ = false;
};

}  // namespace firstbyte
