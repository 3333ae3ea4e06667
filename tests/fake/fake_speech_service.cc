#include "tests/fake/fake_speech_service.h"

#include <algorithm>
#include <cmath>

#include <grpcpp/server_builder.h>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "codec/audio_encoder.h"
#include "tests/fake/refuse.h"

namespace firstbyte {
namespace {

constexpr size_t kChunkBytes = 1000;  // of text in one audio message, which gRPC limits to 4 MiB

using Stream = grpc::ServerReaderWriter<v1::SynthesizeResponse, v1::SynthesizeRequest>;

google::protobuf::Duration ToProto(absl::Duration d) {
  google::protobuf::Duration proto;
  proto.set_seconds(absl::IDivDuration(d, absl::Seconds(1), &d));
  proto.set_nanos(static_cast<int>(absl::ToInt64Nanoseconds(d)));
  return proto;
}

absl::Duration SamplesToTime(int64_t samples) {
  return absl::Seconds(1) * samples / FakeSpeechService::kSampleRate;
}

AudioFormat FormatOf(const v1::AudioConfig& audio) {
  AudioFormat format{.sample_rate_hertz = FakeSpeechService::kSampleRate};
  if (audio.encoding() == v1::AUDIO_ENCODING_WAV) format.encoding = AudioEncoding::kWav;
  if (audio.encoding() == v1::AUDIO_ENCODING_OPUS) format.encoding = AudioEncoding::kOpus;
  return format;
}

// One call's way out: encodes and numbers the chunks.
class Speaker {
 public:
  Speaker(Stream* stream, const v1::SynthesizeConfig& config)
      : stream_(stream), encoder_(*NewAudioEncoder(FormatOf(config.audio()))) {
    v1::SynthesizeResponse response;
    auto& started = *response.mutable_started();
    started.set_model("fake");
    started.set_voice("tone");
    started.set_seed(config.sampling().has_seed() ? config.sampling().seed() : 7);
    auto& format = *started.mutable_audio_format();
    format.set_encoding(config.audio().encoding() == v1::AUDIO_ENCODING_UNSPECIFIED
                            ? v1::AUDIO_ENCODING_PCM16
                            : config.audio().encoding());
    format.set_sample_rate_hertz(FakeSpeechService::kSampleRate);
    format.set_channel_count(1);
    format.set_opus_pre_skip_samples(encoder_->pre_skip());
    format.set_container_header(encoder_->header());
    stream_->Write(response);
  }

  // False once the client is gone.
  bool Speak(int bytes) {
    std::vector<float> tone = FakeSpeechService::Tone(bytes, said_);
    said_ += bytes;
    return Send(encoder_->Append(tone));
  }

  void Mark(const std::string& id) {
    v1::SynthesizeResponse response;
    response.mutable_marker()->set_marker_id(id);
    *response.mutable_marker()->mutable_audio_offset() = ToProto(SamplesToTime(samples_));
    stream_->Write(response);
  }

  void End() {
    Send(encoder_->Finish());
    v1::SynthesizeResponse response;
    auto& summary = *response.mutable_summary();
    summary.set_finish_reason(v1::FINISH_REASON_COMPLETED);
    *summary.mutable_audio_duration() = ToProto(SamplesToTime(samples_));
    summary.set_chunk_count(sequence_);
    summary.mutable_timing()->set_realtime_factor(0.25);
    *summary.mutable_timing()->mutable_first_byte_duration() = ToProto(absl::Milliseconds(1));
    stream_->Write(response);
  }

 private:
  bool Send(EncodedAudio encoded) {
    if (encoded.empty()) return true;
    v1::SynthesizeResponse response;
    auto& audio = *response.mutable_audio();
    audio.set_sequence(sequence_++);
    audio.set_data(encoded.data);
    for (const std::string& packet : encoded.packets) audio.add_packets(packet);
    *audio.mutable_start_offset() = ToProto(SamplesToTime(samples_));
    *audio.mutable_duration() = ToProto(SamplesToTime(encoded.samples));
    samples_ += encoded.samples;
    return stream_->Write(response);
  }

