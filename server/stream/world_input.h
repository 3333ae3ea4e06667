// What a player may say, checked, and a pure inbox that decides at which block each of it is heard.
//
// LOCKSTEP: a bounded queue, one block an action. REALTIME and FREE_RUN: actions that wait for the
// same block are merged: movements add up, a key counts as pressed if any of them held it, what is
// held and where the axes stand is as the newest says. Controls and prompts keep their place among
// the actions. Of the prompts that are due at one block only the last is heard.
//
// Neither blocks nor knows a clock. Not thread-safe.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "model/model.h"
#include "server/stream/saved_world.h"
#include "server/stream/world_messages.h"

namespace firstbyte {

// kInvalidArgument UNKNOWN_KEY, UNKNOWN_AXIS, NOT_A_NUMBER or OUT_OF_RANGE, naming the field.
absl::StatusOr<SavedActions> CheckActions(const WorldInfo& info, Pacing pacing,
                                          const WorldActions& actions);
// `field`: the one that says `prompt`.
absl::Status CheckPrompt(const WorldInfo& info, const WorldPrompt& prompt, absl::string_view field);
// kDataLoss SNAPSHOT_CORRUPTED when this world cannot have heard what `world` holds.
absl::Status CheckInputs(const WorldInfo& info, const SavedWorld& world);

class WorldInbox {
 public:
  static constexpr int kEnough = 64;         // then do not read, unless the world waits for a word
  static constexpr int kMost = 256;          // then kResourceExhausted TOO_MANY_MESSAGES
  static constexpr int kMostScheduled = 16;  // prompts; then kResourceExhausted TOO_MANY_PROMPTS
  static constexpr int kFirstCredit = 4;     // blocks

  explicit WorldInbox(Pacing pacing) : pacing_(pacing) {}
  // Goes on with what `world` had not heard.
  WorldInbox(Pacing pacing, const SavedWorld& world, absl::Time now);

  // ---- What arrives. ----
  absl::Status Add(SavedActions actions, absl::Time arrival);
  absl::Status Add(SavedPrompt prompt);
  absl::Status Add(WorldControl control);
  void AddCredit(int blocks);
  // CLOSE that asks for no more credit, since none can come.
  absl::Status HalfClose();
  bool enough() const;

  // Prompts are heard once they are prepared; in LOCKSTEP later actions wait for them.
  struct ToPrepare {
    int64_t id;
    SavedPrompt prompt;
  };
  std::optional<ToPrepare> NextToPrepare() const;
  void Prepared(int64_t id, std::unique_ptr<firstbyte::Prepared> prompt);

  // ---- At a block boundary. ----
  enum class Wish {
    kNothing,   // until something arrives
    kControls,  // a boundary without a block, at once
    kBlock,     // a block, when its time has come
  };
  // `room`: whether the outbox could take a block.
  Wish wish(bool room) const;

  struct Boundary {
    bool save = false;                 // before `inputs`, together with
    std::vector<SavedInput> pending;   // these
    SavedActions newest;               // and this, as of the control that asked for it
    std::vector<Input> inputs;         // for the session
    std::vector<RawInput> said;        // what the prompts among them say
    bool block = false;                // they begin a block
    bool prompted = false;             // with a new prompt
    SavedActions actions;              // the newest that shape it
    std::vector<absl::Time> arrivals;  // of the actions that it is the first to show
    bool paused = false;               // a pause begins
    bool close = false;
  };
  Boundary Take(bool room, int64_t next_block);

  // Everything not heard yet, in order, and the newest state of the controls.
  std::vector<SavedInput> Pending() const;
  const SavedActions& newest() const { return newest_; }
  bool paused() const { return paused_; }
  bool out_of_credit() const { return credit_ <= 0 && !half_closed_; }

 private:
  struct Deed {  // actions, perhaps of several messages
    SavedActions newest;
    std::bitset<WorldInfo::kMaxKeys> pressed;
    std::vector<absl::Time> arrivals;
    void Settle();  // keeps what is held, drops what happens once
  };
  struct PromptItem {
    int64_t id;
    SavedPrompt said;
    std::unique_ptr<firstbyte::Prepared> prepared;
  };
  using Item = std::variant<Deed, PromptItem, WorldControl>;

  static void Merge(const Deed& later, Deed* into);
  Deed* NewestDeed();
  absl::Status Put(Item item);
  bool merges() const { return pacing_ != Pacing::kLockstep; }
  bool MayPlay() const { return !paused_ && !out_of_credit(); }
  bool ResumeAhead() const;
  void JumpToResume();
  bool TakeControl(WorldControl control, Boundary* boundary);
  void TakePrompt(PromptItem prompt, int64_t next_block);
  bool Walk(int64_t next_block, Boundary* boundary);
  bool NextDeed(Boundary* boundary);
  void BeginBlock(int64_t next_block, Boundary* boundary);
  std::vector<SavedInput> Taken() const;

  const Pacing pacing_;
  std::deque<Item> queue_;
  int64_t next_prompt_id_ = 1;
  int64_t credit_ = kFirstCredit;
  bool half_closed_ = false, closing_ = false;
  SavedActions newest_;   // as received
  SavedActions applied_;  // as heard

  // Taken from the queue, to be heard with the next block.
  bool paused_ = false;
  bool reset_ = false;
  std::vector<PromptItem> due_;        // at most one
  std::vector<PromptItem> scheduled_;  // by block, then by arrival
  std::optional<Deed> deed_;           // LOCKSTEP: with repeats left; else merged, not heard
};

}  // namespace firstbyte
