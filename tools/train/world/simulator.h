// The world that the state-dit model learns: a first-person walk through four rooms, and a
// will-o'-the-wisp that lives by chance.
//
// A C interface, so that Python can load it. Every function is pure: arrays in, arrays out, the
// same values on every call; chance comes in as an argument. n counts independent worlds.
// Units: cells, radians (counter-clockwise, right of heading h is (sin h, -cos h)), 20 ticks a
// second. All arrays are row-major.
//   state  [n, 6]  x, y, heading, step counter 0..6, collision 0..1, bump cooldown 0..5
//   action [n, 7]  forward, back, left, right, turn left, turn right (0 or 1), pointer dx in [-1,
//   1] wisp   [n, 6]  alive 0..1, x, y, vx, vy, ticks out of sight events [n, 4]  chance: uniform
//   in +-sqrt 3
#pragma once

#include <cstdint>

extern "C" {

// One tick of the player.
void world_advance(int n, const float* states, const float* actions, float* next);

// One tick of the wisp, after the player's: it appears in sight, drifts, hides, goes out.
void world_advance_wisp(int n, const float* states, const float* events, float* wisps);

// Forward distance to the wall along 28 rays: [n, 28]. Reads x, y, heading of [n, 6] states.
void world_depth(int n, const float* states, float* depths);

// 64 x 64 RGB pictures [n, 64, 64, 3]. themes [n]: 0..5 = day night snow neon desert toxic;
// wisps [n, 6] or null.
void world_render(int n, const float* states, const int32_t* themes, const float* wisps,
                  uint8_t* pictures);

// Which pixels the wisp touches: [n, 64, 64] of 0 or 1.
void world_wisp_mask(int n, const float* states, const float* wisps, uint8_t* masks);

// The 800 samples of the tick that led from `before` to `after`: [n, 800].
void world_sound(int n, const float* before, const float* after, const int32_t* themes,
                 float* samples);

// 1 where a disc of `radii` [n] can stand: [n]. The player's radius is 0.22.
void world_free(int n, const float* states, const float* radii, uint8_t* free);

}  // extern "C"
