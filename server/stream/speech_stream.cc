#include "server/stream/speech_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/error.h"
#include "base/ids.h"
#include "base/trace.h"

namespace firstbyte {
namespace {

// Prepared clauses a session holds beyond the one it speaks: one hides the front end's time.
constexpr int kClausesAhead = 2;

absl::Status ConfigMissing() {
  return Invalid("CONFIG_MISSING", "the first message must be `config`", "config");
}

int64_t CountCharacters(absl::string_view utf8) {
  return std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

// "en" asks for any English; "en-US" for that one.
bool Speaks(const VoiceInfo& voice, absl::string_view language) {
  return std::any_of(voice.language_codes.begin(), voice.language_codes.end(),
                     [&](const std::string& code) {
                       return absl::EqualsIgnoreCase(code, language) ||
                              absl::StartsWithIgnoreCase(code, absl::StrCat(language, "-"));
                     });
}

const VoiceInfo& VoiceNamed(const ModelInfo& info, absl::string_view name) {
  for (const VoiceInfo& voice : info.voices) {
    if (voice.name == name) return voice;
  }
  return info.voices.front();
}

absl::Status CheckVoice(const ModelInfo& info, const VoiceInfo& voice, const SpeechConfig& config) {
  if (!config.language_code.empty() && !Speaks(voice, config.language_code)) {
    return Invalid(
        "LANGUAGE_NOT_SPOKEN",
        absl::StrCat("voice '", voice.name, "' speaks ", absl::StrJoin(voice.language_codes, ", ")),
        "config.language_code");
  }
  // Written so that NaN is refused too.
  if (!(config.speaking_rate >= info.min_speaking_rate &&
        config.speaking_rate <= info.max_speaking_rate)) {
    return Invalid("SPEAKING_RATE_OUT_OF_RANGE",
                   absl::StrCat("speaking_rate must be from ", info.min_speaking_rate, " to ",
                                info.max_speaking_rate),
                   "config.speaking_rate");
  }
  return absl::OkStatus();
}

}  // namespace

std::shared_ptr<SpeechStream> SpeechStream::Create(const StreamContext& context, std::string method,
                                                   std::shared_ptr<StreamTransport> transport) {
  std::shared_ptr<SpeechStream> stream(
      new SpeechStream(context, std::move(method), std::move(transport)));
  if (context.live_streams) stream->entry_ = context.live_streams->Add(stream);
  return stream;
}

SpeechStream::SpeechStream(const StreamContext& context, std::string method,
                           std::shared_ptr<StreamTransport> transport)
    : context_(context),
      method_(std::move(method)),
      transport_(std::move(transport)),
      text_strand_(context.pool),
      media_strand_(context.pool),
      outbox_(kOutboxBytes, context.observer) {}

// ---- Reading. ----

void SpeechStream::Handle(SpeechRequest request) {
  absl::Status status =
      std::visit([this](auto&& message) { return Take(std::move(message)); }, std::move(request));
  if (!status.ok()) Fail(status);
}

absl::Status SpeechStream::Take(SpeechConfig config) {
  {
    MutexLock lock(&mu_);
    if (outbox_.ended()) return absl::OkStatus();
    if (configured_) return Invalid("CONFIG_REPEATED", "`config` was already sent", "config");
    request_id_ = config.request_id.empty() ? NewUuid() : config.request_id;
    summary_ = {};
  }
  if (absl::Status status = Admit(config); !status.ok()) return status;
  context_.observer->OnStarted(method_, info_->name);
  transport_->WakeWriter();
  return absl::OkStatus();
}

absl::Status SpeechStream::Admit(const SpeechConfig& config) {
  auto model = context_.engine->Find(config.model, config.voice);
  if (!model.ok()) return model.status();
  const ModelInfo& info = context_.engine->info(*model);
  const VoiceInfo& voice = VoiceNamed(info, config.voice);
  if (absl::Status status = CheckVoice(info, voice, config); !status.ok()) return status;
  {
    // Under the lock for Next(), which names the model of a stream that is cancelled meanwhile.
    MutexLock lock(&mu_);
    info_ = &info;
  }
  model_ = *model;
  max_text_characters_ = config.max_text_characters;
  if (absl::Status status = SetFormat(config); !status.ok()) return status;
  auto seat = context_.engine->admission().Admit(
      {.model = model_,
       .encoding = context_.engine->media_costs(model_).Of(format_),
       .promises_first_byte = true,
       .time_left = config.time_left,
       .tenant = config.tenant,
       .bytes = kOutboxBytes + kMaxPendingText});
  if (!seat.ok()) return seat.status();

  const uint64_t seed = config.seed.value_or(NewSeed());
  {
    MutexLock lock(&mu_);
    if (outbox_.ended()) return absl::CancelledError("ended meanwhile");
    configured_ = true;
    admitted_ = context_.clock->Now();
    planned_lane_ = seat->lane();
    planned_ttfb_ = seat->planned_ttfb();
    opening_.emplace(Opening{
        .started = {.request_id = request_id_,
                    .model = info.name,
                    .voice = voice.name,
                    .seed = seed,
                    .audio = format_,
                    .container_header = encoder_->header(),
                    .opus_pre_skip = encoder_->pre_skip()},
        .request = {
            .spec = {.voice = voice.name, .seed = seed, .speaking_rate = config.speaking_rate},
            .tenant = config.tenant,
            .max_lead = config.max_lead.value_or(context_.default_max_lead),
            .seat = *std::move(seat)}});
  }
  // Weak: a stream that is cancelled does not wait for the load.
  auto loaded = [weak = weak_from_this()](const absl::Status& status) {
    if (auto self = weak.lock()) self->Loaded(status);
  };
  if (context_.engine->EnsureLoaded(model_, loaded)) OpenSession();
  return absl::OkStatus();
}

void SpeechStream::Loaded(const absl::Status& status) {
  if (!status.ok()) return Fail(status);
  {
    MutexLock lock(&mu_);
    summary_.timing.model_load = context_.clock->Now() - admitted_;
  }
  OpenSession();
  PostFeed();
  transport_->WakeWriter();
}

void SpeechStream::OpenSession() {
  MutexLock lock(&mu_);
  if (!opening_) return;  // ended meanwhile
  opening_->started.model_digest = context_.engine->info(model_).version;
  outbox_.Put({std::move(opening_->started), absl::InfiniteFuture()});
  lane_ = &context_.engine->lane(opening_->request.seat.lane());
  opening_->request.port = shared_from_this();
  session_ = lane_->Open(std::move(opening_->request));
  opening_.reset();
}

absl::Status SpeechStream::SetFormat(const SpeechConfig& config) {
  format_ = config.audio;
  if (format_.sample_rate_hertz == 0) format_.sample_rate_hertz = info_->sample_rate_hertz;
  if (format_.sample_rate_hertz != info_->sample_rate_hertz) {
    return Error(absl::StatusCode::kUnimplemented, "NOT_SUPPORTED",
                 absl::StrCat("this voice is served at ", info_->sample_rate_hertz,
                              " Hz only; leave sample_rate_hertz at 0"),
                 "config.audio.sample_rate_hertz");
  }
  auto encoder = NewAudioEncoder(format_);
  if (!encoder.ok()) return encoder.status();
  encoder_ = *std::move(encoder);
  encode_on_strand_ = format_.encoding == AudioEncoding::kOpus;
  return absl::OkStatus();
}

absl::Status SpeechStream::RequireConfig() const {
  MutexLock lock(&mu_);
  return configured_ || outbox_.ended() ? absl::OkStatus() : ConfigMissing();
}

absl::Status SpeechStream::Take(TextPiece text) {
  if (absl::Status status = RequireConfig(); !status.ok()) return status;
  if (static_cast<int64_t>(text.content.size()) > kMaxTextMessage) {
    return Invalid("TEXT_TOO_LONG",
                   absl::StrCat("a text message holds at most ", kMaxTextMessage,
                                " bytes; send longer text in several messages"),
                   "text.content");
  }
  {
    MutexLock lock(&mu_);
    received_bytes_ += static_cast<int64_t>(text.content.size());
    summary_.text_characters += CountCharacters(text.content);
    if (max_text_characters_ > 0 && summary_.text_characters > max_text_characters_) {
      return Invalid("TEXT_TOO_LONG",
                     absl::StrCat("more than limits.max_text_characters = ", max_text_characters_),
                     "text.content");
    }
  }
  Enqueue({std::move(text), context_.clock->Now()});
  return absl::OkStatus();
}

absl::Status SpeechStream::Take(FlushText flush) {
  if (absl::Status status = RequireConfig(); !status.ok()) return status;
  if (!flush.marker_id.empty()) {
    MutexLock lock(&mu_);
    ++markers_out_;
  }
  Enqueue({std::move(flush), context_.clock->Now()});
  return absl::OkStatus();
}

void SpeechStream::HalfClose() {
  if (absl::Status status = RequireConfig(); !status.ok()) return Fail(status);
  Enqueue({EndOfInput{}, context_.clock->Now()});
}

void SpeechStream::Cancel() {
  Fail(Error(absl::StatusCode::kCancelled, "CANCELLED", "the client cancelled or went away"));
}

void SpeechStream::Fail(const absl::Status& status) {
  {
    MutexLock lock(&mu_);
    if (!outbox_.Fail(status)) return;
    texts_.clear();
    opening_.reset();  // with its seat, which is free before the client hears of it
    if (lane_ != nullptr) lane_->Close(session_);
  }
  transport_->WakeWriter();
}

bool SpeechStream::ReadyForMore() {
  MutexLock lock(&mu_);
  reader_waits_ = !outbox_.ended() && EnoughPending();
  return !reader_waits_;
}

bool SpeechStream::EnoughPending() const {
  return received_bytes_ - consumed_bytes_ >= kMaxPendingText || markers_out_ >= kMaxPendingMarkers;
}

void SpeechStream::Enqueue(PendingText text) {
  {
    MutexLock lock(&mu_);
    if (outbox_.ended()) return;
    texts_.push_back(std::move(text));
  }
  PostFeed();
}

// ---- Text strand: messages -> clauses -> phones -> session. ----

void SpeechStream::PostFeed() {
  text_strand_.Post([self = shared_from_this()] {
    while (self->FeedOne()) {
    }
  });
}

bool SpeechStream::FeedOne() {
  absl::Status status;
  if (inputs_.empty()) {
    PendingText text;
    {
      MutexLock lock(&mu_);
      if (outbox_.ended() || opening_ || texts_.empty()) return false;
      text = std::move(texts_.front());
      texts_.pop_front();
    }
    status = Segment(text);
  } else {
    {
      MutexLock lock(&mu_);
      if (outbox_.ended()) return false;
      if (std::holds_alternative<Clause>(inputs_.front()) && clauses_ahead_ >= kClausesAhead) {
        return false;  // ClauseBegun() posts again
      }
    }
    PendingInput input = std::move(inputs_.front());
    inputs_.pop_front();
    status = Feed(std::move(input));
  }
  if (inputs_.empty()) Consumed(segmenter_.position());
  if (!status.ok()) Fail(status);
  return status.ok();
}

absl::Status SpeechStream::Segment(const PendingText& text) {
  const auto* piece = std::get_if<TextPiece>(&text.what);
  auto clauses = piece != nullptr ? segmenter_.Append(piece->content) : segmenter_.Flush();
  if (!clauses.ok()) return clauses.status();
  for (Clause& clause : *clauses) {
    if (clause.speakable()) {
      MutexLock lock(&mu_);
      if (!first_clause_) first_clause_ = text.arrival;
    }
    inputs_.emplace_back(std::move(clause));
  }
  if (const auto* flush = std::get_if<FlushText>(&text.what); flush && !flush->marker_id.empty()) {
    inputs_.emplace_back(Marker{flush->marker_id});
  }
  if (std::holds_alternative<EndOfInput>(text.what)) inputs_.emplace_back(EndOfInput{});
  return absl::OkStatus();
}

absl::Status SpeechStream::Feed(PendingInput input) {
  if (const auto* clause = std::get_if<Clause>(&input)) return Speak(*clause);
  if (auto* marker = std::get_if<Marker>(&input)) {
    PushToLane(std::move(*marker));
    return absl::OkStatus();
  }
  {
    MutexLock lock(&mu_);
    if (summary_.clauses == 0) {
      return Invalid("NO_SPEAKABLE_TEXT", "there is nothing in this text that can be spoken",
                     "text.content");
    }
  }
  PushToLane(EndOfInput{});
  return absl::OkStatus();
}

absl::Status SpeechStream::Speak(const Clause& clause) {
  TraceSpan span(context_.tracer, "front_end");
  const absl::Time begin = context_.clock->Now();
  absl::StatusOr<std::unique_ptr<Prepared>> prepared = nullptr;
  if (clause.speakable()) prepared = context_.engine->Prepare(model_, {clause.text});
  Consumed(clause.end_byte);
  // A clause the front end gives up on is skipped like one without letters: the rest is spoken.
  const bool skip =
      prepared.ok() ? *prepared == nullptr : absl::IsInvalidArgument(prepared.status());
  if (!prepared.ok() && !skip) return prepared.status();
  {
    MutexLock lock(&mu_);
    summary_.timing.prefill += context_.clock->Now() - begin;
    (skip ? summary_.skipped_clauses : summary_.clauses) += 1;
    if (!skip) ++clauses_ahead_;
  }
  if (skip) return absl::OkStatus();
  std::shared_ptr<const RawInput> said;
  if (context_.keep_inputs) said = std::make_shared<RawInput>(RawInput{.text = clause.text});
  PushToLane(*std::move(prepared), std::move(said));
  return absl::OkStatus();
}

void SpeechStream::PushToLane(Input input, std::shared_ptr<const RawInput> said) {
  MutexLock lock(&mu_);
  if (!outbox_.ended()) lane_->Push(session_, std::move(input), std::move(said));
}

void SpeechStream::Consumed(int64_t source_bytes) {
  bool wake = false;
  {
    MutexLock lock(&mu_);
    consumed_bytes_ = std::max(consumed_bytes_, source_bytes);
    if (reader_waits_ && !EnoughPending()) wake = std::exchange(reader_waits_, false);
  }
  if (wake) transport_->WakeReader();
}

void SpeechStream::ClauseBegun() {
  {
    MutexLock lock(&mu_);
    --clauses_ahead_;
  }
  PostFeed();
}

}  // namespace firstbyte
