#include "bench/echo_service.h"

namespace firstbyte {
namespace {

// Strictly read, write what answers it, read, ...: no two reactions of a call overlap, so no lock
// is needed.
class Echo : public grpc::ServerGenericBidiReactor {
 public:
  explicit Echo(const std::vector<std::vector<grpc::ByteBuffer>>& replies) : replies_(replies) {
    StartRead(&incoming_);
  }
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    ++read_;
    written_ = 0;
    WriteOrRead();
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    WriteOrRead();
  }
  void OnDone() override { delete this; }

 private:
  void WriteOrRead() {
    if (read_ > replies_.size() || written_ == replies_[read_ - 1].size()) {
      StartRead(&incoming_);
    } else {
      StartWrite(&replies_[read_ - 1][written_++]);
    }
  }

  const std::vector<std::vector<grpc::ByteBuffer>>& replies_;
  size_t read_ = 0, written_ = 0;  // messages; of the answer to the last one
  grpc::ByteBuffer incoming_;
};

}  // namespace

EchoService::EchoService(const std::vector<std::vector<std::string>>& replies) {
  for (const std::vector<std::string>& answer : replies) {
    std::vector<grpc::ByteBuffer>& buffers = replies_.emplace_back();
    for (const std::string& text : answer) {
      grpc::Slice slice(text);
      buffers.emplace_back(&slice, 1);
    }
  }
}

grpc::ServerGenericBidiReactor* EchoService::CreateReactor(grpc::GenericCallbackServerContext*) {
  return new Echo(replies_);
}

}  // namespace firstbyte
