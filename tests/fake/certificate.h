// A certificate for tests of TLS, made when it is needed: no key lies in the repository.
#pragma once

#include <string>

namespace firstbyte {

struct Certificate {
  std::string certificate_pem, key_pem;
};

// Of the DNS name `name`, signed by itself, valid for an hour.
Certificate MakeCertificate(const std::string& name);

}  // namespace firstbyte
