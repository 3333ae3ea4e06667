#include "tests/client/loadgen/scripted_service.h"

#include <chrono>

#include <grpcpp/server_builder.h>

#include "absl/strings/str_cat.h"
#include "tests/fake/refuse.h"

namespace firstbyte {
namespace {

constexpr int kSampleRate = 16000;

void Set(absl::Duration d, google::protobuf::Duration* proto) {
  proto->set_seconds(absl::IDivDuration(d, absl::Seconds(1), &d));
  proto->set_nanos(static_cast<int>(absl::ToInt64Nanoseconds(d)));
}

std::string Pcm16(absl::Duration media, bool silent) {
  const auto samples = absl::ToDoubleSeconds(media) * kSampleRate;
  std::string data;
  for (int i = 0; i < static_cast<int>(samples + 0.5); ++i) {
    data += silent ? std::string(2, '\0') : std::string("\0\x20", 2);  // a quarter of full scale
  }
  return data;
}

}  // namespace

grpc::Status ScriptedSpeech::Synthesize(
    grpc::ServerContext*,
    grpc::ServerReaderWriter<v1::SynthesizeResponse, v1::SynthesizeRequest>* stream) {
  v1::SynthesizeRequest request;
  while (stream->Read(&request)) {  // config, text, end of text
  }
  if (refusals_-- > 0) {
    return Refuse(grpc::StatusCode::RESOURCE_EXHAUSTED, "NO_SLOT", "full", retry_after_);
  }
  v1::SynthesizeResponse response;
  auto& format = *response.mutable_started()->mutable_audio_format();
  format.set_encoding(v1::AUDIO_ENCODING_PCM16);
  format.set_sample_rate_hertz(kSampleRate);
  format.set_channel_count(1);
  stream->Write(response);
  int readings = clock_->readings();
  for (const ScriptedChunk& chunk : script_) {
    clock_->Advance(chunk.after);
    response.mutable_audio()->set_data(Pcm16(chunk.media, chunk.silent));
    Set(chunk.media, response.mutable_audio()->mutable_duration());
    stream->Write(response);
    clock_->WaitForReadings(++readings);  // the client has stamped it: time may go on
  }
  v1::Timing& timing = *response.mutable_summary()->mutable_timing();
  Set(script_[0].after, timing.mutable_first_byte_duration());
  timing.set_realtime_factor(0.5);
  stream->Write(response);
  return grpc::Status::OK;
}

grpc::Status ScriptedWorld::StepWorld(
    grpc::ServerContext*,
    grpc::ServerReaderWriter<v1::StepWorldResponse, v1::StepWorldRequest>* stream) {
  v1::StepWorldRequest request;
  stream->Read(&request);
  v1::StepWorldResponse response;
  response.mutable_opened()->set_fps(20);
  response.mutable_opened()->set_frames_per_block(2);
  stream->Write(response);
  int64_t blocks = 0;
  while (stream->Read(&request)) {
    clock_->Advance(delay_);
    if (++blocks % 3 == 0) {
      response.mutable_notice()->set_kind(v1::NOTICE_KIND_LATE);
      stream->Write(response);
    }
    v1::Block& block = *response.mutable_block();
    block.Clear();
    block.set_applied_action_sequence(request.actions().sequence());
    block.add_frames();
    block.add_frames();
    stream->Write(response);
  }
  response.mutable_summary()->set_block_count(blocks);
  stream->Write(response);
  return grpc::Status::OK;
}

LoopbackServer::LoopbackServer(grpc::Service* service) {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(service);
  server_ = builder.BuildAndStart();
  target_ = absl::StrCat("127.0.0.1:", port);
}

LoopbackServer::~LoopbackServer() { server_->Shutdown(std::chrono::system_clock::now()); }

}  // namespace firstbyte
