#include "server/stream/world_token.h"

#include <limits>

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"
#include "server/stream/sha256.h"

namespace firstbyte {
namespace {

TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(absl::BytesToHexString(Sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  // RFC 4231, test case 2.
  EXPECT_EQ(absl::BytesToHexString(HmacSha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(TokenSigner, KnowsItsOwnTokens) {
  const TokenSigner signer("secret");
  for (int64_t generation : {int64_t{1}, int64_t{2}, std::numeric_limits<int64_t>::max()}) {
    const std::string token = signer.Sign("tenant", "session", generation);
    EXPECT_EQ(signer.Verify(token, "tenant", "session"), generation);
  }
}

TEST(TokenSigner, KnowsNoOther) {
  const TokenSigner signer("secret");
  const std::string token = signer.Sign("tenant", "session", 1);
  EXPECT_FALSE(signer.Verify(token, "tenan", "tsession"));
  EXPECT_FALSE(signer.Verify(token, "tenant", "session1"));
  EXPECT_FALSE(signer.Verify(token, "", "session"));
  EXPECT_FALSE(TokenSigner("secret2").Verify(token, "tenant", "session"));
  for (const std::string& forged :
       {std::string(), std::string("."), std::string("1"), std::string("1."), "2" + token.substr(1),
        "+" + token, " " + token, "0" + token, token + "=", token + "A",
        token.substr(0, token.size() - 1), std::string("99999999999999999999.") + token,
        std::string(1 << 20, '1')}) {
    EXPECT_FALSE(signer.Verify(forged, "tenant", "session")) << forged.substr(0, 80);
  }
}

TEST(TokenSigner, EveryFlippedByteIsFound) {
  const TokenSigner signer("secret");
  const std::string token = signer.Sign("t", "s", 7);
  for (size_t i = 0; i < token.size(); ++i) {
    std::string flipped = token;
    flipped[i] ^= 1;
    EXPECT_FALSE(signer.Verify(flipped, "t", "s")) << i;
  }
}

}  // namespace
}  // namespace firstbyte
