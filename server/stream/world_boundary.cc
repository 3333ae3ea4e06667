// WorldInbox, the way out: what is heard at a block boundary.

#include <algorithm>
#include <utility>

#include "server/stream/world_input.h"

namespace firstbyte {
namespace {

// The state of the controls without what happens only once.
BlockActions Held(BlockActions actions) {
  actions.pointer_dx = actions.pointer_dy = actions.scroll = 0;
  return actions;
}

}  // namespace

void WorldInbox::Deed::Settle() {
  newest.actions = Held(newest.actions);
  pressed = newest.actions.keys;
}

// ---- What a boundary would do. ----

bool WorldInbox::ResumeAhead() const {
  return std::any_of(queue_.begin(), queue_.end(), [](const Item& item) {
    const auto* control = std::get_if<WorldControl>(&item);
    return control != nullptr &&
           (*control == WorldControl::kResume || *control == WorldControl::kClose);
  });
}

WorldInbox::Wish WorldInbox::wish(bool room) const {
  if (paused_ && ResumeAhead()) return Wish::kControls;
  if (!merges()) {
    const bool may_play = room && MayPlay();
    if (deed_) return may_play ? Wish::kBlock : Wish::kNothing;
    if (queue_.empty()) return Wish::kNothing;
    if (std::holds_alternative<Deed>(queue_.front())) {
      return may_play ? Wish::kBlock : Wish::kNothing;
    }
    const auto* prompt = std::get_if<PromptItem>(&queue_.front());
    return prompt == nullptr || prompt->prepared ? Wish::kControls : Wish::kNothing;
  }
  bool controls = false, deeds = deed_.has_value();
  for (const Item& item : queue_) {
    controls |= std::holds_alternative<WorldControl>(item);
    deeds |= std::holds_alternative<Deed>(item);
  }
  // While blocks are made controls wait for the next one; a CLOSE behind nothing need not.
  if (MayPlay() && (deeds || !closing_)) {
    if (room) return Wish::kBlock;
    if (closing_) return Wish::kNothing;
  }
  return controls ? Wish::kControls : Wish::kNothing;
}

// ---- Taking from the queue. ----

// A player who pauses and goes on meanwhile queued actions between the two: they are played after
// the pause, so RESUME does not wait for them.
void WorldInbox::JumpToResume() {
  if (!paused_ || !ResumeAhead()) return;
  paused_ = false;
  const auto resume = std::find_if(queue_.begin(), queue_.end(), [](const Item& item) {
    const auto* control = std::get_if<WorldControl>(&item);
    return control != nullptr &&
           (*control == WorldControl::kResume || *control == WorldControl::kClose);
  });
  if (std::get<WorldControl>(*resume) == WorldControl::kResume) queue_.erase(resume);
}

// False: the control stays where it is, and nothing behind it is heard at this boundary.
bool WorldInbox::TakeControl(WorldControl control, Boundary* boundary) {
  switch (control) {
    case WorldControl::kPause:
      boundary->paused = !paused_;
      paused_ = true;
      return true;
    case WorldControl::kResume:
      paused_ = false;
      boundary->paused = false;
      return true;
    case WorldControl::kReset:
      reset_ = true;
      due_.clear();
      if (deed_) deed_->Settle();
      return true;
    case WorldControl::kSnapshot:
      if (boundary->save) return false;
      boundary->save = true;
      boundary->pending = Taken();
      boundary->newest = deed_ ? deed_->newest : applied_;
      return true;
    case WorldControl::kClose:
      // Merged actions are played first.
      boundary->close = !(deed_ && MayPlay());
      return false;
  }
  return true;
}

void WorldInbox::TakePrompt(PromptItem prompt, int64_t next_block) {
  if (prompt.said.apply_at_block.value_or(next_block) > next_block) {
    const auto later = std::find_if(scheduled_.begin(), scheduled_.end(), [&](const auto& other) {
      return *other.said.apply_at_block > *prompt.said.apply_at_block;
    });
    scheduled_.insert(later, std::move(prompt));
    return;
  }
  due_.clear();
  due_.push_back(std::move(prompt));
}

// Takes what stands before the next block. Returns whether that block may begin.
bool WorldInbox::Walk(int64_t next_block, Boundary* boundary) {
  for (size_t i = 0; i < queue_.size();) {
    Item& item = queue_[i];
    if (const auto* control = std::get_if<WorldControl>(&item)) {
      if (!TakeControl(*control, boundary)) {
        return *control == WorldControl::kClose && !boundary->close;
      }
    } else if (auto* prompt = std::get_if<PromptItem>(&item)) {
      if (!prompt->prepared) {
        if (!merges()) return false;
        ++i;  // it is heard at a later block
        continue;
      }
      TakePrompt(std::move(*prompt), next_block);
    } else if (!merges()) {
      return true;
    } else if (auto& deed = std::get<Deed>(item); deed_) {
      Merge(deed, &*deed_);
    } else {
      deed_ = std::move(deed);
    }
    queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return true;
}

WorldInbox::Boundary WorldInbox::Take(bool room, int64_t next_block) {
  Boundary boundary;
  JumpToResume();
  // LOCKSTEP: the rest of a repeated action comes before everything that was said after it.
  const bool repeating = !merges() && deed_;
  const bool open = repeating || Walk(next_block, &boundary);
  if (open && room && MayPlay() && NextDeed(&boundary)) BeginBlock(next_block, &boundary);
  return boundary;
}

// What the player does during the block that begins, if there is any.
bool WorldInbox::NextDeed(Boundary* boundary) {
  if (merges()) {
    const BlockActions resting = Held(applied_.actions);
    Deed deed = deed_ ? *std::exchange(deed_, std::nullopt) : Deed{applied_, resting.keys, {}};
    if (deed.arrivals.empty()) deed.newest.actions = resting;
    applied_ = deed.newest;
    boundary->actions = deed.newest;
    boundary->actions.actions.keys |= deed.pressed;
    boundary->arrivals = std::move(deed.arrivals);
    return true;
  }
  if (!deed_) {
    if (queue_.empty() || !std::holds_alternative<Deed>(queue_.front())) return false;
    deed_ = std::move(std::get<Deed>(queue_.front()));
    queue_.pop_front();
  }
  boundary->actions = applied_ = deed_->newest;
  boundary->arrivals = std::exchange(deed_->arrivals, {});
  if (--deed_->newest.repeat == 0) deed_.reset();
  return true;
}

void WorldInbox::BeginBlock(int64_t next_block, Boundary* boundary) {
  --credit_;
  while (!scheduled_.empty() && *scheduled_.front().said.apply_at_block <= next_block) {
    due_.clear();
    due_.push_back(std::move(scheduled_.front()));
    scheduled_.erase(scheduled_.begin());
  }
  if (std::exchange(reset_, false)) boundary->inputs.emplace_back(ResetWorld{});
  boundary->prompted = !due_.empty();
  for (PromptItem& prompt : due_) {
    boundary->said.push_back({.text = prompt.said.text, .embedding = prompt.said.embedding});
    boundary->inputs.emplace_back(std::move(prompt.prepared));
  }
  due_.clear();
  boundary->inputs.emplace_back(boundary->actions.actions);
  boundary->block = true;
}

// ---- Saving. ----

std::vector<SavedInput> WorldInbox::Taken() const {
  std::vector<SavedInput> pending;
  if (reset_) pending.emplace_back(ResetWorld{});
  for (const PromptItem& prompt : due_) pending.emplace_back(prompt.said);
  for (const PromptItem& prompt : scheduled_) pending.emplace_back(prompt.said);
  if (deed_) {
    SavedActions actions = deed_->newest;
    actions.actions.keys |= deed_->pressed;
    pending.emplace_back(std::move(actions));
  }
  return pending;
}

std::vector<SavedInput> WorldInbox::Pending() const {
  std::vector<SavedInput> pending = Taken();
  for (const Item& item : queue_) {
    if (const auto* deed = std::get_if<Deed>(&item)) {
      SavedActions actions = deed->newest;
      actions.actions.keys |= deed->pressed;
      pending.emplace_back(std::move(actions));
    } else if (const auto* prompt = std::get_if<PromptItem>(&item)) {
      pending.emplace_back(prompt->said);
    } else if (std::get<WorldControl>(item) == WorldControl::kReset) {
      pending.emplace_back(ResetWorld{});
    }
  }
  return pending;
}

}  // namespace firstbyte
