#include "server/stream/world_token.h"

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/stream/sha256.h"

namespace firstbyte {

std::string TokenSigner::Sign(absl::string_view tenant, absl::string_view session_id,
                              int64_t generation) const {
  // Sizes first, so that no two triples make the same message.
  const std::string message = absl::StrCat("firstbyte world 1:", tenant.size(), ":", tenant,
                                           session_id.size(), ":", session_id, generation);
  return absl::StrCat(generation, ".", absl::WebSafeBase64Escape(HmacSha256(secret_, message)));
}

std::optional<int64_t> TokenSigner::Verify(absl::string_view token, absl::string_view tenant,
                                           absl::string_view session_id) const {
  int64_t generation = 0;
  if (!absl::SimpleAtoi(token.substr(0, token.find('.')), &generation)) return std::nullopt;
  if (!EqualInConstantTime(token, Sign(tenant, session_id, generation))) return std::nullopt;
  return generation;
}

}  // namespace firstbyte
