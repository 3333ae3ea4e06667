// A small client for SpeechService: text in, speech out, both while the other still runs.
//
//   SpeechClient client("127.0.0.1:50051");
//   v1::SynthesizeConfig config;
//   config.set_speaking_rate(1.1);
//   auto stream = client.Synthesize(config);
//   stream->Say("Hello there. ");             // any pieces, as they come
//   stream->EndText();
//   v1::SynthesizeResponse response;
//   while (stream->Next(&response)) {
//     if (response.has_audio()) Play(response.audio().data());
//   }
//   absl::Status status = stream->Finish();   // OK, or why it ended; DetailOf(status).reason
//
// Messages are those of proto/firstbyte/v1/speech.proto, where every field is explained. Nothing
// throws. Errors of the server arrive as absl::Status with reason, metadata and retry delay.
#pragma once

#include <memory>
#include <string>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "firstbyte/v1/speech.grpc.pb.h"

namespace firstbyte {

// One Synthesize call. One thread may read (Next, Finish) while another writes (Say, Flush,
// Interrupt, EndText); Cancel may come from any. Destroying an unfinished stream cancels it.
class SpeechStream {
 public:
  ~SpeechStream();

  // Sends text: UTF-8, any length, cut anywhere between characters. May block while the server has
  // enough to speak. These four return kInvalidArgument for text that is not UTF-8, and kCancelled
  // when the call is over: Finish() then says why.
  absl::Status Say(absl::string_view text);
  absl::Status Flush(absl::string_view marker_id = "");  // speak now; the id comes back in `marker`
  absl::Status Interrupt();                              // drop what is not yet spoken
  absl::Status EndText();                                // no more text: the server finishes

  // Waits for the next message. False: there is none; call Finish().
  bool Next(v1::SynthesizeResponse* response);
  // How the call ended. Call once, after Next() returned false.
  absl::Status Finish();

  void Cancel();

 private:
  friend class SpeechClient;
  SpeechStream() = default;
  absl::Status Write(const v1::SynthesizeRequest& request);

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::SynthesizeRequest, v1::SynthesizeResponse>> stream_;
  bool finished_ = false;
};

// A connection to one server. Thread-safe. Connects on first use and again after a break.
class SpeechClient {
 public:
  // `target`: host:port, or any gRPC target such as unix:/path. Plain text, no TLS.
  explicit SpeechClient(const std::string& target);

  // Sorted by name.
  absl::StatusOr<v1::ListVoicesResponse> ListVoices();

  // Starts a call; never fails here: an error comes from Finish(). `timeout` bounds the whole call.
  std::unique_ptr<SpeechStream> Synthesize(const v1::SynthesizeConfig& config,
                                           absl::Duration timeout = absl::InfiniteDuration());

 private:
  std::unique_ptr<v1::SpeechService::Stub> stub_;
};

}  // namespace firstbyte
