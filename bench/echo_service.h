// The least a gRPC server can do: answers each message of any bidirectional method with bytes made
// ready before. What firstbyte's transport is compared with, and loadgen's own limits are found
// with.
#pragma once

#include <string>
#include <vector>

#include "grpcpp/generic/async_generic_service.h"

namespace firstbyte {

class EchoService : public grpc::CallbackGenericService {
 public:
  // The i-th message of a call is answered with the messages of replies[i]; later ones with
  // nothing.
  explicit EchoService(const std::vector<std::vector<std::string>>& replies);

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* rpc) override;

 private:
  std::vector<std::vector<grpc::ByteBuffer>> replies_;
};

}  // namespace firstbyte
