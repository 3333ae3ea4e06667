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
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "base/mutex.h"
#include "base/strand.h"
#include "codec/audio_encoder.h"
#include "model/io/segmenter.h"
#include "server/scheduler/stream_port.h"
#include "server/stream/live_streams.h"
#include "server/stream/outbox.h"
#include "server/stream/playback_meter.h"
#include "server/stream/speech_messages.h"
#include "server/stream/stream_context.h"

namespace firstbyte {

class SpeechStream : public StreamPort,
                     public LiveStream,
                     public std::enable_shared_from_this<SpeechStream> {
 public:
  static constexpr int64_t kMaxTextMessage = 64 << 10;  // bytes
  static constexpr int64_t kMaxPendingText = 64 << 10;
  static constexpr int kMaxPendingMarkers = 1024;
  static constexpr int64_t kOutboxBytes = 256 << 10;

  // Shares the transport: the lane still answers a cancel after Next() has returned the SpeechEnd.
  static std::shared_ptr<SpeechStream> Create(const StreamContext& context, std::string method,
                                              std::shared_ptr<StreamTransport> transport);
  ~SpeechStream() override;

  // ---- Transport side: reading. ----
  // A message of the client. A SpeechConfig is admitted or refused before this returns.
  void Handle(SpeechRequest request);
  void HalfClose();
  // The client is gone or gave up. The slot is free within one step.
  void Cancel();
  // Ends the stream with `status`; for what the transport itself refuses.
  void Fail(const absl::Status& status) override;
  // False while kMaxPendingText waits to be spoken, or kMaxPendingMarkers to come back: do not read
  // until WakeReader().
  bool ReadyForMore();

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
  void Stands(Standing standing) override;
  void Ended(absl::Status status, const StageTimes& times) override;

  // ---- Whoever watches the server (LiveStream). ----
  std::optional<StreamReport> Report(absl::Time now) const override;
  void Evict(absl::string_view model, const absl::Status& status) override;

 private:
  struct PendingText {  // as it arrived
    std::variant<TextPiece, FlushText, EndOfInput> what;
    absl::Time arrival;
  };
  struct Outgoing {
    SpeechResponse message;
    absl::Time busy_since;  // of audio: see StreamPort::Deliver
  };
  // An admitted stream that waits for its model. Holds the seat.
  struct Opening {
    SpeechStarted started;
    SessionRequest request;
  };
  using PendingInput = std::variant<Clause, Marker, EndOfInput>;  // segmented

  SpeechStream(const StreamContext& context, std::string method,
               std::shared_ptr<StreamTransport> transport);

  StreamReport::State Doing() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  absl::Status Take(SpeechConfig config);
  absl::Status Take(TextPiece text);
  absl::Status Take(FlushText flush);
  absl::Status Admit(const SpeechConfig& config);
  void Loaded(const absl::Status& status);
  void OpenSession();
  absl::Status SetFormat(const SpeechConfig& config);
  absl::Status RequireConfig() const;
  void Enqueue(PendingText text);

  void PostFeed();
  bool FeedOne();
  absl::Status Segment(const PendingText& text);
  absl::Status Feed(PendingInput input);
  absl::Status Speak(const Clause& clause);
  void PushToLane(Input input, std::shared_ptr<const RawInput> said = nullptr);
  void Consumed(int64_t source_bytes);
  bool EnoughPending() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  int64_t ReservedFor(int frames) const;
  void Encode(const Output& output, int64_t reserved, absl::Time busy_since);
  void PublishAudio(EncodedAudio audio, absl::Duration cost, absl::Time busy_since);
  void Complete(const absl::Status& status, const StageTimes& times);
  void Sending(const Outgoing& outgoing, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void FirstByte(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Duration TimeToFirstByte() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ObserveWrite(const Outgoing& outgoing, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  SpeechSummary Summarize(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const StreamContext context_;
  const std::string method_;
  const std::shared_ptr<StreamTransport> transport_;
  LiveStreams::Entry entry_;

  // Text strand only.
  Strand text_strand_;
  Segmenter segmenter_;
  std::deque<PendingInput> inputs_;

  // The lane's thread, or the media strand for encoders that take longer than a microsecond.
  Strand media_strand_;
  std::unique_ptr<AudioEncoder> encoder_;
  int64_t sequence_ = 0;
  int64_t encoded_samples_ = 0;

  // The lane's thread.
  int64_t step_reserved_ = 0;

  // Set when admitted, constant afterwards.
  const ModelInfo* info_ = nullptr;
  int model_ = 0;
  AudioFormat format_;
  bool encode_on_strand_ = false;
  int64_t max_text_characters_ = 0;

  mutable Mutex mu_;
  bool configured_ ABSL_GUARDED_BY(mu_) = false;
  Lane* lane_ ABSL_GUARDED_BY(mu_) = nullptr;
  Lane::SessionId session_ ABSL_GUARDED_BY(mu_) = 0;
  std::string request_id_ ABSL_GUARDED_BY(mu_);

  std::optional<Opening> opening_ ABSL_GUARDED_BY(mu_);

  std::deque<PendingText> texts_ ABSL_GUARDED_BY(mu_);
  int64_t received_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t consumed_bytes_ ABSL_GUARDED_BY(mu_) = 0;  // handed to the session or skipped
  int clauses_ahead_ ABSL_GUARDED_BY(mu_) = 0;       // pushed to the session, not begun
  int markers_out_ ABSL_GUARDED_BY(mu_) = 0;         // flushed with an id, not yet taken by Next()
  bool reader_waits_ ABSL_GUARDED_BY(mu_) = false;

  Outbox<Outgoing> outbox_ ABSL_GUARDED_BY(mu_);
  bool full_ ABSL_GUARDED_BY(mu_) = false;         // no room for a frame when last looked at
  absl::Duration delivered_ ABSL_GUARDED_BY(mu_);  // media that came from the lane
  PlaybackMeter playback_ ABSL_GUARDED_BY(mu_);
  std::optional<Outgoing> writing_ ABSL_GUARDED_BY(mu_);  // audio in flight, without bytes
  std::optional<absl::Time> last_written_ ABSL_GUARDED_BY(mu_);
  absl::Time write_began_ ABSL_GUARDED_BY(mu_);  // for a trace
  Standing standing_ ABSL_GUARDED_BY(mu_) = Standing::kWaiting;
  int64_t underruns_ ABSL_GUARDED_BY(mu_) = 0;

  // What admission counted on: see AdmissionLedger::ObserveStart().
  int planned_lane_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Duration planned_ttfb_ ABSL_GUARDED_BY(mu_);

  // For Timing.
  absl::Time admitted_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Time> first_clause_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Time> first_byte_ ABSL_GUARDED_BY(mu_);
  absl::Duration running_ ABSL_GUARDED_BY(mu_);
  SpeechSummary summary_ ABSL_GUARDED_BY(mu_);
};

}  // namespace firstbyte
