// What a walk through a world is written down as. A line is a step; '#' begins a comment.
//
//   forward 20               hold a key for 20 blocks
//   turn_left+forward 8      hold two
//   pointer 0.3 5            move the pointer right by 0.3 a block, for 5 blocks
//   pointer 0.3 -0.1 5       and up by 0.1
//   scroll 1 3               turn the wheel by 1 a block, for 3 blocks
//   axis steer -0.5 10       hold an analog axis
//   wait 10                  hold nothing
//   prompt "a snowy night"   what the world is to become
//   snapshot                 save the world here; its name is printed
//   reset                    back to where the session began
//
// A number of blocks that is left out is 1.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "firstbyte/v1/world.pb.h"

namespace firstbyte {

struct ScriptStep {
  enum class Kind { kAct, kPrompt, kSnapshot, kReset };
  Kind kind = Kind::kAct;
  v1::Actions actions;  // kAct: for each of `blocks`
  int blocks = 0;
  std::string prompt;
  int line = 0;  // where it was written
};

// kInvalidArgument that names the line, and what could stand there.
absl::StatusOr<std::vector<ScriptStep>> ParseScript(absl::string_view text);

// Whether a world understands every step: kInvalidArgument names the line and what it knows.
absl::Status CheckScript(const std::vector<ScriptStep>& steps,
                         const v1::ActionVocabulary& vocabulary);

}  // namespace firstbyte
