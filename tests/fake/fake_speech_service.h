// A SpeechService in the test's own process: ten milliseconds of tone a byte of text.
//
// Voices script what goes wrong: "full" (RESOURCE_EXHAUSTED, retry in 250 ms), "broken" (INTERNAL
// after the first chunk), "endless" (speaks until cancelled), any other unknown name NOT_FOUND.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>

#include "base/mutex.h"
#include "firstbyte/v1/speech.grpc.pb.h"

namespace firstbyte {

class FakeSpeechService : public v1::SpeechService::Service {
 public:
  static constexpr int kSampleRate = 16000;
  static constexpr int kSamplesPerByte = 160;

  // What `bytes` bytes of text sound like after `skipped_bytes` others.
  static std::vector<float> Tone(int bytes, int skipped_bytes = 0);

  grpc::Status Synthesize(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::SynthesizeResponse, v1::SynthesizeRequest>* stream) override;
  grpc::Status ListVoices(grpc::ServerContext* context, const v1::ListVoicesRequest* request,
                          v1::ListVoicesResponse* response) override;

  // What clients sent, over all calls.
  std::vector<std::string> texts() const;
  v1::SynthesizeConfig last_config() const;
  int cancelled() const { return cancelled_; }

  // From now on calls without it are refused (UNAUTHENTICATED, TOKEN_REFUSED).
  void RequireToken(const std::string& token);

 private:
  grpc::Status CheckToken(const grpc::ServerContext& context) const;

  mutable Mutex mu_;
  std::string token_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> texts_ ABSL_GUARDED_BY(mu_);
  v1::SynthesizeConfig last_config_ ABSL_GUARDED_BY(mu_);
  std::atomic<int> cancelled_{0};
};

// The service on a free port of the loopback.
class FakeSpeechServer {
 public:
  explicit FakeSpeechServer(const std::shared_ptr<grpc::ServerCredentials>& credentials =
                                grpc::InsecureServerCredentials());
  ~FakeSpeechServer();

  const std::string& target() const { return target_; }
  FakeSpeechService& service() { return service_; }

 private:
  FakeSpeechService service_;
  std::unique_ptr<grpc::Server> server_;
  std::string target_;
};

}  // namespace firstbyte
