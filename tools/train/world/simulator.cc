#include "tools/train/world/simulator.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace {

constexpr int kSize = 10;                   // cells
constexpr int kPixels = 64;                 // picture
constexpr int kSamples = 800;               // a tick
constexpr float kTangent = 0.76732698798F;  // of half the field of view, 37.5 degrees
constexpr float kPi = 3.14159265359F;
constexpr float kMove = 0.08F, kTurn = 6 * kPi / 180, kPointer = 10 * kPi / 180, kRadius = 0.22F;
constexpr float kWispHeight = -0.06F, kWispRadius = 0.13F, kWispHalo = 2.2F;

// Rows from y = 0 upwards. Rooms: left and right of the wall, below and above it.
constexpr const char* kMap[kSize] = {
    ".....#....",  //
    "..........",  //
    ".....#....",  //
    ".#...#..#.",  //
    "##.#####.#",  //
    ".....#....",  //
    ".....#....",  //
    "...#......",  //
    ".....#....",  //
    ".....#....",
};

bool Wall(float x, float y) {
  if (!(x >= 0 && y >= 0 && x < kSize && y < kSize)) return true;
  return kMap[static_cast<int>(y)][static_cast<int>(x)] == '#';
}

int Room(float x, float y) { return (x >= 5.5F ? 1 : 0) + (y >= 4.5F ? 2 : 0); }

// Whether a disc of `radius` fits: its distance to every wall cell nearby is large enough.
bool Fits(float x, float y, float radius) {
  if (x < radius || y < radius || x > kSize - radius || y > kSize - radius) return false;
  for (int cy = static_cast<int>(y - radius); cy <= static_cast<int>(y + radius); ++cy) {
    for (int cx = static_cast<int>(x - radius); cx <= static_cast<int>(x + radius); ++cx) {
      if (!Wall(cx + 0.5F, cy + 0.5F)) continue;
      const float dx = x - std::clamp(x, static_cast<float>(cx), cx + 1.0F);
      const float dy = y - std::clamp(y, static_cast<float>(cy), cy + 1.0F);
      if (dx * dx + dy * dy < radius * radius) return false;
    }
  }
  return true;
}

// The share of a step (dx, dy) that the player can go before touching a wall. Going up to the wall
// rather than stopping short of it forgets small differences, which helps whoever learns it.
float Reach(float x, float y, float dx, float dy) {
  if (Fits(x + dx, y + dy, kRadius)) return 1;
  float share = 0;
  for (float part = 0.5F; part > 0.001F; part /= 2) {
    if (Fits(x + dx * (share + part), y + dy * (share + part), kRadius)) share += part;
  }
  return share;
}

struct Hit {
  float t;   // forward distance
  int face;  // 0 east, 1 west, 2 north, 3 south side of the wall that is seen
};

// First wall along position + t * direction.
Hit Cast(float x, float y, float dx, float dy) {
  int cx = static_cast<int>(x), cy = static_cast<int>(y);
  const float ix = std::abs(dx) < 1e-9F ? 1e9F : std::abs(1 / dx);
  const float iy = std::abs(dy) < 1e-9F ? 1e9F : std::abs(1 / dy);
  float tx = (dx > 0 ? cx + 1 - x : x - cx) * ix, ty = (dy > 0 ? cy + 1 - y : y - cy) * iy;
  while (true) {
    if (tx < ty) {
      cx += dx > 0 ? 1 : -1;
      if (Wall(cx + 0.5F, cy + 0.5F)) return {tx, dx > 0 ? 1 : 0};
      tx += ix;
    } else {
      cy += dy > 0 ? 1 : -1;
      if (Wall(cx + 0.5F, cy + 0.5F)) return {ty, dy > 0 ? 3 : 2};
      ty += iy;
    }
  }
}

struct Color {
  float r, g, b;
};
Color operator*(Color c, float s) { return {c.r * s, c.g * s, c.b * s}; }
Color Mix(Color a, Color b, float s) {
  return {a.r + (b.r - a.r) * s, a.g + (b.g - a.g) * s, a.b + (b.b - a.b) * s};
}

