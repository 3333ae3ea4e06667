#include "client/speech_client.h"

#include <grpcpp/create_channel.h>

#include "base/error.h"
#include "client/rpc_status.h"
#include "client/unary_call.h"
#include "client/utf8.h"

namespace firstbyte {
namespace {

constexpr size_t kMaxPiece = 32 << 10;  // the server takes 64 KiB a message

}  // namespace

SpeechStream::~SpeechStream() {
  if (finished_) return;
  // gRPC wants every call finished; without the cancel this would wait for the server.
  context_.TryCancel();
  v1::SynthesizeResponse unread;
  while (stream_->Read(&unread)) {
  }
  stream_->Finish();
}

absl::Status SpeechStream::Write(const v1::SynthesizeRequest& request) {
  if (stream_->Write(request)) return absl::OkStatus();
  return absl::CancelledError("the call is over");
}

absl::Status SpeechStream::Say(absl::string_view text) {
  if (!IsUtf8(text)) {
    return Invalid("INVALID_UTF8", "the text is not UTF-8");
  }
  while (!text.empty()) {
    size_t size = text.size() <= kMaxPiece ? text.size() : CompleteUtf8Prefix(text, kMaxPiece);
    v1::SynthesizeRequest request;
    request.mutable_text()->set_content(text.data(), size);
    if (auto status = Write(request); !status.ok()) return status;
    text.remove_prefix(size);
  }
  return absl::OkStatus();
}

absl::Status SpeechStream::Flush(absl::string_view marker_id) {
  v1::SynthesizeRequest request;
  request.mutable_flush()->set_marker_id(marker_id.data(), marker_id.size());
  return Write(request);
}

absl::Status SpeechStream::Interrupt() {
  v1::SynthesizeRequest request;
  request.mutable_interrupt();
  return Write(request);
}

absl::Status SpeechStream::EndText() {
  return stream_->WritesDone() ? absl::OkStatus() : absl::CancelledError("the call is over");
}

bool SpeechStream::Next(v1::SynthesizeResponse* response) { return stream_->Read(response); }

absl::Status SpeechStream::Finish() {
  finished_ = true;
  return FromGrpc(stream_->Finish());
}

void SpeechStream::Cancel() { context_.TryCancel(); }

SpeechClient::SpeechClient(const std::string& target)
    : stub_(v1::SpeechService::NewStub(
          grpc::CreateChannel(target, grpc::InsecureChannelCredentials()))) {}

absl::StatusOr<v1::ListVoicesResponse> SpeechClient::ListVoices() {
  return UnaryCall(*stub_, &v1::SpeechService::Stub::ListVoices, {});
}

std::unique_ptr<SpeechStream> SpeechClient::Synthesize(const v1::SynthesizeConfig& config,
                                                       absl::Duration timeout) {
  std::unique_ptr<SpeechStream> stream(new SpeechStream);
  if (timeout != absl::InfiniteDuration()) {
    stream->context_.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  }
  stream->stream_ = stub_->Synthesize(&stream->context_);
  v1::SynthesizeRequest first;
  *first.mutable_config() = config;
  stream->stream_->Write(first);  // a failure shows in Finish()
  return stream;
}

}  // namespace firstbyte
