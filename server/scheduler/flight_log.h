// What a flight recorder keeps of a lane: its decisions and, where that was asked for, its inputs.
// Plain structs; as text, one JSON object a line.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "model/model.h"

namespace firstbyte {

struct FlightOpened {
  uint64_t session = 0;
  int model = 0;
  std::string voice;
  uint64_t seed = 0;
  double speaking_rate = 1;
  bool world = false;                        // begins with `scene` or `state`
  std::shared_ptr<const RawInput> scene;     // null: not kept
  std::shared_ptr<const std::string> state;  // null: none, or not kept
};

struct FlightPushed {
  enum class Kind { kPrepared, kMarker, kEnd, kActions, kReset };
  uint64_t session = 0;
  Kind kind = Kind::kEnd;
  // Null or empty: not kept.
  std::shared_ptr<const RawInput> said;  // of kPrepared
  std::shared_ptr<const BlockActions> actions;
};

// A step of a model whose steps may overlap; its FlightStepped comes when it was waited for.
struct FlightSubmitted {
  int64_t number = 0;
  int model = 0;
  Stage stage = Stage::kGenerate;
  int frames = 0;
  std::vector<uint64_t> sessions;
};

struct FlightStepped {
  int64_t number = 0;  // of its FlightSubmitted; 0: it was submitted and waited for at once
  int model = 0;
  Stage stage = Stage::kGenerate;
  int frames = 0;
  std::vector<uint64_t> sessions;
  absl::Duration took;
  bool ok = true;  // false: nobody advanced
};

struct FlightEnded {
  uint64_t session = 0;
  bool open = false;  // it goes on: this is how far it was when the log was taken
  absl::StatusCode code = absl::StatusCode::kOk;
  int64_t media_bytes = 0;
  std::string digest;  // of all media it made: MediaDigest
};

struct FlightEvent {
  absl::Duration time;  // since the lane started
  std::variant<FlightOpened, FlightPushed, FlightSubmitted, FlightStepped, FlightEnded> what;
};

struct FlightLog {
  int lane = 0;
  bool inputs = false;                                     // were kept
  std::vector<std::string> models;                         // names, by index
  std::vector<std::string> digests;                        // of their weights, parallel
  int64_t dropped = 0;                                     // older events
  std::vector<std::shared_ptr<const FlightEvent>> events;  // then one FlightEnded for each open one
};

// The first line says what the log is; then an event a line.
std::string ToText(const FlightLog& log);
// The logs that `text` is made of. kInvalidArgument names the line at fault.
absl::StatusOr<std::vector<FlightLog>> ParseFlightLogs(absl::string_view text);

}  // namespace firstbyte
