#include "client/loadgen/speech_call.h"

#include <memory>
#include <utility>

#include <grpcpp/client_context.h>

#include "base/clock.h"
#include "client/chunk_decoder.h"
#include "client/rpc_status.h"
#include "codec/pcm.h"

namespace firstbyte {
namespace {

absl::Duration FromProto(const google::protobuf::Duration& d) {
  return absl::Seconds(d.seconds()) + absl::Nanoseconds(d.nanos());
}

// Owns itself: deleted in OnDone, which gRPC calls last.
class SpeechCall : public grpc::ClientBidiReactor<v1::SynthesizeRequest, v1::SynthesizeResponse> {
 public:
  SpeechCall(const v1::SynthesizeConfig& config, const std::string& text, absl::Duration timeout,
             std::function<void(CallRecord)> done)
      : done_(std::move(done)) {
    *config_.mutable_config() = config;
    text_.mutable_text()->set_content(text);
    context_.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  }

  void Start(v1::SpeechService::Stub* stub) {
    record_.start = Clock::Steady().Now();
    stub->async()->Synthesize(&context_, this);
    // Held back until the text follows, so that both travel in one packet.
    StartWrite(&config_, grpc::WriteOptions().set_buffer_hint());
    StartRead(&response_);
    StartCall();
  }

  void OnWriteDone(bool ok) override {
    if (ok && !std::exchange(text_sent_, true)) StartWriteLast(&text_, grpc::WriteOptions());
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (response_.has_audio()) {
      record_.arrivals.push_back({Clock::Steady().Now(), FromProto(response_.audio().duration())});
      if (!record_.audible) LookForSound(response_.audio());
    } else if (response_.has_started()) {
      sample_rate_hertz_ = response_.started().audio_format().sample_rate_hertz();
      auto decoder = ChunkDecoder::Create(response_.started().audio_format());
      if (decoder.ok()) decoder_ = *std::move(decoder);
    } else if (response_.has_summary()) {
      record_.summary = response_.summary();
    }
    StartRead(&response_);
  }

  void OnDone(const grpc::Status& status) override {
    record_.end = Clock::Steady().Now();
    record_.status = FromGrpc(status);
    done_(std::move(record_));
    delete this;
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

  const std::function<void(CallRecord)> done_;
  grpc::ClientContext context_;
  v1::SynthesizeRequest config_, text_;
  v1::SynthesizeResponse response_;
  bool text_sent_ = false;
  CallRecord record_;
  int sample_rate_hertz_ = 0;
  std::unique_ptr<ChunkDecoder> decoder_;
  std::vector<float> head_;
};

}  // namespace

std::optional<absl::Duration> CallRecord::ttfb() const {
  if (arrivals.empty()) return std::nullopt;
  return arrivals.front().at - start;
}

void StartSpeechCall(v1::SpeechService::Stub* stub, const v1::SynthesizeConfig& config,
                     const std::string& text, absl::Duration timeout,
                     std::function<void(CallRecord)> done) {
  (new SpeechCall(config, text, timeout, std::move(done)))->Start(stub);
}

}  // namespace firstbyte
