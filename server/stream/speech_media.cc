// SpeechStream, the way out: lane -> encoder -> outbox -> transport.

#include <algorithm>
#include <utility>

#include "base/trace.h"
#include "server/stream/speech_stream.h"

namespace firstbyte {

SpeechStream::~SpeechStream() = default;

int64_t SpeechStream::ReservedFor(int frames) const {
  return MaxEncodedBytes(format_, int64_t{frames} * info_->samples_per_frame);
}

StreamPort::State SpeechStream::state(absl::Time now) {
  MutexLock lock(&mu_);
  State state{.lead = delivered_ - playback_.Played(now),
              .heard = delivered_ > absl::ZeroDuration()};
  for (int frames : {1, 4, 8, 16}) {
    if (ReservedFor(frames) <= outbox_.room()) state.room_frames = frames;
  }
  if (!std::exchange(full_, state.room_frames == 0) && full_) {
    context_.observer->OnSlowConsumer(info_->name);
  }
  return state;
}

void SpeechStream::Reserve(int frames) {
  step_reserved_ = ReservedFor(frames);
  MutexLock lock(&mu_);
  outbox_.Reserve(step_reserved_);
}

void SpeechStream::Deliver(Output output, absl::Time busy_since) {
  const int64_t reserved = std::exchange(step_reserved_, 0);
  if (reserved == 0 && output.samples.empty() && output.markers.empty()) return;
  {
    MutexLock lock(&mu_);
    delivered_ +=
        absl::Seconds(1) * static_cast<int64_t>(output.samples.size()) / info_->sample_rate_hertz;
  }
  if (!encode_on_strand_) return Encode(output, reserved, busy_since);
  media_strand_.Post([self = shared_from_this(), output = std::move(output), reserved, busy_since] {
    self->Encode(output, reserved, busy_since);
  });
}

void SpeechStream::Encode(const Output& output, int64_t reserved, absl::Time busy_since) {
  TraceSpan span(context_.tracer, "encode");
  const absl::Time begin = context_.clock->Now();
  EncodedAudio audio = encoder_->Append(output.samples);
  PublishAudio(std::move(audio), context_.clock->Now() - begin, busy_since);
  {
    MutexLock lock(&mu_);
    outbox_.Release(reserved);
    for (const MarkerAt& marker : output.markers) {
      outbox_.Put(
          {SpeechMarker{marker.id, absl::Seconds(1) * marker.sample / info_->sample_rate_hertz},
           busy_since});
    }
  }
  transport_->WakeWriter();
}

void SpeechStream::PublishAudio(EncodedAudio audio, absl::Duration cost, absl::Time busy_since) {
  MutexLock lock(&mu_);
  summary_.timing.encode += cost;
  if (audio.empty()) return;
  SpeechAudio message{.sequence = sequence_++,
                      .audio = std::move(audio),
                      .start_sample = encoded_samples_,
                      .sample_rate_hertz = info_->sample_rate_hertz};
  encoded_samples_ += message.audio.samples;
  const int64_t bytes = message.audio.bytes();
  outbox_.Put({std::move(message), busy_since}, bytes);
}

void SpeechStream::Ended(absl::Status status, const StageTimes& times) {
  if (!encode_on_strand_) return Complete(status, times);
  media_strand_.Post([self = shared_from_this(), status, times] { self->Complete(status, times); });
}

void SpeechStream::Complete(const absl::Status& status, const StageTimes& times) {
  if (status.ok()) {
    const absl::Time begin = context_.clock->Now();
    EncodedAudio tail = encoder_->Finish();
    PublishAudio(std::move(tail), context_.clock->Now() - begin, absl::InfiniteFuture());
  }
  {
    MutexLock lock(&mu_);
    RequestTiming& timing = summary_.timing;
    timing.queue = times.queue;
    timing.prefill += times.stage[static_cast<int>(Stage::kPrefill)];
    timing.generation = times.stage[static_cast<int>(Stage::kGenerate)];
    timing.decode = times.stage[static_cast<int>(Stage::kDecode)];
    timing.mean_batch_size = times.mean_batch_size();
    running_ = times.running;
    lane_ = nullptr;
    // After Fail() this is only the lane's answer to Close().
    if (status.ok()) outbox_.Finish();
    if (!status.ok()) outbox_.Fail(status);
  }
  transport_->WakeWriter();
}

// ---- Writing. ----

SpeechStream::NextResult SpeechStream::Next() {
  const absl::Time now = context_.clock->Now();
  RequestRecord record;
  {
    MutexLock lock(&mu_);
    if (auto outgoing = outbox_.Take()) {
      write_began_ = Clock::Steady().Now();
      Sending(*outgoing, now);
      return std::move(outgoing->message);
    }
    switch (outbox_.NextTurn()) {
      case Outbox<Outgoing>::Turn::kNothing:
        return std::monostate();
      case Outbox<Outgoing>::Turn::kSummary:
        return Summarize(now);
      case Outbox<Outgoing>::Turn::kEnd:
        break;
    }
    record = {.method = method_,
              .model = info_ == nullptr ? "" : info_->name,
              .admitted = configured_,
              .end = {outbox_.status(), request_id_, Summarize(now)}};
  }
  CallId call = transport_->call();
  if (record.end.request_id.empty()) record.end.request_id = std::move(call.request_id);
  record.traceparent = std::move(call.traceparent);
  context_.observer->OnEnded(record);
  return std::move(record.end);
}

void SpeechStream::Sending(const Outgoing& outgoing, absl::Time now) {
  if (const auto* audio = std::get_if<SpeechAudio>(&outgoing.message)) {
    if (!first_byte_) FirstByte(now);
    writing_ = Outgoing{SpeechAudio{.audio = {.samples = audio->audio.samples},
                                    .sample_rate_hertz = audio->sample_rate_hertz},
                        outgoing.busy_since};
    summary_.chunks += 1;
    summary_.audio_duration += audio->duration();
  }
  if (std::holds_alternative<SpeechMarker>(outgoing.message)) --markers_out_;
  // Room in the outbox may let the lane go on.
  if (lane_ != nullptr) lane_->Wake();
}

void SpeechStream::FirstByte(absl::Time now) {
  first_byte_ = now;
  if (summary_.timing.model_load > absl::ZeroDuration()) return;  // says nothing of the lane
  context_.engine->admission().ObserveStart(planned_lane_, planned_ttfb_, TimeToFirstByte());
}

absl::Duration SpeechStream::TimeToFirstByte() const {
  return *first_byte_ - std::max(admitted_, first_clause_.value_or(admitted_));
}

SpeechSummary SpeechStream::Summarize(absl::Time now) {
  SpeechSummary summary = summary_;
  if (!configured_) return summary;
  summary.timing.total = now - admitted_;
  if (first_byte_) summary.timing.first_byte = TimeToFirstByte();
  if (summary.audio_duration > absl::ZeroDuration()) {
    summary.timing.realtime_factor = absl::FDivDuration(running_, summary.audio_duration);
  }
  return summary;
}

void SpeechStream::OnWritten() {
  bool wake = false;
  {
    MutexLock lock(&mu_);
    TraceWrite(context_.tracer, write_began_, request_id_);
    if (writing_) ObserveWrite(*writing_, context_.clock->Now());
    if (writing_ && lane_ != nullptr) lane_->Wake();
    writing_.reset();
    if (reader_waits_ && !EnoughPending()) wake = std::exchange(reader_waits_, false);
  }
  if (wake) transport_->WakeReader();
}

void SpeechStream::ObserveWrite(const Outgoing& outgoing, absl::Time now) {
  // Silence counts as an underrun only if there was something to say when it began.
  if (auto dry = playback_.DrySince(now)) {
    const bool underrun = outgoing.busy_since <= *dry;
    underruns_ += underrun;
    underrun ? context_.observer->OnUnderrun(info_->name, now - *dry)
             : context_.observer->OnStarved(info_->name);
  }
  playback_.OnWritten(std::get<SpeechAudio>(outgoing.message).duration(), now);
  std::optional<absl::Duration> interval;
  if (last_written_) interval = now - *last_written_;
  last_written_ = now;
  context_.observer->OnChunk(info_->name, playback_.Lead(now), interval);
}

// ---- Seen from outside. ----

void SpeechStream::Stands(Standing standing) {
  MutexLock lock(&mu_);
  standing_ = standing;
}

StreamReport::State SpeechStream::Doing() const {
  using State = StreamReport::State;
  if (!configured_) return State::kOpening;
  if (lane_ == nullptr) return State::kEnding;
  if (standing_ == Standing::kWaiting) return State::kWaiting;
  if (outbox_.room() < ReservedFor(1)) return State::kBlocked;
  return standing_ == Standing::kPaused ? State::kPaused : State::kRunning;
}

std::optional<StreamReport> SpeechStream::Report(absl::Time now) const {
  MutexLock lock(&mu_);
  if (outbox_.ended()) return std::nullopt;
  StreamReport report{.request_id = request_id_, .method = method_, .state = Doing()};
  if (!configured_) return report;
  report.model = info_->name;
  if (lane_ != nullptr) report.lane = lane_->index();
  report.age = now - admitted_;
  report.lead = delivered_ - playback_.Played(now);
  report.media = delivered_;
  report.outbox_bytes = outbox_.used();
  report.underruns = underruns_;
  return report;
}

void SpeechStream::Evict(absl::string_view model, const absl::Status& status) {
  {
    MutexLock lock(&mu_);
    if (info_ == nullptr || info_->name != model) return;
  }
  Fail(status);
}

}  // namespace firstbyte
