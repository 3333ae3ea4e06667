// The newest blocks of a session, held in case that the player never got them.
//
// Not thread-safe. The blocks are shared with whoever codes them meanwhile.
#pragma once

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "server/stream/saved_world.h"

namespace firstbyte {

class BlockHistory {
 public:
  static constexpr int64_t kBytes = 2 << 20;
  static constexpr size_t kFewest = 4;  // are held even if they are larger: the first credit

  void Add(std::shared_ptr<const SavedBlock> block) {
    bytes_ += Bytes(*block);
    blocks_.push_back(std::move(block));
    while (bytes_ > kBytes && blocks_.size() > kFewest) {
      bytes_ -= Bytes(*blocks_.front());
      blocks_.pop_front();
    }
  }

  // Oldest first.
  std::vector<std::shared_ptr<const SavedBlock>> all() const {
    return {blocks_.begin(), blocks_.end()};
  }

 private:
  static int64_t Bytes(const SavedBlock& block) {
    return static_cast<int64_t>(block.output.frames.size() +
                                block.output.samples.size() * sizeof(float));
  }

  std::deque<std::shared_ptr<const SavedBlock>> blocks_;
  int64_t bytes_ = 0;
};

}  // namespace firstbyte
