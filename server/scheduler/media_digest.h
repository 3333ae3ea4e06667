// SHA-256 of all media that a session made, chunk by chunk, wherever the chunks end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "model/model.h"

struct evp_md_ctx_st;

namespace firstbyte {

// Not thread-safe.
class MediaDigest {
 public:
  MediaDigest();

  // Frames and samples of `output`; not where its markers are.
  void Add(const Output& output);

  int64_t bytes() const { return bytes_; }
  // Of what was added so far; lower-case hexadecimal.
  std::string Hex() const;

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
  int64_t bytes_ = 0;
};

}  // namespace firstbyte
