// Answers every method that nobody else does, with an error that says so.
#pragma once

#include "grpcpp/generic/async_generic_service.h"

namespace firstbyte {

// UNIMPLEMENTED with ErrorInfo: NOT_SUPPORTED for AdminService, which has a port of its own,
// UNKNOWN_METHOD for any other. Thread-safe.
class UnservedMethods : public grpc::CallbackGenericService {
 public:
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* rpc) override;
};

}  // namespace firstbyte
