// Pictures by whole factors larger or smaller. Thread-safe.
#pragma once

#include "base/image.h"

namespace firstbyte {

// Each pixel becomes a square of `factor` (>= 1) a side.
RgbImage Enlarge(const RgbImage& image, int factor);

// The mean of each square of `factor` (>= 1) a side becomes a pixel; a rest at the edges is cut.
RgbImage Reduce(const RgbImage& image, int factor);

}  // namespace firstbyte
