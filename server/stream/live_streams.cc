#include "server/stream/live_streams.h"

#include <utility>

namespace firstbyte {

LiveStreams::Entry& LiveStreams::Entry::operator=(Entry&& other) noexcept {
  std::swap(streams_, other.streams_);
  std::swap(number_, other.number_);
  return *this;
}

LiveStreams::Entry::~Entry() {
  if (streams_ == nullptr) return;
  MutexLock lock(&streams_->mu_);
  streams_->streams_.erase(number_);
}

LiveStreams::Entry LiveStreams::Add(std::weak_ptr<LiveStream> stream) {
  Entry entry;
  entry.streams_ = this;
  MutexLock lock(&mu_);
  entry.number_ = next_++;
  streams_.emplace(entry.number_, std::move(stream));
  return entry;
}

// Held by the caller until the lock is gone: the last owner's destructor asks for it.
std::vector<std::shared_ptr<LiveStream>> LiveStreams::All() const {
  std::vector<std::shared_ptr<LiveStream>> streams;
  MutexLock lock(&mu_);
  for (const auto& [number, weak] : streams_) {
    if (auto stream = weak.lock()) streams.push_back(std::move(stream));
  }
  return streams;
}

std::vector<StreamReport> LiveStreams::Report(absl::Time now) const {
  std::vector<StreamReport> reports;
  for (const auto& stream : All()) {
    if (auto report = stream->Report(now)) reports.push_back(*std::move(report));
  }
  return reports;
}

void LiveStreams::Evict(absl::string_view model, const absl::Status& status) {
  for (const auto& stream : All()) stream->Evict(model, status);
}

}  // namespace firstbyte