struct Theme {
  Color zenith, horizon, fog, floor;
  float gain, haze, floor_mix, gray, edges;  // haze: fog a cell
};
constexpr Theme kThemes[6] = {
    {{.25F, .5F, .95F}, {.7F, .85F, 1}, {.75F, .85F, .95F}, {.5F, .45F, .35F}, 1, .05F, .3F, 0, 0},
    {{.02F, .02F, .10F},
     {.08F, .08F, .22F},
     {.03F, .03F, .1F},
     {.15F, .15F, .3F},
     .45F,
     .12F,
     .4F,
     .2F,
     0},
    {{.75F, .8F, .88F},
     {.92F, .94F, .98F},
     {.93F, .95F, 1},
     {.95F, .96F, 1},
     1,
     .12F,
     .75F,
     .5F,
     0},
    {{.05F, 0, .12F}, {.45F, .05F, .5F}, {.1F, 0, .2F}, {.05F, .02F, .12F}, .5F, .05F, .6F, 0, 1},
    {{.95F, .65F, .35F},
     {1, .85F, .6F},
     {.95F, .8F, .55F},
     {.85F, .65F, .35F},
     1,
     .08F,
     .7F,
     .2F,
     0},
    {{.1F, .25F, .05F},
     {.45F, .75F, .15F},
     {.3F, .55F, .1F},
     {.25F, .4F, .1F},
     .75F,
     .14F,
     .5F,
     .1F,
     0},
};
constexpr Color kRooms[4] = {
    {.85F, .3F, .25F}, {.3F, .65F, .35F}, {.3F, .45F, .9F}, {.9F, .75F, .3F}};

// How bright a wall is at (u along, v up, both in cells): each direction has its own pattern.
float Pattern(int face, float u, float v) {
  u -= std::floor(u);
  switch (face) {
    case 0:
      return u < 0.5F ? 1 : 0.62F;  // upright stripes
    case 1:
      return v < 0.3F || v > 0.75F ? 0.68F : 1;  // a band
    case 2:
      return (u < 0.5F) == (v < 0.5F) ? 1 : 0.66F;  // checks
    default:
      return std::abs(u - 0.5F) + std::abs(v - 0.5F) < 0.34F ? 0.6F : 1;  // diamonds
  }
}

Color Shade(const Theme& theme, Color c, float distance) {
  const float gray = (c.r + c.g + c.b) / 3;
  c = Mix(c, {gray, gray, gray}, theme.gray) * theme.gain;
  return Mix(c, theme.fog, 1 - std::exp(-theme.haze * distance));
}

Color WallColor(const Theme& theme, float x, float y, float dx, float dy, Hit hit, float up) {
  const float hx = x + hit.t * dx, hy = y + hit.t * dy;
  const float u = hit.face < 2 ? hy : hx, v = up * hit.t + 0.5F;
  const int room = Room(x + (hit.t - 0.02F) * dx, y + (hit.t - 0.02F) * dy);
  const Color c = kRooms[room] * Pattern(hit.face, u, v);
  if (theme.edges > 0) {
    const float edge = std::min({v, 1 - v, u - std::floor(u), 1 - (u - std::floor(u))});
    if (edge < 0.07F) return {.2F, 1, .9F};
    return Shade(theme, c * 0.6F, hit.t);
  }
  return Shade(theme, c, hit.t);
}

Color FloorColor(const Theme& theme, float x, float y, float distance) {
  const bool odd = (static_cast<int>(std::floor(x)) + static_cast<int>(std::floor(y))) & 1;
  Color c = Mix(kRooms[Room(x, y)], theme.floor, theme.floor_mix);
  return Shade(theme, c * (odd ? 0.85F : 0.5F), distance);
}

Color SkyColor(const Theme& theme, float up) {
  return Mix(theme.horizon, theme.zenith, std::min(1.0F, up / kTangent));
}

// The wisp as the camera sees it.
struct Glow {
  float t = 0, u = 0, radius = 0;  // distance, tangent to the right, radius as a tangent
};
Glow Project(const float* s, const float* w) {
  Glow glow;
  if (w == nullptr || w[0] < 0.5F) return glow;
  const float c = std::cos(s[2]), n = std::sin(s[2]), dx = w[1] - s[0], dy = w[2] - s[1];
  const float t = dx * c + dy * n;
  if (t < 0.15F) return glow;
  return {t, (dx * n - dy * c) / t, kWispRadius / t};
}

// How much of the wisp's light falls on the pixel at tangents (u, v), before walls: 0..1.
float GlowAt(const Glow& glow, float u, float v) {
  if (glow.t <= 0) return 0;
  const float x = (u - glow.u) / glow.radius, y = (v - kWispHeight / glow.t) / glow.radius;
  const float d = std::sqrt(x * x + y * y);
  if (d < 1) return 1;
  if (d > kWispHalo) return 0;
  const float fade = (kWispHalo - d) / (kWispHalo - 1);
  return 0.55F * fade * fade;
}

float PixelTangent(int i, int sub) {
  return (2 * (i + 0.25F + 0.5F * sub) / kPixels - 1) * kTangent;
}

