// Tokens: the right to resume a world session, as "generation.mac".
//
// The mac is an HMAC-SHA256 under the server's secret over tenant, session and generation, so any
// server with the same secret can check a token without having seen the session.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace firstbyte {

// Immutable, thread-safe.
class TokenSigner {
 public:
  explicit TokenSigner(std::string secret) : secret_(std::move(secret)) {}

  std::string Sign(absl::string_view tenant, absl::string_view session_id,
                   int64_t generation) const;
  // The generation that `token` was signed for; nullopt when we did not sign it for this session.
  std::optional<int64_t> Verify(absl::string_view token, absl::string_view tenant,
                                absl::string_view session_id) const;

 private:
  const std::string secret_;
};

}  // namespace firstbyte
