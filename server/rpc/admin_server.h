// The port that AdminService has to itself: answers while the server loads and while it drains.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "grpcpp/server.h"
#include "server/rpc/admin_service.h"
#include "server/rpc/unserved.h"

namespace firstbyte {

class AdminServer {
 public:
  // `address`: as RpcServer's. kUnavailable says why the port cannot be had.
  static absl::StatusOr<std::unique_ptr<AdminServer>> Start(const std::string& address,
                                                            AdminOptions options);
  // Calls that do not end within a moment are cancelled. No call is left.
  ~AdminServer();

  int port() const { return port_; }
  AdminService& service() { return service_; }

 private:
  explicit AdminServer(AdminOptions options) : service_(std::move(options)) {}

  AdminService service_;
  UnservedMethods unserved_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace firstbyte
