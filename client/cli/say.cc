#include "client/cli/say.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <thread>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/clock.h"
#include "base/error.h"
#include "client/audio_sink.h"
#include "client/chunk_decoder.h"
#include "client/cli/text_reader.h"
#include "client/exit_codes.h"
#include "client/rpc_status.h"
#include "client/signal_watch.h"
#include "client/speech_client.h"

namespace firstbyte {
namespace {

// The server holds back audio that a listener would not hear for so long. A file has no listener.
constexpr int kFileLeadSeconds = 3600;

absl::Status Usage(absl::string_view message) { return absl::InvalidArgumentError(message); }

absl::StatusOr<v1::AudioEncoding> EncodingOf(const SayOptions& options) {
  if (options.encoding == "pcm16") return v1::AUDIO_ENCODING_PCM16;
  if (options.encoding == "wav") return v1::AUDIO_ENCODING_WAV;
  if (options.encoding == "opus") return v1::AUDIO_ENCODING_OPUS;
  if (!options.encoding.empty()) {
    return Usage(absl::StrCat("--encoding ", options.encoding, ": pcm16, wav and opus are known"));
  }
  if (absl::EndsWith(options.out, ".opus")) return v1::AUDIO_ENCODING_OPUS;
  return options.out == "-" ? v1::AUDIO_ENCODING_WAV : v1::AUDIO_ENCODING_PCM16;
}

absl::StatusOr<std::unique_ptr<AudioSink>> SinkOf(const SayOptions& options,
                                                  v1::AudioEncoding encoding) {
  bool opus = encoding == v1::AUDIO_ENCODING_OPUS;
  if (options.play && !options.out.empty()) return Usage("--play and --out exclude each other");
  if (options.out == "-") return opus ? NewOggFileSink("-") : NewStdoutSink();
  if (absl::EndsWith(options.out, ".wav")) return NewWavFileSink(options.out);
  if (absl::EndsWith(options.out, ".opus")) {
    if (!opus) return Usage("an .opus file needs --encoding opus");
    return NewOggFileSink(options.out);
  }
  if (!options.out.empty()) {
    return Usage(absl::StrCat("--out ", options.out, ": name a .wav or .opus file, or -"));
  }
  std::string player = FindPlayer();
  if (player.empty()) {
    return Usage(
        "no audio player found (aplay, paplay, ffplay or play); --out FILE.wav makes a file");
  }
  return NewPlayerSink(player);
}

v1::SynthesizeConfig ConfigOf(const SayOptions& options, v1::AudioEncoding encoding) {
  v1::SynthesizeConfig config;
  config.set_model(options.model);
  config.set_voice(options.voice);
  config.set_language_code(options.language);
  config.mutable_audio()->set_encoding(encoding);
  config.mutable_audio()->set_bitrate_bps(options.bitrate_bps);
  if (options.seed) config.mutable_sampling()->set_seed(*options.seed);
  if (options.speaking_rate) config.set_speaking_rate(static_cast<float>(*options.speaking_rate));
  if (!options.out.empty()) {
    config.mutable_chunking()->mutable_max_lead_duration()->set_seconds(kFileLeadSeconds);
  }
  return config;
}

// One run of the command: a thread that sends text, this one that takes audio.
class SayRun {
 public:
  SayRun(const SayOptions& options, std::unique_ptr<AudioSink> sink, v1::AudioEncoding encoding)
      : options_(options),
        sink_(std::move(sink)),
        watch_(std::in_place, [this] { Interrupt(); }),
        client_(options.target),
        stream_(client_.Synthesize(ConfigOf(options, encoding))),
        reader_(STDIN_FILENO) {}

  int Run() {
    // A signal may have come before there was a stream to cancel.
    stream_ready_ = true;
    if (interrupted_) stream_->Cancel();
    std::thread writer([this] { text_status_ = SendText(); });
    absl::Status sink_status = Receive();
    reader_.Stop();
    if (!sink_status.ok()) stream_->Cancel();
    writer.join();
    absl::Status rpc_status = stream_->Finish();
    watch_.reset();  // nothing is left to cancel
    // A player that was interrupted is stopped by its destructor; a file is completed.
    bool playing = options_.out.empty();
    if (playing && interrupted_) {
      sink_.reset();
    } else if (absl::Status closed = sink_->Close(); sink_status.ok()) {
      sink_status = closed;
    }
    return Report(sink_status, rpc_status);
  }

 private:
  void Interrupt() {
    interrupted_ = true;
    if (stream_ready_) stream_->Cancel();
  }

