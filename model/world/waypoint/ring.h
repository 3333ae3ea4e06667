// Which frames of the past a layer keeps, and where: pure arithmetic on the frame index.
//
// A layer has `places` places for frames that lie `dilation` apart. Frame n is kept if it is on
// that grid, in place ceil(n / dilation) mod places, where it stays until the frame `places` grid
// points later overwrites it: nothing is moved, and time is in the rotated keys. While a frame is
// worked on, the place it will take is hidden, so that every pass of it sees the same past.
//
// Whether a place was written follows from n, so no flags are kept that could disagree with it.
#pragma once

#include <algorithm>
#include <cstdint>

namespace firstbyte::waypoint {

struct Ring {
  int places = 0;    // of finished frames; the frame at hand has one more, behind them: the tail
  int dilation = 1;  // frames

  bool Keeps(int64_t frame) const { return frame % dilation == 0; }
  int PlaceOf(int64_t frame) const {
    return static_cast<int>((frame + dilation - 1) / dilation % places);
  }
  int tail() const { return places; }

  // Places 0 .. Written(n) - 1 hold frames when frame n begins.
  int Written(int64_t frame) const {
    return static_cast<int>(std::min<int64_t>(places, (frame + dilation - 1) / dilation));
  }
  // Whether frame n may look at a place.
  bool Visible(int64_t frame, int place) const {
    return place < Written(frame) && !(Keeps(frame) && place == PlaceOf(frame));
  }

  // Where a frame is worked on by those who want no gaps in what it sees: a frame that stays, in
  // the place it will take; another, behind those that are written. It then sees itself and all
  // others in places 0 .. Seen(n) - 1, whether its pass keeps it or not.
  int Here(int64_t frame) const { return Keeps(frame) ? PlaceOf(frame) : Written(frame); }
  int Seen(int64_t frame) const { return std::max(Written(frame), Here(frame) + 1); }
};

}  // namespace firstbyte::waypoint
