#include "client/play/half_blocks.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace firstbyte {
namespace {

using Colour = std::array<uint8_t, 3>;

// Mean of the pixels below one half of a cell; at least one.
Colour Sample(const RgbImage& image, double x0, double y0, double x1, double y1) {
  const int left = static_cast<int>(x0), top = static_cast<int>(y0);
  const int right = std::clamp(static_cast<int>(std::ceil(x1)), left + 1, image.width);
  const int bottom = std::clamp(static_cast<int>(std::ceil(y1)), top + 1, image.height);
  std::array<int, 3> sum = {};
  for (int y = top; y < bottom; ++y) {
    const uint8_t* row = image.data.data() + 3 * (static_cast<size_t>(y) * image.width + left);
    for (int x = left; x < right; ++x, row += 3) {
      for (int c = 0; c < 3; ++c) sum[c] += row[c];
    }
  }
  const int count = (right - left) * (bottom - top);
  Colour mean;
  for (int c = 0; c < 3; ++c) mean[c] = static_cast<uint8_t>((sum[c] + count / 2) / count);
  return mean;
}

// xterm's palette: 16..231 a cube of six levels, 232..255 greys.
int Palette(const Colour& colour) {
  auto [low, high] = std::minmax({colour[0], colour[1], colour[2]});
  if (high - low < 12) {
    int grey = (colour[0] + colour[1] + colour[2]) / 3;
    if (grey < 4) return 16;
    if (grey > 246) return 231;
    return 232 + std::clamp((grey - 3) / 10, 0, 23);
  }
  auto level = [](int v) { return v < 48 ? 0 : v < 115 ? 1 : (v - 35) / 40; };
  return 16 + 36 * level(colour[0]) + 6 * level(colour[1]) + level(colour[2]);
}

void AppendColour(ColourDepth depth, int layer, const Colour& colour, std::string* out) {
  if (depth == ColourDepth::k256) {
    absl::StrAppend(out, "\033[", layer, ";5;", Palette(colour), "m");
  } else {
    absl::StrAppend(out, "\033[", layer, ";2;", colour[0], ";", colour[1], ";", colour[2], "m");
  }
}

}  // namespace

ColourDepth TerminalColours() {
  const char* colours = std::getenv("COLORTERM");
  absl::string_view name = colours == nullptr ? "" : colours;
  bool all = name == "truecolor" || name == "24bit";
  const char* term = std::getenv("TERM");
  all = all || (term != nullptr && absl::EndsWith(term, "-direct"));
  return all ? ColourDepth::kTrueColour : ColourDepth::k256;
}

void HalfBlocks::SetColours(const Cell& cell, std::string* out) {
  if (!pen_known_ || cell.upper != pen_.upper) AppendColour(depth_, 38, cell.upper, out);
  if (!pen_known_ || cell.lower != pen_.lower) AppendColour(depth_, 48, cell.lower, out);
  pen_ = cell;
  pen_known_ = true;
}

std::string HalfBlocks::Draw(const RgbImage& image, int columns, int rows) {
  if (columns < 1 || rows < 1 || image.width < 1 || image.height < 1) return "";
  // Pixels of the terminal (half cells) a pixel of the picture.
  const double scale = std::min(1.0 * columns / image.width, 2.0 * rows / image.height);
  const int width = std::clamp(static_cast<int>(image.width * scale), 1, columns);
  const int height = std::clamp(static_cast<int>(image.height * scale / 2), 1, rows);
  std::string out;
  const bool fresh = cells_.empty() || columns != columns_ || rows != rows_ || width != width_ ||
                     height != height_;
  if (fresh) {
    out = "\033[0m\033[2J";
    cells_.assign(static_cast<size_t>(width) * height, {});
    columns_ = columns, rows_ = rows, width_ = width, height_ = height;
  }
  pen_known_ = false;
  const double dx = 1.0 * image.width / width, dy = image.height / (2.0 * height);
  const int left = (columns - width) / 2, top = (rows - height) / 2;
  for (int y = 0; y < height; ++y) {
    int cursor = -1;  // column after what was written last
    for (int x = 0; x < width; ++x) {
      Cell cell = {Sample(image, x * dx, 2 * y * dy, (x + 1) * dx, (2 * y + 1) * dy),
                   Sample(image, x * dx, (2 * y + 1) * dy, (x + 1) * dx, (2 * y + 2) * dy)};
      Cell& shown = cells_[static_cast<size_t>(y) * width + x];
      if (!fresh && cell == shown) continue;
      shown = cell;
      if (cursor != x) absl::StrAppend(&out, "\033[", top + y + 1, ";", left + x + 1, "H");
      SetColours(cell, &out);
      out += "\xe2\x96\x80";  // upper half block
      cursor = x + 1;
    }
  }
  return out.empty() ? out : out + "\033[0m";
}

}  // namespace firstbyte