void RenderColumn(const float* s, const Theme& theme, const Glow& glow, float u, int column,
                  float* sums) {
  const float c = std::cos(s[2]), n = std::sin(s[2]);
  const float dx = c + u * n, dy = n - u * c;
  const Hit hit = Cast(s[0], s[1], dx, dy);
  const bool lit = glow.t > 0 && glow.t < hit.t;
  for (int row = 0; row < 2 * kPixels; ++row) {
    const float up = -PixelTangent(row / 2, row % 2);
    Color color;
    if (std::abs(up) * hit.t < 0.5F) {
      color = WallColor(theme, s[0], s[1], dx, dy, hit, up);
    } else if (up < 0) {
      const float t = -0.5F / up;
      color = FloorColor(theme, s[0] + t * dx, s[1] + t * dy, t);
    } else {
      color = SkyColor(theme, up);
    }
    if (lit) color = Mix(color, {1, .93F, .55F}, GlowAt(glow, u, up));
    float* pixel = sums + 3 * (row / 2 * kPixels + column);
    pixel[0] += color.r, pixel[1] += color.g, pixel[2] += color.b;
  }
}

bool InSight(const float* s, const float* w) {
  const Glow glow = Project(s, w);
  if (glow.t <= 0 || std::abs(glow.u) > kTangent + glow.radius) return false;
  const float c = std::cos(s[2]), n = std::sin(s[2]);
  return Cast(s[0], s[1], c + glow.u * n, n - glow.u * c).t > glow.t;
}

// Chance lets a new wisp appear somewhere in the picture, before the wall.
void Appear(const float* s, const float* e, float* w) {
  if (e[0] < 1.35F) return;  // 11 % a tick
  const float u = e[1] * 0.34F;
  const float c = std::cos(s[2]), n = std::sin(s[2]);
  const float dx = c + u * n, dy = n - u * c;
  const float t = std::min(1.5F + 0.4F * e[2], Cast(s[0], s[1], dx, dy).t - 0.2F);
  if (t < 0.6F) return;
  w[0] = 1, w[1] = s[0] + t * dx, w[2] = s[1] + t * dy, w[3] = w[4] = w[5] = 0;
}

void Drift(const float* s, const float* e, float* w) {
  const float c = std::cos(s[2]), n = std::sin(s[2]);
  const float side = 0.02F * e[1], away = 0.02F * e[2];  // pushes in the player's frame
  w[3] = 0.8F * w[3] + side * n + away * c;
  w[4] = 0.8F * w[4] - side * c + away * n;
  if (Fits(w[1] + w[3], w[2], 0.12F))
    w[1] += w[3];
  else
    w[3] = 0;
  if (Fits(w[1], w[2] + w[4], 0.12F))
    w[2] += w[4];
  else
    w[4] = 0;
  w[5] = InSight(s, w) ? 0 : w[5] + 1;
  const float dx = w[1] - s[0], dy = w[2] - s[1], d = dx * dx + dy * dy;
  if (w[5] > 8 || d < 0.3F * 0.3F || d > 3.6F * 3.6F || e[3] > 1.712F) w[0] = 0;  // 0.6 % a tick
}

// --- sound: everything repeats within whole ticks, so ticks join without clicks
// -------------------

struct Hum {
  int hertz[4];  // multiples of 20
  float level[4];
};
constexpr Hum kHums[6] = {{{220, 440, 660, 0}, {.05F, .03F, .02F, 0}},
                          {{80, 120, 0, 0}, {.07F, .04F, 0, 0}},
                          {{500, 740, 1000, 1500}, {.03F, .02F, .02F, .01F}},
                          {{60, 180, 300, 420}, {.05F, .04F, .03F, .02F}},
                          {{140, 280, 1120, 0}, {.05F, .03F, .015F, 0}},
                          {{100, 160, 260, 0}, {.05F, .05F, .03F, 0}}};

float Footstep(int i) {  // i in [0, 800): a soft knock that ends at zero
  const float t = i / 16000.0F, end = 1 - i / 800.0F;
  const float crackle = std::sin(2 * kPi * 1230 * t + 5 * std::sin(2 * kPi * 317 * t));
  return end * (0.30F * std::exp(-t * 60) * std::sin(2 * kPi * 150 * t) +
                0.10F * std::exp(-t * 130) * crackle);
}

float Bump(int i) {  // i in [0, 1600): a thud
  const float t = i / 16000.0F;
  return 0.5F * (1 - i / 1600.0F) * std::exp(-t * 25) * std::sin(2 * kPi * 75 * t);
}

