#include "client/loadgen/workload.h"

#include <cerrno>
#include <fstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace firstbyte {
namespace {

constexpr const char* kTexts[] = {
    "Good morning, how are you?",
    "Yes, of course.",
    "Your table is ready now.",
    "One moment please, I am looking that up for you.",
    "The next train to the city leaves in twelve minutes.",
    "I have moved your appointment to Thursday at half past nine.",
    "Would you like me to send the address to your phone?",
    "The weather will be mild today, with a little rain in the evening.",
    "There are three messages for you, and the first one is from your brother.",
    "Turn left at the bakery, then walk straight on until you see the old bridge.",
    "That room costs eighty five dollars a night, breakfast included.",
    "I am sorry, I did not understand that. Could you say it in other words?",
    "Your order was shipped this morning and should arrive on Friday before noon.",
    "The museum opens at ten, and the guided tour begins a quarter of an hour later.",
    "Please keep your seat belt fastened until we have come to a complete stop.",
    "It took the children almost an hour to find the boat that their grandfather had hidden "
    "behind the trees.",
    "When the bread is brown on top, take it out of the oven and let it rest for ten minutes "
    "before you cut it.",
    "Thank you for waiting. I can see that the first payment went through, but the second one "
    "was refused by your bank.",
    "If you like, I can read the whole list to you, or we can start with the things that must be "
    "done before the weekend.",
    "Goodbye, and have a pleasant journey.",
};

// SplitMix64's finaliser: every bit of the input moves about half of the output's.
uint64_t Mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace

absl::Span<const char* const> BuiltInTexts() { return kTexts; }

absl::StatusOr<std::vector<std::string>> ReadTexts(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  std::vector<std::string> texts;
  for (std::string line; std::getline(file, line);) {
    absl::StripAsciiWhitespace(&line);
    if (!line.empty()) texts.push_back(line);
  }
  if (texts.empty()) return absl::InvalidArgumentError(absl::StrCat(path, " holds no text"));
  return texts;
}

Workload::Workload(std::vector<std::string> texts, uint64_t seed)
    : texts_(std::move(texts)), seed_(seed) {}

uint64_t Workload::Draw(int listener, int turn, int purpose) const {
  return Mix(Mix(Mix(seed_ + purpose) + listener) + turn);
}

const std::string& Workload::Text(int listener, int turn) const {
  return texts_[Draw(listener, turn, 0) % texts_.size()];
}

uint64_t Workload::SpeechSeed(int listener, int turn) const { return Draw(listener, turn, 1) | 1; }

}  // namespace firstbyte
