#include "client/loadgen/speech_caller.h"

#include <utility>

#include "client/chunk_decoder.h"
#include "client/loadgen/timed_call.h"
#include "client/proto_time.h"
#include "codec/pcm.h"
#include "firstbyte/v1/speech.grpc.pb.h"

namespace firstbyte {
namespace {

class SpeechCall : public TimedCall<v1::SynthesizeRequest, v1::SynthesizeResponse> {
 public:
  SpeechCall(const CallPlan& plan, const CallerOptions& options, LiveCalls* live,
             std::function<void(CallRecord)> done)
      : TimedCall(plan, options, live, std::move(done)) {
    *config_.mutable_config() = plan.config;
    text_.mutable_text()->set_content(plan.text);
  }

  void Start(const Connections& connections) {
    stub_ = v1::SpeechService::NewStub(Begin(connections));
    record_.start = options_.clock->Now();
    stub_->async()->Synthesize(&context_, this);
    // Held back until the text follows, so that both travel in one packet.
    StartWrite(&config_, grpc::WriteOptions().set_buffer_hint());
    StartRead(&response_);
    StartCall();
  }

  void OnWriteDone(bool ok) override {
    if (ok && !std::exchange(text_sent_, true)) StartWriteLast(&text_, grpc::WriteOptions());
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      record_.end = options_.clock->Now();
      return;
    }
    if (response_.has_audio()) {
      const v1::AudioChunk& audio = response_.audio();
      NoteArrival(options_.clock->Now(), FromProto(audio.duration()));
      if (!record_.audible) LookForSound(audio);
    } else if (response_.has_started()) {
      sample_rate_hertz_ = response_.started().audio_format().sample_rate_hertz();
      auto decoder = ChunkDecoder::Create(response_.started().audio_format());
      if (decoder.ok()) decoder_ = *std::move(decoder);
    } else if (response_.has_summary() && response_.summary().has_timing()) {
      record_.timing = response_.summary().timing();
    }
    ReadOn();
  }

 private:
  // Decodes the head of the stream only: a generator that decodes all of it would measure itself.
  void LookForSound(const v1::AudioChunk& chunk) {
    if (decoder_ == nullptr) return;
    auto pcm16 = decoder_->Pcm16(chunk);
    if (!pcm16.ok()) return;
    std::vector<float> samples = FloatFromPcm16(*pcm16);
    head_.insert(head_.end(), samples.begin(), samples.end());
    if (auto sample = FirstAudibleSample(head_, sample_rate_hertz_)) {
      record_.audible = absl::Seconds(static_cast<double>(*sample) / sample_rate_hertz_);
      decoder_.reset();
      head_ = {};
    }
  }

  std::unique_ptr<v1::SpeechService::Stub> stub_;
  v1::SynthesizeRequest config_, text_;
  bool text_sent_ = false;
  int sample_rate_hertz_ = 0;
  std::unique_ptr<ChunkDecoder> decoder_;
  std::vector<float> head_;
};

}  // namespace

void SpeechCaller::Start(const CallPlan& plan, std::function<void(CallRecord)> done) {
  (new SpeechCall(plan, options_, &live_, std::move(done)))->Start(connections_);
}

}  // namespace firstbyte
