// The gRPC calls of a load generator that have not ended.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <grpcpp/client_context.h>

#include "base/mutex.h"
#include "client/loadgen/connection.h"

namespace firstbyte {

// Thread-safe. A call is Added before it starts, Forgotten when its context is about to go, and has
// Left when it touches nothing any more.
class LiveCalls {
 public:
  ~LiveCalls() {  // waits until all have left
    MutexLock lock(&mu_);
    while (count_ > 0) changed_.Wait(&mu_);
  }

  void Add(grpc::ClientContext* context) {
    MutexLock lock(&mu_);
    contexts_.insert(context);
    ++count_;
  }
  // Whether CancelAll had cancelled it.
  bool Forget(grpc::ClientContext* context) {
    MutexLock lock(&mu_);
    contexts_.erase(context);
    return cancelled_.erase(context) > 0;
  }
  void Leave() {
    MutexLock lock(&mu_);
    if (--count_ == 0) changed_.NotifyAll();
  }
  // A connection of its own for one call; null when there is none to be had. It is kept until the
  // end, when no call lives: gRPC 1.51 aborts now and then when the last reference to a channel
  // that was made from a socket goes in a callback, while the socket is being closed.
  std::shared_ptr<FragileConnection> OpenFragile(const std::string& target) {
    auto opened = FragileConnection::Open(target);
    if (!opened.ok()) return nullptr;
    std::shared_ptr<FragileConnection> connection = *std::move(opened);
    MutexLock lock(&mu_);
    kept_.push_back(connection);
    return connection;
  }
  void CancelAll() {
    MutexLock lock(&mu_);
    for (grpc::ClientContext* context : contexts_) context->TryCancel();
    cancelled_ = contexts_;
  }

 private:
  Mutex mu_;
  CondVar changed_;
  std::set<grpc::ClientContext*> contexts_ ABSL_GUARDED_BY(mu_), cancelled_ ABSL_GUARDED_BY(mu_);
  int count_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<std::shared_ptr<FragileConnection>> kept_ ABSL_GUARDED_BY(mu_);
};

}  // namespace firstbyte
