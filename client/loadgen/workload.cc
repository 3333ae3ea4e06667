#include "client/loadgen/workload.h"

#include <cerrno>
#include <fstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/loadgen/draw.h"

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

std::string TextOfWords(int words, uint64_t draw) {
  std::vector<std::string> chosen;
  while (static_cast<int>(chosen.size()) < words) {
    for (absl::string_view word : absl::StrSplit(kTexts[draw++ % std::size(kTexts)], ' ')) {
      if (static_cast<int>(chosen.size()) < words) chosen.emplace_back(word);
    }
  }
  std::string text = absl::StrJoin(chosen, " ");
  if (!text.empty() && !absl::ascii_ispunct(text.back())) text += '.';
  return text;
}

Workload::Workload(WorkloadSpec spec, uint64_t seed) : spec_(std::move(spec)), seed_(seed) {}

const std::string& Workload::Text(int stream, int turn) const {
  return spec_.texts[Draw(seed_, Purpose::kText, stream, turn) % spec_.texts.size()];
}

uint64_t Workload::SpeechSeed(int stream, int turn) const {
  return Draw(seed_, Purpose::kSpeechSeed, stream, turn) | 1;
}

Behaviour Workload::BehaviourOf(int stream, int turn) const {
  double at = Fraction(Draw(seed_, Purpose::kBehaviour, stream, turn));
  if ((at -= spec_.cancel_rate) < 0) return Behaviour::kCancel;
  if ((at -= spec_.slow_reader_rate) < 0) return Behaviour::kReadSlowly;
  return at - spec_.disconnect_rate < 0 ? Behaviour::kDisconnect : Behaviour::kListen;
}

void Workload::Fill(int turn, CallPlan* plan) const {
  const int stream = plan->stream;
  plan->behaviour = BehaviourOf(stream, turn);
  plan->seed = SpeechSeed(stream, turn);
  plan->text = Text(stream, turn);
  plan->world = spec_.world;
  plan->config = spec_.config;
  plan->config.mutable_sampling()->set_seed(plan->seed);
  if (!spec_.voices.empty()) {
    plan->config.set_voice(
        spec_.voices[Draw(seed_, Purpose::kVoice, stream, turn) % spec_.voices.size()]);
  }
  if (!spec_.encodings.empty()) {
    plan->config.mutable_audio()->set_encoding(
        spec_.encodings[Draw(seed_, Purpose::kEncoding, stream, turn) % spec_.encodings.size()]);
  }
}

}  // namespace firstbyte
