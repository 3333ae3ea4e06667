// A real server on a free port with the scripted model, and real client stubs against it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "firstbyte/v1/speech.grpc.pb.h"
#include "google/rpc/error_details.pb.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "model/scripted.h"
#include "server/rpc/host.h"

namespace firstbyte {

// Everything one call said.
struct Heard {
  std::vector<v1::SynthesizeResponse> responses;
  grpc::Status status;
  std::map<std::string, std::string> trailers;

  const v1::SynthesisStarted& started() const { return responses.at(0).started(); }
  const v1::SynthesisSummary& summary() const { return responses.back().summary(); }
  std::string audio() const;  // data of all audio messages
  std::vector<std::string> packets() const;
};

// What came with an error; empty messages when it did not.
google::rpc::ErrorInfo ErrorInfoOf(const grpc::Status& status);
google::rpc::BadRequest BadRequestOf(const grpc::Status& status);
google::rpc::RetryInfo RetryInfoOf(const grpc::Status& status);

// What /metrics says now, and the value of one of its series, written as it stands there.
std::string MetricsPage(const Host& host);
std::optional<double> Value(const std::string& page, const std::string& series);

// Text format, as in R"(config { seed: 1 })".
v1::SynthesizeRequest Request(const std::string& text_format);
v1::SynthesizeRequest Text(std::string content);

class RpcTest : public testing::Test {
 protected:
  RpcTest();

  // A server that serves, unless `serve` is false.
  void Start(const ScriptedOptions& model = {}, HostOptions host = {}, bool serve = true);
  void Serve(const ScriptedOptions& model = {});
  void TearDown() override;

  std::string target() const;
  // A connection of its own, not shared with other channels of the process.
  std::shared_ptr<grpc::Channel> NewChannel() const;

  // A stream that has said something and waits for more text.
  struct OpenStream {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<v1::SynthesizeRequest, v1::SynthesizeResponse>> stream;

    grpc::Status Finish();  // hears the rest
  };
  std::unique_ptr<OpenStream> Open(const std::string& tenant = "");

  Heard Synthesize(const std::vector<v1::SynthesizeRequest>& requests);
  Heard SynthesizeOnce(const std::string& text_format);

  // Nothing is left of the calls so far, and the next request gets exactly what it should.
  void ExpectUnharmed();

  // What the scripted model says for these letters, as PCM16.
  static std::string Pcm(const std::string& letters, uint64_t seed);

  std::unique_ptr<Host> host_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::SpeechService::Stub> stub_;

 private:
  int fds_ = 0;  // open after the first request; 0: not counted
};

}  // namespace firstbyte
