// Saving a session and opening it again.
//
// The layout is that of the functions below, in their order; kFormat changes with it. The digest of
// the weights comes first, so that numbers of another model are not taken for ours.
#include <cmath>
#include <cstring>
#include <limits>

#include "model/world/state_dit/session.h"
#include "model/world/state_dit/state_blob.h"

namespace firstbyte::state_dit {
namespace {

constexpr char kFormat[] = "firstbyte state_dit 2\n";
// Far beyond what networks make, and far from where sums overflow.
constexpr float kLargest = 1e6f;
constexpr float kLargestNote = 2;
constexpr int64_t kMostFrames = int64_t{1} << 48;
constexpr double kMostTurns = 10000;  // radians; a world may start at any heading

// Of floats. In whole numbers, so that the compiler makes vectors of it: the lane waits for this.
bool AllFinite(const char* floats, int64_t bytes) {
  constexpr uint32_t kExponent = 0x7f800000;
  uint32_t broken = 0;
  for (int64_t i = 0; i < bytes; i += 4) {
    uint32_t bits = 0;
    std::memcpy(&bits, floats + i, 4);
    broken |= (bits & kExponent) == kExponent ? 1 : 0;
  }
  return broken == 0;
}

void WriteState(const State& state, BlobWriter* out) { out->Floats(state.data(), kStateSize); }

State ReadState(const Config& config, BlobReader* in) {
  State state{};
  in->Floats(state.data(), kStateSize, kMostTurns, "a place");
  const auto low = static_cast<float>(config.map_low), high = static_cast<float>(config.map_high);
  for (int i = 0; i < 2; ++i) {
    if (state[i] >= low && state[i] <= high) continue;
    if (in->status().ok()) in->Fail("a place lies outside the world");
    state[i] = low;
  }
  for (int i = 0; i < kDiscrete; ++i) {
    const float value = state[3 + i];
    if (value == std::floor(value) && value >= 0 &&
        value < static_cast<float>(config.discrete_sizes[i])) {
      continue;
    }
    in->Fail("a counter is out of range");
    state[3 + i] = 0;
  }
  return state;
}

void WriteMemory(const Memory& memory, BlobWriter* out) {
  out->Int(memory.frame);
  WriteState(memory.facts.before, out);
  WriteState(memory.facts.after, out);
  out->Floats(memory.facts.action.data(), kActionSize);
  for (const auto* part : {&memory.facts.events, &memory.residual, &memory.audio}) {
    out->Floats(part->data(), static_cast<int64_t>(part->size()));
  }
  out->Floats(memory.note.data(), kNoteSize);
}

void ReadMemory(const Config& config, int64_t next_frame, BlobReader* in, Memory* memory) {
  memory->frame = in->Int(0, next_frame - 1, "a remembered frame's number");
  memory->facts.before = ReadState(config, in);
  memory->facts.after = ReadState(config, in);
  in->Floats(memory->facts.action.data(), kActionSize, 1, "a remembered action");
  for (auto* part : {&memory->facts.events, &memory->residual, &memory->audio}) {
    in->Floats(part->data(), static_cast<int64_t>(part->size()), kLargest, "a remembered frame");
  }
  in->Floats(memory->note.data(), kNoteSize, kLargestNote, "a note");
}

}  // namespace

absl::StatusOr<std::string> WorldSession::Save() const {
  if (!work().wants_block) {
    return absl::FailedPreconditionError("a world is saved between blocks");
  }
  const int valid = ring_.valid(window());
  const int64_t ring_bytes = rings_.SavedBytes(valid);
  BlobWriter out(static_cast<size_t>(ring_bytes) + (64 << 10));
  out.Text(kFormat);
  out.Text(world_.version);
  out.Int(static_cast<int64_t>(seed_));
  WriteState(origin_, &out);
  out.Int(origin_theme_);
  out.Int(origin_latents_.empty() ? 0 : 1);
  out.Floats(origin_latents_.data(), static_cast<int64_t>(origin_latents_.size()));
  WriteState(state_, &out);
  out.Int(theme_);
  out.Int(frame_);
  out.Int(block_);
  out.Int(ring_.committed);
  for (int i = 0; i < valid; ++i) WriteMemory(memories_[i], &out);
  absl::Status saved = rings_.Save(slot_.index(), valid, out.Room(ring_bytes));
  if (!saved.ok()) return saved;
  return out.Finish();
}

absl::Status WorldSession::Restore(const std::string& state) {
  const Config& c = world_.config;
  const int last_theme = static_cast<int>(c.themes.size()) - 1;
  BlobReader in(state);
  in.Expect(kFormat, "the format");
  in.Expect(world_.version, "the model");
  seed_ = static_cast<uint64_t>(
      in.Int(std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max(), "the seed"));
  origin_ = ReadState(c, &in);
  origin_theme_ = static_cast<int>(in.Int(0, last_theme, "the first theme"));
  if (in.Int(0, 1, "whether there was a seed picture") == 1) {
    origin_latents_.resize(kVideoTokens * c.latent_channels);
    in.Floats(origin_latents_.data(), static_cast<int64_t>(origin_latents_.size()), kLargest,
              "the seed picture");
  }
  state_ = ReadState(c, &in);
  theme_ = static_cast<int>(in.Int(0, last_theme, "the theme"));
  frame_ = in.Int(1, kMostFrames, "the frame");
  block_ = in.Int(0, kMostFrames, "the block");
  ring_.committed = in.Int(1, frame_, "the ring's index");
  const int valid = ring_.valid(window());
  for (int i = 0; i < valid && in.status().ok(); ++i) ReadMemory(c, frame_, &in, &memories_[i]);
  const int64_t ring_bytes = rings_.SavedBytes(valid);
  const char* ring = in.Bytes(ring_bytes, "the ring");
  in.ExpectEnd();
  if (in.status().ok() && !AllFinite(ring, ring_bytes)) in.Fail("the ring is not finite");
  phase_ = Phase::kIdle;
  return in.status().ok() ? rings_.Restore(slot_.index(), valid, ring) : in.status();
}

}  // namespace firstbyte::state_dit
