// The least a gRPC server can do: answers each message of any bidirectional method with bytes made
// ready before. What firstbyte's transport is compared with.
#pragma once

#include <string>
#include <vector>

#include "grpcpp/generic/async_generic_service.h"

namespace firstbyte {

class EchoService : public grpc::CallbackGenericService {
 public:
  // The i-th message of a call is answered with replies[i]; later ones with nothing.
  explicit EchoService(std::vector<std::string> replies);

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* rpc) override;

 private:
  const std::vector<grpc::ByteBuffer> replies_;
};

}  // namespace firstbyte
