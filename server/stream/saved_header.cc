#include "server/stream/saved_header.h"

#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 8;  // of the values below; nothing that is nested deeper is kept
constexpr int64_t kMaxSeconds = 253'402'300'800;  // the year 10000, where Timestamp ends

json ToJson(absl::Time time) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  return {seconds, absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))};
}

json ToJson(const SavedActions& in) {
  json out = {{"sequence", in.sequence},
              {"keys", json::array()},
              {"pointer", {in.actions.pointer_dx, in.actions.pointer_dy}},
              {"scroll", in.actions.scroll},
              {"axes", in.actions.axes},
              {"repeat", in.repeat}};
  for (int key = 0; key < WorldInfo::kMaxKeys; ++key) {
    if (in.actions.keys[key]) out["keys"].push_back(key);
  }
  if (in.client_time) out["client_time"] = ToJson(*in.client_time);
  return out;
}

json ToJson(const SavedPrompt& in) {
  json out = {{"text", in.text}, {"embedding", in.embedding}};
  if (in.apply_at_block) out["apply_at_block"] = *in.apply_at_block;
  return out;
}

struct InputToJson {
  json operator()(const SavedActions& in) const { return {{"actions", ToJson(in)}}; }
  json operator()(const SavedPrompt& in) const { return {{"prompt", ToJson(in)}}; }
  json operator()(const ResetWorld&) const { return {{"reset", true}}; }
};

json ToJson(const SavedBlock& in, int64_t frame_bytes, int64_t samples) {
  json out = {{"block", in.output.block},
              {"frame_bytes", frame_bytes},
              {"start_sample", in.output.start_sample},
              {"samples", samples},
              {"offset_ns", absl::ToInt64Nanoseconds(in.presentation_offset)},
              {"sequence", in.applied_action_sequence}};
  if (in.client_time) out["client_time"] = ToJson(*in.client_time);
  return out;
}

json ToJson(const SavedSession& in) {
  return {{"id", in.id},
          {"generation", in.generation},
          {"confirmed", in.confirmed},
          {"open_time", ToJson(in.open_time)}};
}

// `sizes` stands for the contents of `world`, whose own are not looked at.
std::string Format(const SavedWorld& world, const ContentSizes& sizes) {
  json out = {{"model", world.model},
              {"version", world.version},
              {"seed", world.seed},
              {"next_block", world.next_block},
              {"media_clock_ns", absl::ToInt64Nanoseconds(world.media_clock)},
              {"audio_sequence", world.audio_sequence},
              {"skipped_blocks", world.skipped_blocks},
              {"held", ToJson(world.held)},
              {"pending", json::array()},
              {"blocks", json::array()},
              {"state_bytes", sizes.state}};
  for (const SavedInput& input : world.pending) {
    out["pending"].push_back(std::visit(InputToJson(), input));
  }
  for (size_t i = 0; i < world.blocks.size(); ++i) {
    out["blocks"].push_back(ToJson(world.blocks[i], sizes.frames[i], sizes.samples[i]));
  }
  if (world.session) out["session"] = ToJson(*world.session);
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Reads values of the wanted kinds; `ok` turns false, once, at the first that is of another.
class Reader {
 public:
  bool ok = true;

  const json& At(const json& object, const char* key) {
    static const json& none = *new json();
    auto it = object.find(key);  // end() for what is no object
    if (it != object.end()) return *it;
    ok = false;
    return none;
  }
  int64_t Int(const json& value, int64_t min, int64_t max) {
    const bool fits = value.is_number_integer() &&
                      (!value.is_number_unsigned() ||
                       value.get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()}) &&
                      value.get<int64_t>() >= min && value.get<int64_t>() <= max;
    ok = ok && fits;
    return fits ? value.get<int64_t>() : min;
  }
  int64_t Count(const json& value) { return Int(value, 0, std::numeric_limits<int64_t>::max()); }
  uint64_t Seed(const json& value) {
    ok = ok && value.is_number_unsigned();
    return ok ? value.get<uint64_t>() : 0;
  }
  float Float(const json& value, float limit) {
    const float f = value.is_number_float() ? value.get<float>() : NAN;
    ok = ok && std::abs(f) <= limit;  // false for NaN
    return ok ? f : 0;
  }
  std::string Text(const json& value) {
    ok = ok && value.is_string();
    return ok ? value.get<std::string>() : "";
  }
  std::vector<float> Floats(const json& value, float limit) {
    ok = ok && value.is_array();
    std::vector<float> floats;
    if (!ok) return floats;
    for (const json& item : value) floats.push_back(Float(item, limit));
    return floats;
  }
  absl::Time Time(const json& value) {
    ok = ok && value.is_array() && value.size() == 2;
    if (!ok) return absl::UnixEpoch();
    return absl::FromUnixSeconds(Int(value[0], -kMaxSeconds, kMaxSeconds)) +
           absl::Nanoseconds(Int(value[1], 0, 999'999'999));
  }
  std::optional<absl::Time> OptionalTime(const json& object) {
    auto it = object.find("client_time");
    if (it == object.end()) return std::nullopt;
    return Time(*it);
  }
};

constexpr float kMaxFloat = std::numeric_limits<float>::max();

