// `firstbyte play`: a walk through a world, by hand in a terminal or by a script.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace firstbyte {

struct PlayOptions {
  std::string target;
  std::string model;
  // Where it begins: a new session, one that waits, or a saved one.
  std::optional<uint64_t> seed;
  std::string prompt;
  std::string image;                  // a .png or .jpg file
  std::string resume, token;          // a session that waits
  std::optional<int64_t> last_block;  // of it, that was received; not set: all were
  std::string snapshot;
  // How it runs.
  std::string pacing;  // realtime, lockstep, free; empty: realtime by hand, lockstep by script
  double fps = 0;      // realtime; 0: the world's own
  std::string video;   // raw, jpeg, png; empty: jpeg by hand, raw by script
  int quality = 0;     // jpeg
  std::string script;  // a file, "-" for standard input; empty: by hand
  // Where it goes.
  std::vector<std::string> out;  // client/play/film.h
  std::string audio_out;         // the same, for the sound
  bool mute = false;             // by hand: no sound
  std::string colours;           // by hand: auto, truecolor, 256
  bool keep = false;             // by script: leave the session parked instead of closing it
};

// Plays; returns the exit code. Messages go to stderr, one line each; ids of snapshots to stdout.
// Blocks SIGINT and SIGTERM while it runs: the first leaves the world parked, files complete and
// the terminal as it was; the second does the last of these only.
int Play(const PlayOptions& options);

}  // namespace firstbyte
