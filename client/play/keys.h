// From the bytes of a terminal to the keys that a player holds.
//
// A terminal tells when a key goes down and repeats it while it is held, but never when it goes up.
// So a key counts as held until kHold after it was last heard of. A terminal that speaks kitty's
// keyboard protocol reports releases, and then they count.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "firstbyte/v1/world.pb.h"

namespace firstbyte {

struct Keystroke {
  // The character itself, UTF-8, or "up" "down" "left" "right" "enter" "escape" "backspace".
  std::string key;
  bool released = false;
  bool exact = false;  // from a terminal that reports releases
};

// One terminal. Sequences may be cut anywhere between reads, but an escape that ends a read is the
// escape key.
class KeyReader {
 public:
  std::vector<Keystroke> Read(absl::string_view bytes);

 private:
  std::string partial_;
};

// What a key does in a world: names for Actions.keys, and a movement of the pointer a block.
struct Binding {
  std::vector<std::string> keys;
  float pointer_dx = 0;
};

// w a s d, the arrows, space, and every key of the world that is a single letter; where the world
// turns by pointer only, the left and right arrows move that.
std::map<std::string, Binding> BindKeys(const v1::ActionVocabulary& vocabulary);

// One line for people: "w forward, a left, ...".
std::string DescribeBindings(const std::map<std::string, Binding>& bindings);

class HeldKeys {
 public:
  static constexpr absl::Duration kHold = absl::Milliseconds(250);

  explicit HeldKeys(std::map<std::string, Binding> bindings) : bindings_(std::move(bindings)) {}

  // False: it is bound to nothing.
  bool Feed(const Keystroke& stroke, absl::Time now);
  // Keys and pointer as held at `now`; no sequence.
  v1::Actions Actions(absl::Time now);
  // When what is held changes by itself; infinite when it does not.
  absl::Time NextChange() const;
  void ReleaseAll() { until_.clear(); }

 private:
  const std::map<std::string, Binding> bindings_;
  std::map<std::string, absl::Time> until_;  // by key
};

}  // namespace firstbyte