SavedActions ReadActions(const json& in, Reader* r) {
  SavedActions out;
  out.sequence = r->Int(r->At(in, "sequence"), std::numeric_limits<int64_t>::min(),
                        std::numeric_limits<int64_t>::max());
  for (const json& key : r->At(in, "keys")) {
    out.actions.keys.set(r->Int(key, 0, WorldInfo::kMaxKeys - 1));
  }
  const std::vector<float> pointer = r->Floats(r->At(in, "pointer"), kMaxFloat);
  r->ok = r->ok && pointer.size() == 2;
  if (!r->ok) return out;
  out.actions.pointer_dx = pointer[0];
  out.actions.pointer_dy = pointer[1];
  out.actions.scroll = r->Float(r->At(in, "scroll"), kMaxFloat);
  out.actions.axes = r->Floats(r->At(in, "axes"), 1);
  out.repeat = static_cast<int>(r->Int(r->At(in, "repeat"), 0, 1 << 16));
  out.client_time = r->OptionalTime(in);
  return out;
}

SavedPrompt ReadPrompt(const json& in, Reader* r) {
  SavedPrompt out{.text = r->Text(r->At(in, "text")),
                  .embedding = r->Floats(r->At(in, "embedding"), kMaxFloat)};
  if (in.contains("apply_at_block")) out.apply_at_block = r->Count(in["apply_at_block"]);
  return out;
}

SavedInput ReadInput(const json& in, Reader* r) {
  if (in.contains("actions")) return ReadActions(in["actions"], r);
  if (in.contains("prompt")) return ReadPrompt(in["prompt"], r);
  return ResetWorld{};
}

void ReadBlock(const json& in, Reader* r, SavedHeader* out) {
  SavedBlock block;
  block.output.block = r->Count(r->At(in, "block"));
  block.output.start_sample = r->Count(r->At(in, "start_sample"));
  block.presentation_offset = absl::Nanoseconds(r->Count(r->At(in, "offset_ns")));
  block.applied_action_sequence = r->Int(r->At(in, "sequence"), std::numeric_limits<int64_t>::min(),
                                         std::numeric_limits<int64_t>::max());
  block.client_time = r->OptionalTime(in);
  out->sizes.frames.push_back(r->Count(r->At(in, "frame_bytes")));
  out->sizes.samples.push_back(r->Count(r->At(in, "samples")));
  out->world.blocks.push_back(std::move(block));
}

SavedSession ReadSession(const json& in, Reader* r) {
  return {.id = r->Text(r->At(in, "id")),
          .generation = r->Count(r->At(in, "generation")),
          .confirmed = r->Count(r->At(in, "confirmed")),
          .open_time = r->Time(r->At(in, "open_time"))};
}

SavedHeader ReadHeader(const json& in, Reader* r) {
  SavedHeader out;
  SavedWorld& world = out.world;
  world.model = r->Text(r->At(in, "model"));
  world.version = r->Text(r->At(in, "version"));
  world.seed = r->Seed(r->At(in, "seed"));
  world.next_block = r->Count(r->At(in, "next_block"));
  world.media_clock = absl::Nanoseconds(r->Count(r->At(in, "media_clock_ns")));
  world.audio_sequence = r->Count(r->At(in, "audio_sequence"));
  world.skipped_blocks = r->Count(r->At(in, "skipped_blocks"));
  world.held = ReadActions(r->At(in, "held"), r);
  for (const json& input : r->At(in, "pending")) world.pending.push_back(ReadInput(input, r));
  for (const json& block : r->At(in, "blocks")) ReadBlock(block, r, &out);
  if (in.contains("session")) world.session = ReadSession(in["session"], r);
  out.sizes.state = r->Count(r->At(in, "state_bytes"));
  return out;
}

bool BlocksEndAtNext(const SavedWorld& world) {
  int64_t next = world.next_block;
  for (auto block = world.blocks.rbegin(); block != world.blocks.rend(); ++block) {
    if (block->output.block != --next) return false;
  }
  return true;
}

}  // namespace

absl::Status Corrupted(absl::string_view what) {
  return Error(absl::StatusCode::kDataLoss, "SNAPSHOT_CORRUPTED",
               absl::StrCat("the saved world is damaged: ", what));
}

std::string FormatHeader(const SavedWorld& world) {
  ContentSizes sizes;
  sizes.state = world.state ? static_cast<int64_t>(world.state->size()) : 0;
  for (const SavedBlock& block : world.blocks) {
    sizes.frames.push_back(static_cast<int64_t>(block.output.frames.size()));
    sizes.samples.push_back(static_cast<int64_t>(block.output.samples.size()));
  }
  return Format(world, sizes);
}

absl::StatusOr<SavedHeader> ParseHeader(absl::string_view text) {
  auto keep = [](int depth, json::parse_event_t, json&) { return depth <= kMaxDepth; };
  const json parsed = json::parse(text.begin(), text.end(), keep, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return Corrupted("its header is not JSON");
  Reader reader;
  SavedHeader header = ReadHeader(parsed, &reader);
  // Writing it again says whether anything was unknown, repeated or written in another way.
  if (!reader.ok || !BlocksEndAtNext(header.world) || Format(header.world, header.sizes) != text) {
    return Corrupted("its header does not hold together");
  }
  return header;
}

}  // namespace firstbyte
