// stream_bench [calls]: what the server itself adds to the time to first audio.
//
// The scripted model costs nothing, so from sending a clause to its first audio everything is
// transport: reactor, text strand, lane, encoder, outbox. Beside it, call by call in the same
// process, a bare gRPC echo that answers the same messages with as many bytes. DESIGN.md's bar on
// the difference: p50 <= 0.25 ms, p99 <= 1 ms.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "bench/echo_service.h"
#include "firstbyte/v1/speech.grpc.pb.h"
#include "grpcpp/grpcpp.h"
#include "model/scripted.h"
#include "server/rpc/host.h"

namespace firstbyte {
namespace {

using Clock = std::chrono::steady_clock;
using Stub = v1::SpeechService::Stub;

constexpr int kWarmUp = 200;
constexpr double kBarP50Ms = 0.25, kBarP99Ms = 1;

void Check(bool ok, const std::string& what) {
  if (ok) return;
  std::fprintf(stderr, "stream_bench: %s\n", what.c_str());
  std::exit(1);
}

// Bytes that both servers send: `started`, then one chunk of 40 ms.
std::vector<std::vector<std::string>> Replies() {
  v1::SynthesizeResponse started, audio;
  started.mutable_started()->set_request_id(std::string(36, 'x'));
  started.mutable_started()->set_model("scripted");
  started.mutable_started()->set_voice("tone");
  started.mutable_started()->mutable_audio_format()->set_sample_rate_hertz(16000);
  audio.mutable_audio()->set_data(std::string(1280, 'a'));
  return {{started.SerializeAsString()}, {audio.SerializeAsString()}};
}

std::unique_ptr<Stub> Connect(int port) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return v1::SpeechService::NewStub(grpc::CreateCustomChannel(
      absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials(), arguments));
}

// Milliseconds from sending a whole clause to its first audio, on a stream that is open.
double FirstAudioMs(Stub* stub) {
  v1::SynthesizeRequest config, text;
  config.mutable_config();
  text.mutable_text()->set_content("Hello there. And");
  v1::SynthesizeResponse response;
  grpc::ClientContext context;
  auto stream = stub->Synthesize(&context);
  Check(stream->Write(config) && stream->Read(&response) && response.has_started(), "no `started`");
  const Clock::time_point begin = Clock::now();
  Check(stream->Write(text) && stream->Read(&response) && response.has_audio(), "no audio");
  const Clock::time_point end = Clock::now();
  stream->WritesDone();
  while (stream->Read(&response)) {
  }
  const grpc::Status status = stream->Finish();
  Check(status.ok(), status.error_message());
  return std::chrono::duration<double, std::milli>(end - begin).count();
}

double Percentile(const std::vector<double>& sorted, double p) {
  return sorted[std::min(sorted.size() - 1, static_cast<size_t>(p * sorted.size()))];
}

struct Percentiles {
  explicit Percentiles(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    p50 = Percentile(values, .5);
    p95 = Percentile(values, .95);
    p99 = Percentile(values, .99);
  }
  double p50, p95, p99;
};

void PrintRow(const char* name, double p50, double p95, double p99) {
  std::printf("%-24s %8.3f %8.3f %8.3f\n", name, p50, p95, p99);
}

int Report(const Percentiles& server, const Percentiles& echo) {
  const double more_p50 = server.p50 - echo.p50, more_p99 = server.p99 - echo.p99;
  std::printf("%-24s %8s %8s %8s\n", "to first audio, ms", "p50", "p95", "p99");
  PrintRow("firstbyte, scripted", server.p50, server.p95, server.p99);
  PrintRow("bare gRPC echo", echo.p50, echo.p95, echo.p99);
  PrintRow("difference", more_p50, server.p95 - echo.p95, more_p99);
  const bool held = more_p50 <= kBarP50Ms && more_p99 <= kBarP99Ms;
  std::printf("bar: p50 <= %.2f ms, p99 <= %.2f ms: %s\n", kBarP50Ms, kBarP99Ms,
              held ? "held" : "MISSED");
  return held ? 0 : 1;
}

int Run(int calls) {
  Check(ConfigureLog(LogFormat::kText, "error").ok(), "log");
  auto host = Host::Listen({});
  Check(host.ok(), host.status().ToString());
  std::vector<std::vector<std::unique_ptr<Model>>> lanes(1);
  lanes[0].push_back(MakeScriptedModel());
  Check((*host)->Serve(std::move(lanes)).ok(), "the scripted model does not serve");

  EchoService echo_service(Replies());
  int echo_port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &echo_port);
  builder.RegisterCallbackGenericService(&echo_service);
  auto echo_server = builder.BuildAndStart();

  auto server_stub = Connect((*host)->port()), echo_stub = Connect(echo_port);
  std::vector<double> server_ms, echo_ms;
  for (int i = 0; i < kWarmUp + calls; ++i) {  // by turns, so that both see the same machine
    const double server = FirstAudioMs(server_stub.get()), echo = FirstAudioMs(echo_stub.get());
    if (i < kWarmUp) continue;
    server_ms.push_back(server);
    echo_ms.push_back(echo);
  }
  echo_server->Shutdown();
  return Report(Percentiles(server_ms), Percentiles(echo_ms));
}

}  // namespace
}  // namespace firstbyte

int main(int argc, char** argv) {
  const int calls = argc > 1 ? std::atoi(argv[1]) : 3000;
  if (calls < 1) {
    std::fprintf(stderr, "usage: stream_bench [calls]\n");
    return 2;
  }
  return firstbyte::Run(calls);
}
