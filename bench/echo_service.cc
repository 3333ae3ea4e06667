#include "bench/echo_service.h"

namespace firstbyte {
namespace {

// Strictly read, write, read, ...: no two reactions of a call overlap, so no lock is needed.
class Echo : public grpc::ServerGenericBidiReactor {
 public:
  explicit Echo(const std::vector<grpc::ByteBuffer>& replies) : replies_(replies) {
    StartRead(&incoming_);
  }
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    if (next_ < replies_.size()) return StartWrite(&replies_[next_++]);
    StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    StartRead(&incoming_);
  }
  void OnDone() override { delete this; }

 private:
  const std::vector<grpc::ByteBuffer>& replies_;
  size_t next_ = 0;
  grpc::ByteBuffer incoming_;
};

std::vector<grpc::ByteBuffer> Buffers(const std::vector<std::string>& texts) {
  std::vector<grpc::ByteBuffer> buffers;
  for (const std::string& text : texts) {
    grpc::Slice slice(text);
    buffers.emplace_back(&slice, 1);
  }
  return buffers;
}

}  // namespace

EchoService::EchoService(std::vector<std::string> replies) : replies_(Buffers(replies)) {}

grpc::ServerGenericBidiReactor* EchoService::CreateReactor(grpc::GenericCallbackServerContext*) {
  return new Echo(replies_);
}

}  // namespace firstbyte
