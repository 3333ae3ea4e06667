#include "tests/fake/certificate.h"

#include <cstdlib>
#include <functional>
#include <memory>

#include "openssl/evp.h"
#include "openssl/pem.h"
#include "openssl/x509v3.h"

namespace firstbyte {
namespace {

constexpr long kValidSeconds = 3600;  // NOLINT(runtime/int): OpenSSL's type

std::string Pem(const std::function<int(BIO*)>& write) {
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  if (write(bio.get()) != 1) std::abort();
  BUF_MEM* text = nullptr;
  BIO_get_mem_ptr(bio.get(), &text);
  return std::string(text->data, text->length);
}

}  // namespace

Certificate MakeCertificate(const std::string& name) {
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  std::unique_ptr<X509, decltype(&X509_free)> x509(X509_new(), X509_free);
  X509_set_version(x509.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x509.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(x509.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(x509.get()), kValidSeconds);
  X509_set_pubkey(x509.get(), key.get());
  X509_NAME* subject = X509_get_subject_name(x509.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(x509.get(), subject);
  const std::string names = "DNS:" + name;
  X509_EXTENSION* extension =
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str());
  X509_add_ext(x509.get(), extension, -1);
  X509_EXTENSION_free(extension);
  if (X509_sign(x509.get(), key.get(), EVP_sha256()) == 0) std::abort();
  return {Pem([&](BIO* bio) { return PEM_write_bio_X509(bio, x509.get()); }), Pem([&](BIO* bio) {
            return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

}  // namespace firstbyte
