// StreamCore of one Synthesize call: everything but the transport.
//
//   transport --Handle/HalfClose/Cancel--> inbox -> strand: segmenter, front end -> lane
//   transport <--Next/OnWritten----------- outbox <- encoder <---------------------- lane
//
// Thread-safe: transport events, the strands and the lane may call at the same time. One short
// lock; nothing blocks under it, and no transport callback is made under it.
//
// Ends exactly once: Next() returns a SpeechEnd, after which it returns nothing more. Bounded:
// text waiting to be spoken (kMaxPendingText, then ReadyForMore() is false) and encoded audio
// waiting to be written (kOutboxBytes, reserved before the work that fills it is scheduled).
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <variant>

#include "absl/status/status.h"

#include "base/clock.h"
#include "base/mutex.h"
#include "base/strand.h"
#include "codec/audio_encoder.h"
#include "model/io/segmenter.h"
#include "server/scheduler/engine.h"
#include "server/scheduler/stream_port.h"
#include "server/stream/playback_meter.h"
#include "server/stream/speech_messages.h"
#include "server/stream/stream_observer.h"

namespace firstbyte {

// The transport's side. Called on any thread, without the stream's lock; may call back into it.
class StreamTransport {
 public:
  virtual ~StreamTransport() = default;
  virtual void WakeWriter() = 0;  // Next() may have something
  virtual void WakeReader() = 0;  // ReadyForMore() may have become true
};

// What all streams of a server share. Outlives them.
struct StreamContext {
  Engine* engine = nullptr;
  ThreadPool* pool = nullptr;
  StreamObserver* observer = nullptr;
  const Clock* clock = &Clock::Steady();
  absl::Duration default_max_lead = absl::Seconds(4);
};

class SpeechStream : public StreamPort, public std::enable_shared_from_this<SpeechStream> {
 public:
  static constexpr int64_t kMaxTextMessage = 64 << 10;  // bytes
  static constexpr int64_t kMaxPendingText = 64 << 10;
  static constexpr int64_t kOutboxBytes = 256 << 10;

  // `transport` must stay valid until Next() has returned the SpeechEnd.
  static std::shared_ptr<SpeechStream> Create(const StreamContext& context, std::string method,
                                              StreamTransport* transport);
  ~SpeechStream() override;

  // ---- Transport side: reading. ----
  // A message of the client. A SpeechConfig is admitted or refused before this returns.
  void Handle(SpeechRequest request);
  void HalfClose();
  // The client is gone or gave up. The slot is free within one step.
  void Cancel();
  // Ends the stream with `status`; for what the transport itself refuses.
  void Fail(const absl::Status& status);
  // False while kMaxPendingText is waiting: do not read until WakeReader().
  bool ReadyForMore() const;

  // ---- Transport side: writing. ----
  // The next message, the end, or nothing yet. Call when no write is in flight.
  using NextResult = std::variant<std::monostate, SpeechResponse, SpeechEnd>;
  NextResult Next();
  // The message that Next() returned last was written.
  void OnWritten();

  // ---- Lane side (StreamPort). ----
  State state(absl::Time now) override;
  void Reserve(int frames) override;
  void Deliver(Output output, absl::Time busy_since) override;
  void ClauseBegun() override;
  void Ended(absl::Status status, const StageTimes& times) override;

 private:
  struct PendingText {  // as it arrived
    std::variant<TextPiece, FlushText, EndOfInput> what;
    absl::Time arrival;
  };
  using PendingInput = std::variant<Clause, Marker, EndOfInput>;  // segmented

  SpeechStream(const StreamContext& context, std::string method, StreamTransport* transport);

  absl::Status Start(SpeechConfig config);
  absl::Status Accept(TextPiece text);
  void Enqueue(PendingText text);

  void PostFeed();
  bool FeedOne();
  absl::Status Segment(PendingText text);
  absl::Status Speak(const Clause& clause);
  void PushToLane(Input input);

  void Encode(const Output& output, int64_t reserved, absl::Time busy_since);
  void PublishAudio(EncodedAudio audio, int64_t reserved, absl::Time busy_since);
  void Complete(const absl::Status& status, const StageTimes& times);
  void Wake();

  SpeechSummary Summarize() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const StreamContext context_;
  const std::string method_;
  StreamTransport* const transport_;
  Strand text_strand_;   // segmenter and front end
  Strand media_strand_;  // encoders that take longer than a microsecond
  Segmenter segmenter_;                          // text strand
  std::deque<PendingInput> inputs_;              // text strand
  std::unique_ptr<AudioEncoder> encoder_;        // lane, or media strand for Opus
  int64_t next_sequence_ = 0;                    // beside the encoder
  int64_t encoded_samples_ = 0;                  // beside the encoder

  // Set by Start(), constant afterwards.
  const ModelInfo* info_ = nullptr;
  int model_ = 0;
  AudioFormat format_;
  bool encode_on_strand_ = false;
  int64_t max_text_characters_ = 0;

  mutable Mutex mu_;
  bool configured_ ABSL_GUARDED_BY(mu_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mu_) = false;
  bool lane_done_ ABSL_GUARDED_BY(mu_) = false;
  Lane* lane_ ABSL_GUARDED_BY(mu_) = nullptr;
  Lane::SessionId session_ ABSL_GUARDED_BY(mu_) = 0;
  std::string request_id_ ABSL_GUARDED_BY(mu_);

  std::deque<PendingText> texts_ ABSL_GUARDED_BY(mu_);
  int64_t received_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t consumed_bytes_ ABSL_GUARDED_BY(mu_) = 0;  // handed to the session
  int clauses_in_session_ ABSL_GUARDED_BY(mu_) = 0;  // pushed, not begun
  bool reader_waits_ ABSL_GUARDED_BY(mu_) = false;

  std::deque<SpeechResponse> outbox_ ABSL_GUARDED_BY(mu_);
  int64_t outbox_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t reserved_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t lane_reserved_ ABSL_GUARDED_BY(mu_) = 0;  // by the step in progress
  int64_t delivered_samples_ ABSL_GUARDED_BY(mu_) = 0;
  PlaybackMeter playback_ ABSL_GUARDED_BY(mu_);
  std::optional<SpeechAudio> writing_ ABSL_GUARDED_BY(mu_);  // without its bytes
  std::optional<absl::Time> last_written_ ABSL_GUARDED_BY(mu_);
  absl::Time busy_since_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();

  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mu_);
  bool end_taken_ ABSL_GUARDED_BY(mu_) = false;

  // For Timing.
  absl::Time admitted_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Time> first_clause_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Time> first_byte_ ABSL_GUARDED_BY(mu_);
  SpeechSummary summary_ ABSL_GUARDED_BY(mu_);
};

}  // namespace firstbyte