void AdvanceOne(const float* s, const float* a, float* out) {
  float heading = s[2] + kTurn * (a[4] - a[5]) - kPointer * std::clamp(a[6], -1.0F, 1.0F);
  heading -= 2 * kPi * std::floor(heading / (2 * kPi) + 0.5F);
  const float c = std::cos(heading), n = std::sin(heading);
  float ahead = a[0] - a[1], side = a[3] - a[2];
  const float length = std::sqrt(ahead * ahead + side * side);
  if (length > 0) ahead *= kMove / length, side *= kMove / length;
  const float dx = ahead * c + side * n, dy = ahead * n - side * c;
  float x = s[0], y = s[1];
  x += dx * Reach(x, y, dx, 0);
  y += dy * Reach(x, y, 0, dy);
  const float lost = std::hypot(s[0] + dx - x, s[1] + dy - y);
  const bool collides = lost > 0.03F;  // a slight slide along a wall is none
  int step = static_cast<int>(s[3]), cooldown = std::max(0, static_cast<int>(s[5]) - 1);
  // Whoever walks takes steps, also on the spot against a wall. Steps that count only when they get
  // somewhere would be decided at each wall by hundredths of a cell, and one shifts all later ones.
  if (length > 0) step = (step + 1) % 7;
  if (collides && s[4] < 0.5F && s[5] < 0.5F) cooldown = 5;
  out[0] = x, out[1] = y, out[2] = heading;
  out[3] = static_cast<float>(step), out[4] = collides ? 1 : 0,
  out[5] = static_cast<float>(cooldown);
}

}  // namespace

extern "C" {

void world_advance(int n, const float* states, const float* actions, float* next) {
  for (int i = 0; i < n; ++i) AdvanceOne(states + 6 * i, actions + 7 * i, next + 6 * i);
}

void world_advance_wisp(int n, const float* states, const float* events, float* wisps) {
  for (int i = 0; i < n; ++i) {
    float* w = wisps + 6 * i;
    (w[0] < 0.5F ? Appear : Drift)(states + 6 * i, events + 4 * i, w);
  }
}

void world_depth(int n, const float* states, float* depths) {
  for (int i = 0; i < n; ++i) {
    const float* s = states + 6 * i;
    const float c = std::cos(s[2]), d = std::sin(s[2]);
    for (int ray = 0; ray < 28; ++ray) {
      const float u = (2 * (ray - 2 + 0.5F) / 24 - 1) * kTangent;
      depths[28 * i + ray] = Cast(s[0], s[1], c + u * d, d - u * c).t;
    }
  }
}

void world_render(int n, const float* states, const int32_t* themes, const float* wisps,
                  uint8_t* pictures) {
  float sums[3 * kPixels * kPixels];  // of the four samples of each pixel
  for (int i = 0; i < n; ++i) {
    const float* s = states + 6 * i;
    const Glow glow = Project(s, wisps == nullptr ? nullptr : wisps + 6 * i);
    std::fill(std::begin(sums), std::end(sums), 0.0F);
    for (int column = 0; column < 2 * kPixels; ++column) {
      RenderColumn(s, kThemes[themes[i]], glow, PixelTangent(column / 2, column % 2), column / 2,
                   sums);
    }
    for (int j = 0; j < 3 * kPixels * kPixels; ++j) {
      pictures[3 * kPixels * kPixels * i + j] =
          static_cast<uint8_t>(std::clamp(sums[j] / 4, 0.0F, 1.0F) * 255 + 0.5F);
    }
  }
}

void world_wisp_mask(int n, const float* states, const float* wisps, uint8_t* masks) {
  for (int i = 0; i < n; ++i) {
    const float* s = states + 6 * i;
    const Glow glow = Project(s, wisps + 6 * i);
    const float c = std::cos(s[2]), d = std::sin(s[2]);
    for (int column = 0; column < kPixels; ++column) {
      const float u = (2 * (column + 0.5F) / kPixels - 1) * kTangent;
      const bool lit = glow.t > 0 && glow.t < Cast(s[0], s[1], c + u * d, d - u * c).t;
      for (int row = 0; row < kPixels; ++row) {
        const float v = -(2 * (row + 0.5F) / kPixels - 1) * kTangent;
        masks[(i * kPixels + row) * kPixels + column] = lit && GlowAt(glow, u, v) > 0 ? 1 : 0;
      }
    }
  }
}

void world_sound(int n, const float* before, const float* after, const int32_t* themes,
                 float* samples) {
  for (int i = 0; i < n; ++i) {
    const float *b = before + 6 * i, *a = after + 6 * i;
    const Hum& hum = kHums[themes[i]];
    const bool step = a[3] != b[3] && a[3] == 3;
    const int bump = a[5] == 5 ? 0 : a[5] == 4 ? 1 : -1;  // its first or second half
    for (int j = 0; j < kSamples; ++j) {
      float y = 0;
      for (int k = 0; k < 4; ++k) {
        y +=
            hum.level[k] * std::sin(2 * kPi * static_cast<float>(hum.hertz[k] * j % 16000) / 16000);
      }
      if (step) y += Footstep(j);
      if (bump >= 0) y += Bump(j + kSamples * bump);
      samples[kSamples * i + j] = y;
    }
  }
}

void world_free(int n, const float* states, const float* radii, uint8_t* free) {
  for (int i = 0; i < n; ++i) free[i] = Fits(states[6 * i], states[6 * i + 1], radii[i]) ? 1 : 0;
}

}  // extern "C"
