#include "server/stream/saved_world.h"

#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "server/stream/saved_header.h"
#include "server/stream/sha256.h"

namespace firstbyte {
namespace {

constexpr absl::string_view kMagic = "FBWORLD1";
constexpr size_t kPrefixBytes = 8 + 4;  // magic, header size
constexpr size_t kDigestBytes = 32;

void AppendU32(uint32_t value, std::string* out) {
  for (int shift = 0; shift < 32; shift += 8) out->push_back(static_cast<char>(value >> shift));
}

uint32_t ReadU32(absl::string_view in) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(in[i]);
  return value;
}

// Samples as they lie in memory: little-endian, like everything this server runs on.
void AppendMedia(const Output& output, std::string* out) {
  out->append(output.frames.begin(), output.frames.end());
  out->append(reinterpret_cast<const char*>(output.samples.data()),
              output.samples.size() * sizeof(float));
}

// Takes `size` bytes off the front of `in`; false when there are fewer.
bool TakeBytes(int64_t size, absl::string_view* in, absl::string_view* out) {
  if (size < 0 || static_cast<uint64_t>(size) > in->size()) return false;
  *out = in->substr(0, size);
  in->remove_prefix(size);
  return true;
}

bool TakeMedia(int64_t frame_bytes, int64_t samples, absl::string_view* in, Output* output) {
  absl::string_view frames, sound;
  if (!TakeBytes(frame_bytes, in, &frames)) return false;
  if (static_cast<uint64_t>(samples) > in->size() / sizeof(float)) return false;
  TakeBytes(samples * static_cast<int64_t>(sizeof(float)), in, &sound);
  output->frames.assign(frames.begin(), frames.end());
  output->samples.resize(samples);
  // An empty vector's data() may be null, which memcpy must not see.
  if (samples > 0) std::memcpy(output->samples.data(), sound.data(), sound.size());
  return true;
}

// The header; `*rest` becomes what follows it.
absl::StatusOr<SavedHeader> TakeHeader(absl::string_view in, absl::string_view* rest) {
  if (in.size() < kPrefixBytes || !absl::StartsWith(in, kMagic)) {
    return Corrupted("it is no saved world, or one of another version");
  }
  const uint32_t size = ReadU32(in.substr(kMagic.size()));
  in.remove_prefix(kPrefixBytes);
  absl::string_view text;
  if (size > kMaxWorldHeaderBytes - kPrefixBytes || !TakeBytes(size, &in, &text)) {
    return Corrupted("its header is cut off");
  }
  *rest = in;
  return ParseHeader(text);
}

}  // namespace

int64_t SavedWorld::bytes() const {
  size_t bytes = sizeof(SavedWorld) + (state ? state->size() : 0);
  for (const SavedInput& input : pending) {
    bytes += sizeof(SavedInput);
    if (const auto* prompt = std::get_if<SavedPrompt>(&input)) {
      bytes += prompt->text.size() + prompt->embedding.size() * sizeof(float);
    }
  }
  for (const SavedBlock& block : blocks) {
    bytes += sizeof(SavedBlock) + block.output.frames.size() +
             block.output.samples.size() * sizeof(float);
  }
  return static_cast<int64_t>(bytes);
}

absl::Status CheckModel(const SavedWorld& world, const ModelInfo& info) {
  if (world.model == info.name && world.version == info.version) return absl::OkStatus();
  return Error(absl::StatusCode::kFailedPrecondition, "MODEL_MISMATCH",
               absl::StrCat("it was saved by '", world.model, "' with other weights than '",
                            info.name, "' has here"));
}

std::string SerializeWorld(const SavedWorld& world) {
  const std::string header = FormatHeader(world);
  std::string out(kMagic);
  AppendU32(static_cast<uint32_t>(header.size()), &out);
  out += header;
  if (world.state) out += *world.state;
  for (const SavedBlock& block : world.blocks) AppendMedia(block.output, &out);
  return out += Sha256(out);
}

absl::StatusOr<SavedWorld> ParseWorld(absl::string_view container) {
  if (container.size() < kPrefixBytes + kDigestBytes) return Corrupted("it is cut off");
  const absl::string_view digest = container.substr(container.size() - kDigestBytes);
  container.remove_suffix(kDigestBytes);
  if (Sha256(container) != digest) return Corrupted("its digest does not match");
  absl::string_view rest, state;
  absl::StatusOr<SavedHeader> header = TakeHeader(container, &rest);
  if (!header.ok()) return header.status();
  SavedWorld& world = header->world;
  if (!TakeBytes(header->sizes.state, &rest, &state)) return Corrupted("its state is cut off");
  world.state = std::make_shared<const std::string>(state);
  for (size_t i = 0; i < world.blocks.size(); ++i) {
    if (!TakeMedia(header->sizes.frames[i], header->sizes.samples[i], &rest,
                   &world.blocks[i].output)) {
      return Corrupted("its blocks are cut off");
    }
  }
  if (!rest.empty()) return Corrupted("there is more than it says");
  return std::move(world);
}

absl::StatusOr<SavedHeader> ParseWorldHeader(absl::string_view beginning) {
  absl::string_view rest;
  return TakeHeader(beginning, &rest);
}

}  // namespace firstbyte
