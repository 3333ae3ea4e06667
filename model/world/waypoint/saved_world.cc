#include "model/world/waypoint/saved_world.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace firstbyte::waypoint {
namespace {

constexpr absl::string_view kMagic = "FBWAYP01";
constexpr int64_t kDigestBytes = 32, kNumbers = 4;
constexpr int64_t kHeaderBytes = 8 + kDigestBytes + 8 * kNumbers, kHashBytes = 8;
constexpr uint64_t kPrimed = 1, kScene = 2;
// Two years at 15 latent frames a second; times a latent's size it is still an int64.
constexpr int64_t kMaxFrame = int64_t{1} << 30;

absl::Status Damaged(absl::string_view what) {
  return Error(absl::StatusCode::kDataLoss, "BAD_STATE",
               absl::StrCat("the saved world is damaged: ", what));
}

void PutNumber(uint64_t number, std::string* out) {
  for (int i = 0; i < 8; ++i) out->push_back(static_cast<char>(number >> (8 * i)));
}

uint64_t GetNumber(const char* at) {
  uint64_t number = 0;
  for (int i = 0; i < 8; ++i) number |= uint64_t{static_cast<unsigned char>(at[i])} << (8 * i);
  return number;
}

// FNV-1a, eight bytes at a time: finds accidents, protects against nobody.
uint64_t Hash(absl::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < bytes.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, std::min<size_t>(8, bytes.size() - i));
    hash = (hash ^ word) * 0x100000001b3;
    hash ^= hash >> 32;
  }
  return hash;
}

void PutFloats(const float* x, int64_t count, std::string* out) {
  if (count > 0) out->append(reinterpret_cast<const char*>(x), sizeof(float) * count);
}

// Takes floats off the front of `bytes`; what a session computes with must be finite.
bool GetFloats(int64_t count, absl::string_view* bytes, float* x) {
  if (count == 0) return true;
  std::memcpy(x, bytes->data(), sizeof(float) * count);
  bytes->remove_prefix(sizeof(float) * count);
  return std::all_of(x, x + count, [](float v) { return std::isfinite(v); });
}

// Calls f(layer, place) for the frames that are written before `frame`.
template <typename Function>
void ForEachFrame(const Config& config, int64_t frame, Function f) {
  for (int i = 0; i < config.n_layers; ++i) {
    for (int place = 0; place < config.ring(i).Written(frame); ++place) f(i, place);
  }
}

int64_t StateBytes(const Checkpoint& checkpoint, int64_t frame, bool scene) {
  int64_t floats = checkpoint.decoder.history_floats();
  if (scene) floats += checkpoint.config.latent_size();
  for (int i = 0; i < checkpoint.config.n_layers; ++i) {
    floats += checkpoint.config.ring(i).Written(frame) * KvCache::FrameFloats(checkpoint.config);
  }
  return kHeaderBytes + floats * int64_t{sizeof(float)} + kHashBytes;
}

}  // namespace

std::string SaveWorld(const Checkpoint& checkpoint, const Journey& journey, ReadFrame read) {
  std::string out;
  out.reserve(StateBytes(checkpoint, journey.frame, !journey.scene.empty()));
  absl::StrAppend(&out, kMagic, checkpoint.version);
  PutNumber(journey.seed, &out);
  PutNumber(static_cast<uint64_t>(journey.frame), &out);
  PutNumber(static_cast<uint64_t>(journey.block), &out);
  PutNumber((journey.primed ? kPrimed : 0) | (journey.scene.empty() ? 0 : kScene), &out);
  PutFloats(journey.scene.data(), static_cast<int64_t>(journey.scene.size()), &out);
  PutFloats(journey.history.data(), static_cast<int64_t>(journey.history.size()), &out);
  const int64_t floats = KvCache::FrameFloats(checkpoint.config);
  ForEachFrame(checkpoint.config, journey.frame,
               [&](int layer, int place) { PutFloats(read(layer, place), floats, &out); });
  PutNumber(Hash(out), &out);
  return out;
}

absl::StatusOr<Journey> LoadWorld(const Checkpoint& checkpoint, absl::string_view state,
                                  WriteFrame write) {
  if (state.size() < static_cast<size_t>(kHeaderBytes + kHashBytes)) return Damaged("too short");
  if (state.substr(0, kMagic.size()) != kMagic) return Damaged("not a world of this kind");
  const absl::string_view hashed = state.substr(0, state.size() - kHashBytes);
  if (Hash(hashed) != GetNumber(hashed.data() + hashed.size())) return Damaged("hash differs");
  if (state.substr(kMagic.size(), kDigestBytes) != checkpoint.version) {
    return Error(absl::StatusCode::kFailedPrecondition, "OTHER_WEIGHTS",
                 "the world was saved with other weights");
  }
  const char* numbers = state.data() + kMagic.size() + kDigestBytes;
  const uint64_t frame = GetNumber(numbers + 8), block = GetNumber(numbers + 16);
  const uint64_t flags = GetNumber(numbers + 24);
  if (frame > kMaxFrame || block > kMaxFrame || flags > (kPrimed | kScene)) {
    return Damaged("impossible numbers");
  }
  Journey journey{GetNumber(numbers),
                  static_cast<int64_t>(frame),
                  static_cast<int64_t>(block),
                  (flags & kPrimed) != 0,
                  {},
                  {}};
  const bool scene = (flags & kScene) != 0;
  if (StateBytes(checkpoint, journey.frame, scene) != static_cast<int64_t>(state.size())) {
    return Damaged("wrong size");
  }
  absl::string_view rest = hashed.substr(kHeaderBytes);
  journey.scene.resize(scene ? checkpoint.config.latent_size() : 0);
  journey.history.resize(checkpoint.decoder.history_floats());
  bool finite = GetFloats(static_cast<int64_t>(journey.scene.size()), &rest, journey.scene.data());
  finite &= GetFloats(static_cast<int64_t>(journey.history.size()), &rest, journey.history.data());
  std::vector<float> floats(KvCache::FrameFloats(checkpoint.config));
  ForEachFrame(checkpoint.config, journey.frame, [&](int layer, int place) {
    finite &= GetFloats(static_cast<int64_t>(floats.size()), &rest, floats.data());
    write(layer, place, floats.data());
  });
  if (!finite) return Damaged("values that are not finite");
  return journey;
}

int64_t SavedBytes(const Checkpoint& checkpoint) {
  return StateBytes(checkpoint, kMaxFrame, /*scene=*/true);
}

}  // namespace firstbyte::waypoint