  absl::Status SendText() {
    first_text_ = Clock::Steady().Now();
    if (options_.text != "-") {
      absl::Status status = stream_->Say(options_.text);
      if (status.code() == absl::StatusCode::kInvalidArgument) stream_->Cancel();
      stream_->EndText().IgnoreError();
      return status;
    }
    // What is typed is spoken line by line; what is piped may break a sentence anywhere.
    bool typed = isatty(STDIN_FILENO) == 1;
    for (bool first = true; auto text = reader_.Next(); first = false) {
      if (first) first_text_ = Clock::Steady().Now();
      absl::Status status = stream_->Say(*text);
      if (status.ok() && typed) status = stream_->Flush();
      if (status.code() == absl::StatusCode::kInvalidArgument) stream_->Cancel();
      if (!status.ok()) return status;
    }
    stream_->EndText().IgnoreError();
    return absl::OkStatus();
  }

  absl::Status Receive() {
    v1::SynthesizeResponse response;
    while (stream_->Next(&response)) {
      absl::Status status;
      if (response.has_started()) {
        format_ = response.started().audio_format();
        status = sink_->Start(format_);
      } else if (response.has_audio()) {
        if (first_audio_ == absl::InfinitePast()) first_audio_ = Clock::Steady().Now();
        status = sink_->Write(response.audio());
        samples_ = EndSample(response.audio(), format_.sample_rate_hertz());
        ShowProgress();
      } else if (response.has_summary()) {
        summary_ = response.summary();
      }
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  double audio_seconds() const {
    return format_.sample_rate_hertz() > 0
               ? static_cast<double>(samples_) / format_.sample_rate_hertz()
               : 0;
  }

  void ShowProgress() {
    constexpr double kFromSeconds = 3;  // a short sentence is over before one could read it
    if (isatty(STDERR_FILENO) != 1 || audio_seconds() < kFromSeconds) return;
    progress_shown_ = true;
    absl::FPrintF(stderr, "\r%.1f s of audio", audio_seconds());
  }

  int Report(const absl::Status& sink_status, const absl::Status& rpc_status) {
    if (progress_shown_) std::fputs("\r\033[K", stderr);
    if (interrupted_) {
      absl::FPrintF(stderr, "firstbyte: interrupted after %.2f s of audio\n", audio_seconds());
      return kExitInterrupted;
    }
    if (text_status_.code() == absl::StatusCode::kInvalidArgument) {
      absl::FPrintF(stderr, "firstbyte: %s\n", std::string(text_status_.message()));
      return kExitUsage;
    }
    // A refusal explains why a player got nothing; a stream we cancelled explains nothing.
    const bool refused = !rpc_status.ok() && !absl::IsCancelled(rpc_status);
    if (!sink_status.ok() && !refused) {
      absl::FPrintF(stderr, "firstbyte: %s\n", std::string(sink_status.message()));
      return kExitFailed;
    }
    if (!rpc_status.ok()) {
      absl::FPrintF(stderr, "firstbyte: %s\n", ExplainError(rpc_status, options_.target));
      return kExitFailed;
    }
    std::string where = options_.out.empty() ? "" : absl::StrCat(" in ", options_.out);
    absl::FPrintF(stderr, "firstbyte: %.2f s of audio%s; first byte after %.1f ms, RTF %.3f\n",
                  audio_seconds(), where, absl::ToDoubleMilliseconds(first_audio_ - first_text_),
                  summary_.timing().realtime_factor());
    return kExitOk;
  }

  const SayOptions& options_;
  std::unique_ptr<AudioSink> sink_;
  std::atomic<bool> interrupted_{false};
  std::atomic<bool> stream_ready_{false};
  std::optional<SignalWatch> watch_;  // before gRPC makes threads
  SpeechClient client_;
  const std::unique_ptr<SpeechStream> stream_;
  TextReader reader_;

  absl::Status text_status_;  // the writer's until it is joined
  absl::Time first_text_ = absl::InfinitePast();
  absl::Time first_audio_ = absl::InfinitePast();
  v1::AudioFormat format_;
  v1::SynthesisSummary summary_;
  int64_t samples_ = 0;
  bool progress_shown_ = false;
};

}  // namespace

int Say(const SayOptions& options) {
  auto encoding = EncodingOf(options);
  absl::StatusOr<std::unique_ptr<AudioSink>> sink =
      encoding.ok() ? SinkOf(options, *encoding) : encoding.status();
  if (!sink.ok()) {
    absl::FPrintF(stderr, "firstbyte: %s\n", std::string(sink.status().message()));
    return kExitUsage;
  }
  return SayRun(options, *std::move(sink), *encoding).Run();
}

}  // namespace firstbyte
