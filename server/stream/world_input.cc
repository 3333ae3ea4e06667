#include "server/stream/world_input.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/error.h"

namespace firstbyte {
namespace {

// The queue, what is scheduled, and what was taken from the queue but not heard.
constexpr int kMostPending = WorldInbox::kMost + WorldInbox::kMostScheduled + 4;
constexpr int kMostRepeats = 64;
constexpr size_t kMostPromptBytes = 4 << 10;
constexpr double kMostMovement = 1024;  // of a message, or of many merged: far over what counts
constexpr int64_t kMostCreditHeld = 1 << 20;

absl::Status Exhausted(absl::string_view reason, absl::string_view message) {
  return Error(absl::StatusCode::kResourceExhausted, reason, message);
}

absl::StatusOr<size_t> IndexOf(const std::vector<std::string>& names, const std::string& name,
                               absl::string_view reason, absl::string_view field) {
  const auto at = std::find(names.begin(), names.end(), name);
  if (at != names.end()) return static_cast<size_t>(at - names.begin());
  // The name is the client's own: shortened, so that a message stays one line.
  return Invalid(reason,
                 absl::StrCat("this world has no '", name.substr(0, 64),
                              "'; there is: ", absl::StrJoin(names, ", ")),
                 field);
}

absl::StatusOr<float> Movement(double value, absl::string_view field) {
  if (!std::isfinite(value)) return Invalid("NOT_A_NUMBER", "must be a finite number", field);
  return static_cast<float>(std::clamp(value, -kMostMovement, kMostMovement));
}

absl::StatusOr<std::vector<float>> Axes(const WorldInfo& info,
                                        const std::map<std::string, double>& said) {
  if (said.empty()) return std::vector<float>();
  std::vector<float> axes(info.axes.size());
  for (const auto& [name, value] : said) {
    auto index = IndexOf(info.axes, name, "UNKNOWN_AXIS", "actions.axes");
    if (!index.ok()) return index.status();
    if (!std::isfinite(value)) {
      return Invalid("NOT_A_NUMBER", "must be a finite number", "actions.axes");
    }
    if (value < -1 || value > 1) {
      return Invalid("OUT_OF_RANGE", "an axis must be from -1 to 1", "actions.axes");
    }
    axes[*index] = static_cast<float>(value);
  }
  return axes;
}

bool IsMovement(float value) { return std::abs(value) <= static_cast<float>(kMostMovement); }

float Sum(float a, float b) {
  return std::clamp(a + b, -static_cast<float>(kMostMovement), static_cast<float>(kMostMovement));
}

}  // namespace

absl::StatusOr<SavedActions> CheckActions(const WorldInfo& info, Pacing pacing,
                                          const WorldActions& actions) {
  SavedActions checked{.sequence = actions.sequence, .client_time = actions.client_time};
  for (const std::string& key : actions.keys) {
    auto index = IndexOf(info.keys, key, "UNKNOWN_KEY", "actions.keys");
    if (!index.ok()) return index.status();
    checked.actions.keys.set(*index);
  }
  auto dx = Movement(actions.pointer_dx, "actions.pointer_dx");
  if (!dx.ok()) return dx.status();
  auto dy = Movement(actions.pointer_dy, "actions.pointer_dy");
  if (!dy.ok()) return dy.status();
  auto scroll = Movement(actions.scroll, "actions.scroll");
  if (!scroll.ok()) return scroll.status();
  auto axes = Axes(info, actions.axes);
  if (!axes.ok()) return axes.status();
  const bool may_repeat = pacing == Pacing::kLockstep;
  if (actions.repeat < 0 || actions.repeat > (may_repeat ? kMostRepeats : 1)) {
    return Invalid("OUT_OF_RANGE",
                   may_repeat ? absl::StrCat("repeat must be from 0 to ", kMostRepeats)
                              : "repeat is for LOCKSTEP only",
                   "actions.repeat");
  }
  checked.actions.pointer_dx = *dx;
  checked.actions.pointer_dy = *dy;
  checked.actions.scroll = *scroll;
  checked.actions.axes = *std::move(axes);
  checked.repeat = std::max(1, actions.repeat);
  return checked;
}

absl::Status CheckPrompt(const WorldInfo& info, const WorldPrompt& prompt,
                         absl::string_view field) {
  if (prompt.text.size() > kMostPromptBytes) {
    return Invalid("TEXT_TOO_LONG", absl::StrCat("at most ", kMostPromptBytes, " bytes"), field);
  }
  if (prompt.embedding.empty()) return absl::OkStatus();
  if (static_cast<int>(prompt.embedding.size()) != info.prompt_dimensions) {
    return Invalid("OUT_OF_RANGE",
                   info.prompt_dimensions == 0
                       ? "this world takes prompts in words only"
                       : absl::StrCat("must have ", info.prompt_dimensions, " numbers"),
                   field);
  }
  for (float value : prompt.embedding) {
    if (!std::isfinite(value)) return Invalid("NOT_A_NUMBER", "must be finite numbers", field);
  }
  return absl::OkStatus();
}

absl::Status CheckInputs(const WorldInfo& info, const SavedWorld& world) {
  auto possible = [&](const SavedActions& saved) {
    const BlockActions& actions = saved.actions;
    bool good = saved.repeat >= 1 && saved.repeat <= kMostRepeats && IsMovement(actions.scroll) &&
                IsMovement(actions.pointer_dx) && IsMovement(actions.pointer_dy);
    for (float axis : actions.axes) good = good && axis >= -1 && axis <= 1;
    for (size_t key = info.keys.size(); key < actions.keys.size(); ++key) {
      good = good && !actions.keys[key];
    }
    return good && (actions.axes.empty() || actions.axes.size() == info.axes.size());
  };
  bool good = world.next_block >= 0 && possible(world.held) &&
              static_cast<int>(world.pending.size()) <= kMostPending;
  for (const SavedInput& input : world.pending) {
    const auto* actions = std::get_if<SavedActions>(&input);
    const auto* prompt = std::get_if<SavedPrompt>(&input);
    good = good && (actions == nullptr || possible(*actions));
    good = good &&
           (prompt == nullptr ||
            CheckPrompt(info, {.text = prompt->text, .embedding = prompt->embedding}, "").ok());
  }
  return good ? absl::OkStatus()
              : Error(absl::StatusCode::kDataLoss, "SNAPSHOT_CORRUPTED",
                      "the saved inputs are not of this world");
}

// ---- What arrives. ----

WorldInbox::WorldInbox(Pacing pacing, const SavedWorld& world, absl::Time now)
    : pacing_(pacing), newest_(world.held), applied_(world.held) {
  for (const SavedInput& input : world.pending) {
    if (const auto* actions = std::get_if<SavedActions>(&input)) {
      ++credit_;
      queue_.emplace_back(Deed{*actions, actions->actions.keys, {now}});
    } else if (const auto* prompt = std::get_if<SavedPrompt>(&input)) {
      queue_.emplace_back(PromptItem{next_prompt_id_++, *prompt, nullptr});
    } else {
      queue_.emplace_back(WorldControl::kReset);
    }
  }
}

absl::Status WorldInbox::Put(Item item) {
  if (static_cast<int>(queue_.size()) >= kMost) {
    return Exhausted("TOO_MANY_MESSAGES",
                     "too much was sent ahead while the world is paused or without credit");
  }
  queue_.push_back(std::move(item));
  return absl::OkStatus();
}

void WorldInbox::Merge(const Deed& later, Deed* into) {
  const BlockActions before = into->newest.actions;
  into->newest = later.newest;
  BlockActions& actions = into->newest.actions;
  actions.pointer_dx = Sum(before.pointer_dx, actions.pointer_dx);
  actions.pointer_dy = Sum(before.pointer_dy, actions.pointer_dy);
  actions.scroll = Sum(before.scroll, actions.scroll);
  into->pressed |= later.pressed;
  for (absl::Time arrival : later.arrivals) {
    if (static_cast<int>(into->arrivals.size()) < kEnough) into->arrivals.push_back(arrival);
  }
}

// What later actions are merged into: a prompt between the two is heard at the same block.
WorldInbox::Deed* WorldInbox::NewestDeed() {
  const auto at = std::find_if(queue_.rbegin(), queue_.rend(), [](const Item& item) {
    return !std::holds_alternative<PromptItem>(item);
  });
  return at == queue_.rend() ? nullptr : std::get_if<Deed>(&*at);
}

absl::Status WorldInbox::Add(SavedActions actions, absl::Time arrival) {
  if (closing_) return absl::OkStatus();
  if (actions.sequence <= newest_.sequence) {
    return Invalid("SEQUENCE_NOT_GROWING",
                   absl::StrCat("sequence must be greater than ", newest_.sequence),
                   "actions.sequence");
  }
  newest_ = actions;
  Deed deed{std::move(actions), newest_.actions.keys, {arrival}};
  if (merges()) {
    if (Deed* waiting = NewestDeed()) {
      Merge(deed, waiting);
      return absl::OkStatus();
    }
  } else {
    ++credit_;
  }
  return Put(std::move(deed));
}

absl::Status WorldInbox::Add(SavedPrompt prompt) {
  if (closing_) return absl::OkStatus();
  auto at_once = [](const Item& item) {
    const auto* other = std::get_if<PromptItem>(&item);
    return other != nullptr && !other->said.apply_at_block;
  };
  if (prompt.apply_at_block) {
    auto scheduled = std::count_if(queue_.begin(), queue_.end(), [&](const Item& item) {
      return std::holds_alternative<PromptItem>(item) && !at_once(item);
    });
    if (scheduled + static_cast<int>(scheduled_.size()) >= kMostScheduled) {
      return Exhausted("TOO_MANY_PROMPTS",
                       absl::StrCat("at most ", kMostScheduled, " prompts can wait for a block"));
    }
  } else if (merges()) {
    // All of them would be heard at the same block, so the newest is enough.
    queue_.erase(std::remove_if(queue_.begin(), queue_.end(), at_once), queue_.end());
  } else if (!queue_.empty() && at_once(queue_.back())) {
    queue_.pop_back();
  }
  return Put(PromptItem{next_prompt_id_++, std::move(prompt), nullptr});
}

absl::Status WorldInbox::Add(WorldControl control) {
  if (closing_) return absl::OkStatus();
  closing_ = control == WorldControl::kClose;
  return Put(control);
}

absl::Status WorldInbox::HalfClose() {
  half_closed_ = true;
  return Add(WorldControl::kClose);
}

void WorldInbox::AddCredit(int blocks) { credit_ = std::min(credit_ + blocks, kMostCreditHeld); }

bool WorldInbox::enough() const {
  return static_cast<int>(queue_.size()) >= kEnough && !paused_ && !out_of_credit();
}

std::optional<WorldInbox::ToPrepare> WorldInbox::NextToPrepare() const {
  for (const Item& item : queue_) {
    const auto* prompt = std::get_if<PromptItem>(&item);
    if (prompt != nullptr && !prompt->prepared) return ToPrepare{prompt->id, prompt->said};
  }
  return std::nullopt;
}

void WorldInbox::Prepared(int64_t id, std::unique_ptr<firstbyte::Prepared> prepared) {
  for (Item& item : queue_) {
    auto* prompt = std::get_if<PromptItem>(&item);
    if (prompt != nullptr && prompt->id == id) prompt->prepared = std::move(prepared);
  }
}

}  // namespace firstbyte
