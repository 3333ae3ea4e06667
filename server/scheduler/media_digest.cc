#include "server/scheduler/media_digest.h"

#include <new>

#include "absl/strings/escaping.h"
#include "openssl/evp.h"

namespace firstbyte {

void MediaDigest::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

MediaDigest::MediaDigest() : context_(EVP_MD_CTX_new()) {
  if (!context_) throw std::bad_alloc();
  EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
}

void MediaDigest::Add(const Output& output) {
  const size_t sound = output.samples.size() * sizeof(output.samples[0]);
  EVP_DigestUpdate(context_.get(), output.frames.data(), output.frames.size());
  EVP_DigestUpdate(context_.get(), output.samples.data(), sound);
  bytes_ += static_cast<int64_t>(output.frames.size() + sound);
}

std::string MediaDigest::Hex() const {
  MediaDigest copy;  // finishing ends a context
  EVP_MD_CTX_copy_ex(copy.context_.get(), context_.get());
  std::string digest(32, '\0');
  EVP_DigestFinal_ex(copy.context_.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr);
  return absl::BytesToHexString(digest);
}

}  // namespace firstbyte
