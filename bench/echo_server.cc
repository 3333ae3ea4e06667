// echo_server [chunks] [milliseconds of each]: speech that costs nothing, to find out how much load
// loadgen itself can make (bench/run_sweeps --parts ceiling).
//
// Answers every Synthesize with the same chunks of a tone, all at once, and ends well. Prints its
// port; runs until it is killed.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/echo_service.h"
#include "firstbyte/v1/speech.pb.h"
#include "grpcpp/grpcpp.h"

namespace firstbyte {
namespace {

constexpr int kSampleRate = 16000;

std::vector<std::vector<std::string>> Replies(int chunks, int chunk_ms) {
  v1::SynthesizeResponse started, audio, summary;
  auto& format = *started.mutable_started()->mutable_audio_format();
  format.set_encoding(v1::AUDIO_ENCODING_PCM16);
  format.set_sample_rate_hertz(kSampleRate);
  format.set_channel_count(1);
  std::string tone;
  for (int i = 0; i < kSampleRate / 1000 * chunk_ms; ++i) tone += std::string("\0\x20", 2);
  audio.mutable_audio()->set_data(tone);
  audio.mutable_audio()->mutable_duration()->set_nanos(chunk_ms * 1'000'000);
  summary.mutable_summary()->set_finish_reason(v1::FINISH_REASON_COMPLETED);
  std::vector<std::string> answer(chunks, audio.SerializeAsString());
  answer.push_back(summary.SerializeAsString());
  return {{started.SerializeAsString()}, answer};
}

int Serve(int chunks, int chunk_ms) {
  EchoService service(Replies(chunks, chunk_ms));
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterCallbackGenericService(&service);
  auto server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  std::printf("%d\n", port);
  std::fflush(stdout);
  server->Wait();
  return 0;
}

}  // namespace
}  // namespace firstbyte

int main(int argc, char** argv) {
  const int chunks = argc > 1 ? std::atoi(argv[1]) : 16,
            chunk_ms = argc > 2 ? std::atoi(argv[2]) : 250;
  if (chunks < 1 || chunk_ms < 1 || chunk_ms > 999) {
    std::fprintf(stderr, "usage: echo_server [chunks] [milliseconds of each, under 1000]\n");
    return 2;
  }
  return firstbyte::Serve(chunks, chunk_ms);
}
