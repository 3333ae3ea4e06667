// How the load generator reaches the server.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/loadgen/connection_options.h"

namespace firstbyte {

// Connections to one server. Thread-safe.
class Connections {
 public:
  // One line says why not: kUnavailable when nobody answers within 5 s or the TLS handshake fails,
  // kUnauthenticated or kPermissionDenied when the server does not let us in, kInvalidArgument for
  // files that cannot be read.
  static absl::StatusOr<std::unique_ptr<Connections>> Open(const ConnectionOptions& options);

  const std::shared_ptr<grpc::Channel>& channel(int stream) const {
    return channels_[static_cast<size_t>(stream) % channels_.size()];
  }
  void Authorise(grpc::ClientContext* context) const;
  const ConnectionOptions& options() const { return options_; }

 private:
  explicit Connections(const ConnectionOptions& options) : options_(options) {}

  absl::Status Connect(int index) const;  // the first one asks whether we are let in, too

  const ConnectionOptions options_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
};

// A connection that can be cut: then the server sees a closed socket and no gRPC message. Plain
// text over TCP only.
class FragileConnection {
 public:
  static absl::StatusOr<std::unique_ptr<FragileConnection>> Open(const std::string& target);
  ~FragileConnection();

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  void Cut();

 private:
  FragileConnection() = default;

  int fd_ = -1;  // of the same socket as gRPC's own, which gRPC may close any time
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace firstbyte
