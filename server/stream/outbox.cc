#include "server/stream/outbox.h"

#include <utility>

namespace firstbyte {
namespace {

int64_t Bytes(const SpeechResponse& message) {
  const auto* audio = std::get_if<SpeechAudio>(&message);
  return audio == nullptr ? 0 : audio->audio.bytes();
}

}  // namespace

void Outbox::Put(Entry entry) {
  used_ += Bytes(entry.message);
  entries_.push_back(std::move(entry));
}

std::optional<Outbox::Entry> Outbox::Take() {
  if (entries_.empty()) return std::nullopt;
  Entry entry = std::move(entries_.front());
  entries_.pop_front();
  used_ -= Bytes(entry.message);
  return entry;
}

void Outbox::Clear() {
  entries_.clear();
  used_ = 0;
}

}  // namespace firstbyte
