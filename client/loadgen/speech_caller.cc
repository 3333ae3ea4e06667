#include "client/loadgen/speech_caller.h"

#include <utility>

#include <grpcpp/alarm.h>

#include "client/chunk_decoder.h"
#include "client/rpc_status.h"
#include "codec/pcm.h"
#include "firstbyte/v1/speech.grpc.pb.h"

namespace firstbyte {
namespace {

constexpr uint64_t kMostChunksHeard = 8;  // by a client that leaves early

absl::Duration FromProto(const google::protobuf::Duration& d) {
  return absl::Seconds(d.seconds()) + absl::Nanoseconds(d.nanos());
}

// Owns itself: deleted in OnDone, which gRPC calls last.
class SpeechCall : public grpc::ClientBidiReactor<v1::SynthesizeRequest, v1::SynthesizeResponse> {
 public:
  SpeechCall(const CallPlan& plan, const CallerOptions& options, LiveCalls* live,
             std::function<void(CallRecord)> done)
      : options_(options),
        live_(live),
        done_(std::move(done)),
        leave_after_(1 + plan.seed % kMostChunksHeard) {
    *config_.mutable_config() = plan.config;
    text_.mutable_text()->set_content(plan.text);
    record_ = RecordOf(plan);
  }

  void Start(const Connections& connections) {
    if (record_.behaviour == Behaviour::kDisconnect) {
      fragile_ = live_->OpenFragile(connections.options().target);
    }
    const std::shared_ptr<grpc::Channel>& channel =
        fragile_ != nullptr ? fragile_->channel() : connections.channel(record_.stream);
    connections.Authorise(&context_);
    context_.set_deadline(absl::ToChronoTime(absl::Now() + options_.timeout));
    live_->Add(&context_);
    stub_ = v1::SpeechService::NewStub(channel);
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
      record_.arrivals.push_back({options_.clock->Now(), FromProto(audio.duration())});
      if (!record_.audible) LookForSound(audio);
      if (record_.arrivals.size() == leave_after_) Leave();
    } else if (response_.has_started()) {
      sample_rate_hertz_ = response_.started().audio_format().sample_rate_hertz();
      auto decoder = ChunkDecoder::Create(response_.started().audio_format());
      if (decoder.ok()) decoder_ = *std::move(decoder);
    } else if (response_.has_summary() && response_.summary().has_timing()) {
      record_.timing = response_.summary().timing();
    }
    ReadOn();
  }

  void OnDone(const grpc::Status& status) override {
    record_.status = FromGrpc(status);
    if (live_->Forget(&context_) || left_) record_.abandoned = !status.ok();
    done_(std::move(record_));
    LiveCalls* live = live_;
    delete this;
    live->Leave();
  }

 private:
  void Leave() {
    if (record_.behaviour == Behaviour::kCancel) context_.TryCancel();
    if (record_.behaviour == Behaviour::kDisconnect && fragile_ != nullptr) fragile_->Cut();
    left_ = record_.behaviour == Behaviour::kCancel || fragile_ != nullptr;
  }

  void ReadOn() {
    if (record_.behaviour != Behaviour::kReadSlowly || record_.arrivals.empty()) {
      StartRead(&response_);
      return;
    }
    AddHold();                                 // the alarm is a thread of its own
    alarm_ = std::make_unique<grpc::Alarm>();  // the last one's callback may not have returned
    alarm_->Set(absl::ToChronoTime(absl::Now() + options_.slow_read), [this](bool) {
      StartRead(&response_);
      RemoveHold();
    });
  }

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

  const CallerOptions options_;
  LiveCalls* const live_;
  const std::function<void(CallRecord)> done_;
  const uint64_t leave_after_;  // audio messages
  grpc::ClientContext context_;
  std::shared_ptr<FragileConnection> fragile_;
  std::unique_ptr<v1::SpeechService::Stub> stub_;
  v1::SynthesizeRequest config_, text_;
  v1::SynthesizeResponse response_;
  std::unique_ptr<grpc::Alarm> alarm_;
  bool text_sent_ = false, left_ = false;
  CallRecord record_;
  int sample_rate_hertz_ = 0;
  std::unique_ptr<ChunkDecoder> decoder_;
  std::vector<float> head_;
};

}  // namespace

void SpeechCaller::Start(const CallPlan& plan, std::function<void(CallRecord)> done) {
  (new SpeechCall(plan, options_, &live_, std::move(done)))->Start(connections_);
}

}  // namespace firstbyte
