// 3 x 3 convolutions by Winograd's F(2 x 2, 3 x 3): a tile of 2 x 2 outputs takes 16 products for
// each pair of channels instead of 36. Private to model/kernels.
//
// See Lavin and Gray, "Fast algorithms for convolutional neural networks" (CVPR 2016). The sixteen
// products are one matrix product each, over the tiles of a few maps at a time so that what lies
// between stays in the second-level cache.
#pragma once

#include "model/kernels/linear_impl.h"
#include "model/kernels/maps.h"

namespace firstbyte::kernels {
namespace {

// Rows of B' d: what the input transform does to four values, in both directions.
inline void TransformFour(const F d[4], F out[4]) {
  out[0] = d[0] - d[2];
  out[1] = d[1] + d[2];
  out[2] = d[2] - d[1];
  out[3] = d[1] - d[3];
}

// One tile: 4 x 4 pixels, lines `line` floats apart -> 16 values of each channel, `stride` apart.
inline void TransformTile(const float* x, int64_t line, int channels, float* v, int64_t stride) {
  Map(channels, [&](int64_t i, int count) {
    F half[4][4];
    for (int column = 0; column < 4; ++column) {
      F d[4], t[4];
      for (int r = 0; r < 4; ++r) d[r] = LoadPart(x + r * line + column * channels + i, count);
      TransformFour(d, t);
      for (int r = 0; r < 4; ++r) half[r][column] = t[r];
    }
    for (int r = 0; r < 4; ++r) {
      F t[4];
      TransformFour(half[r], t);
      for (int c = 0; c < 4; ++c) StorePart(v + (4 * r + c) * stride + i, t[c], count);
    }
  });
}

// Sixteen products of each output channel, `stride` apart -> 2 x 2 outputs, lines `line` apart.
inline void FinishTile(const WinogradStep& step, const float* m, int64_t stride, float* y,
                       int64_t line) {
  const int n = step.finish->n;
  const LinearCall call{*step.finish, 0, y, n, step.epilogue};
  Map(n, [&](int64_t i, int count) {
    F half[2][4];
    for (int c = 0; c < 4; ++c) {
      F d[4];
      for (int r = 0; r < 4; ++r) d[r] = LoadPart(m + (4 * r + c) * stride + i, count);
      half[0][c] = d[0] + d[1] + d[2];
      half[1][c] = d[1] - d[2] - d[3];
    }
    for (int r = 0; r < 2; ++r) {
      const F* h = half[r];
      Finish(call, h[0] + h[1] + h[2], static_cast<int>(i), y + r * line);
      Finish(call, h[1] - h[2] - h[3], static_cast<int>(i), y + r * line + n);
    }
  });
}

// Place of tile `tile` of a map whose lines are `line` floats apart, pixels `channels`.
inline int64_t TilePlace(const WinogradStep& step, int tile, int64_t line, int channels) {
  const int across = step.width / 2;
  return tile / across * 2 * line + tile % across * 2 * channels;
}

void Winograd(const WinogradStep& step) {
  const int channels = step.channels, n = step.finish->n, border = step.bordered ? 1 : 0;
  const int tiles = step.height / 2 * (step.width / 2);
  const int together = tiles >= kWinogradTiles ? 1 : kWinogradTiles / tiles;
  const int64_t in_line = static_cast<int64_t>(step.width + 2) * channels;
  const int64_t out_line = static_cast<int64_t>(step.width + 2 * border) * n;
  for (int first = 0; first < step.maps; first += together) {
    const int maps = step.maps - first < together ? step.maps - first : together;
    const int rows = maps * tiles;
    const int64_t v_stride = static_cast<int64_t>(rows) * channels;
    const int64_t m_stride = static_cast<int64_t>(rows) * n;
    float *v = step.scratch, *m = v + 16 * v_stride;
    for (int row = 0; row < rows; ++row) {
      const float* x = step.x + (first + row / tiles) * (step.height + 2) * in_line;
      TransformTile(x + TilePlace(step, row % tiles, in_line, channels), in_line, channels,
                    v + static_cast<int64_t>(row) * channels, v_stride);
    }
    for (int product = 0; product < 16; ++product) {
      Linear(step.products[product], v + product * v_stride, channels, rows, m + product * m_stride,
             n, Epilogue::kNone);
    }
    for (int row = 0; row < rows; ++row) {
      float* y = step.y + (first + row / tiles) * (step.height + 2 * border) * out_line +
                 border * (out_line + n);
      FinishTile(step, m + static_cast<int64_t>(row) * n, m_stride,
                 y + TilePlace(step, row % tiles, out_line, n), out_line);
    }
  }
}

}  // namespace
}  // namespace firstbyte::kernels
