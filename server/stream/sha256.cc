#include "server/stream/sha256.h"

#include <cstdlib>

#include "openssl/crypto.h"
#include "openssl/evp.h"
#include "openssl/hmac.h"
#include "openssl/rand.h"

namespace firstbyte {
namespace {

constexpr int kDigestBytes = 32;

unsigned char* Bytes(std::string* s) { return reinterpret_cast<unsigned char*>(s->data()); }
const unsigned char* Bytes(absl::string_view s) {
  return reinterpret_cast<const unsigned char*>(s.data());
}

}  // namespace

std::string Sha256(absl::string_view bytes) {
  std::string digest(kDigestBytes, '\0');
  EVP_Digest(bytes.data(), bytes.size(), Bytes(&digest), nullptr, EVP_sha256(), nullptr);
  return digest;
}

std::string HmacSha256(absl::string_view key, absl::string_view message) {
  std::string digest(kDigestBytes, '\0');
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), Bytes(message), message.size(),
       Bytes(&digest), nullptr);
  return digest;
}

bool EqualInConstantTime(absl::string_view a, absl::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string RandomBytes(int count) {
  std::string bytes(count, '\0');
  // Without randomness every token could be forged: there is nothing sensible to go on with.
  if (RAND_bytes(Bytes(&bytes), count) != 1) std::abort();
  return bytes;
}

}  // namespace firstbyte