  Stream* const stream_;
  const std::unique_ptr<AudioEncoder> encoder_;
  int said_ = 0;
  int64_t sequence_ = 0, samples_ = 0;
};

}  // namespace

std::vector<float> FakeSpeechService::Tone(int bytes, int skipped_bytes) {
  std::vector<float> tone(bytes * kSamplesPerByte);
  for (size_t i = 0; i < tone.size(); ++i) {
    double at = static_cast<double>(i + int64_t{skipped_bytes} * kSamplesPerByte) / kSampleRate;
    tone[i] = static_cast<float>(0.3 * std::sin(2 * M_PI * 220 * at));
  }
  return tone;
}

void FakeSpeechService::RequireToken(const std::string& token) {
  MutexLock lock(&mu_);
  token_ = token;
}

grpc::Status FakeSpeechService::CheckToken(const grpc::ServerContext& context) const {
  MutexLock lock(&mu_);
  if (token_.empty()) return grpc::Status::OK;
  auto sent = context.client_metadata().find("authorization");
  if (sent != context.client_metadata().end() && sent->second == "Bearer " + token_) {
    return grpc::Status::OK;
  }
  return Refuse(grpc::StatusCode::UNAUTHENTICATED, "TOKEN_REFUSED", "this token is unknown");
}

grpc::Status FakeSpeechService::Synthesize(grpc::ServerContext* context, Stream* stream) {
  if (grpc::Status status = CheckToken(*context); !status.ok()) return status;
  v1::SynthesizeRequest request;
  if (!stream->Read(&request) || !request.has_config()) {
    return Refuse(grpc::StatusCode::INVALID_ARGUMENT, "CONFIG_MISSING", "no config");
  }
  const v1::SynthesizeConfig config = request.config();
  const std::string& voice = config.voice();
  {
    MutexLock lock(&mu_);
    last_config_ = config;
  }
  if (voice == "full") {
    return Refuse(grpc::StatusCode::RESOURCE_EXHAUSTED, "NO_SLOT", "all slots are taken",
                  absl::Milliseconds(250));
  }
  if (!voice.empty() && voice != "tone" && voice != "broken" && voice != "endless") {
    return Refuse(grpc::StatusCode::NOT_FOUND, "VOICE_NOT_FOUND",
                  absl::StrCat("there is no voice '", voice, "'"));
  }
  Speaker speaker(stream, config);
  bool spoke = false;
  while (stream->Read(&request)) {
    if (request.has_flush()) speaker.Mark(request.flush().marker_id());
    const std::string& text = request.text().content();
    if (text.empty()) continue;
    {
      MutexLock lock(&mu_);
      texts_.push_back(text);
    }
    for (size_t at = 0; at < text.size(); at += kChunkBytes) {
      speaker.Speak(static_cast<int>(std::min(kChunkBytes, text.size() - at)));
    }
    spoke = true;
    if (voice == "broken") return Refuse(grpc::StatusCode::INTERNAL, "DEVICE_LOST", "it broke");
    while (voice == "endless" && !context->IsCancelled() && speaker.Speak(100)) {
    }
  }
  if (context->IsCancelled()) ++cancelled_;
  if (!spoke) {
    return Refuse(grpc::StatusCode::INVALID_ARGUMENT, "NO_SPEAKABLE_TEXT", "nothing to speak");
  }
  speaker.End();
  return grpc::Status::OK;
}

grpc::Status FakeSpeechService::ListVoices(grpc::ServerContext* context,
                                           const v1::ListVoicesRequest*,
                                           v1::ListVoicesResponse* response) {
  if (grpc::Status status = CheckToken(*context); !status.ok()) return status;
  for (const char* name : {"tone", "broken", "endless", "full"}) {
    auto& voice = *response->add_voices();
    voice.set_name(name);
    voice.set_model("fake");
    voice.set_description("a tone for tests");
    voice.add_language_codes("en-US");
    voice.set_sample_rate_hertz(kSampleRate);
    voice.set_is_default(voice.name() == "tone");
  }
  return grpc::Status::OK;
}

std::vector<std::string> FakeSpeechService::texts() const {
  MutexLock lock(&mu_);
  return texts_;
}

v1::SynthesizeConfig FakeSpeechService::last_config() const {
  MutexLock lock(&mu_);
  return last_config_;
}

FakeSpeechServer::FakeSpeechServer(const std::shared_ptr<grpc::ServerCredentials>& credentials) {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", credentials, &port);
  builder.RegisterService(&service_);
  server_ = builder.BuildAndStart();
  target_ = absl::StrCat("127.0.0.1:", port);
}

FakeSpeechServer::~FakeSpeechServer() { server_->Shutdown(std::chrono::system_clock::now()); }

}  // namespace firstbyte
