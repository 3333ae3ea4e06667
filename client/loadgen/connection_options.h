// Where the server is and how to be let in.
#pragma once

#include <string>

namespace firstbyte {

struct ConnectionOptions {
  std::string target = "127.0.0.1:50051";
  int channels = 1;  // connections that the calls are spread over
  bool tls = false;
  std::string ca_file;              // PEM; empty: the system's
  std::string cert_file, key_file;  // PEM, of this client, both or none
  std::string server_name;          // in the certificate, where it is not the host's
  std::string token;                // sent with each call as "authorization: Bearer ..."
};

}  // namespace firstbyte
