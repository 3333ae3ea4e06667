#include "server/stream/speech_stream.h"

#include <map>
#include <random>
#include <thread>

#include "base/error.h"
#include "codec/pcm.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/scripted.h"
#include "tests/server/stream/fake_transport.h"

namespace firstbyte {
namespace {

using testing::ElementsAre;

// Everything one stream said.
struct Transcript {
  std::optional<SpeechStarted> started;
  int64_t samples = 0;
  std::string pcm;
  std::vector<std::string> packets;
  std::vector<SpeechMarker> markers;
  std::optional<SpeechSummary> summary;
  SpeechEnd end;
};

class SpeechStreamTest : public testing::Test {
 protected:
  void SetUp() override { Make(); }
  void TearDown() override {
    engine_.reset();
    pool_.reset();
    EXPECT_EQ(observer_.outbox_bytes, 0) << "outbox bytes leaked";
  }

  void Make(ScriptedOptions options = {}) {
    engine_.reset();
    std::vector<std::vector<std::unique_ptr<Model>>> lanes(1);
    auto inject = options.on_step;
    options.on_step = [this, inject](Stage stage, int batch) {
      clock_.Advance(absl::Milliseconds(1));
      return inject ? inject(stage, batch) : absl::OkStatus();
    };
    lanes[0].push_back(MakeScriptedModel(std::move(options)));
    engine_ = *Engine::Create(std::move(lanes), {.clock = &clock_});
    pool_ = std::make_unique<ThreadPool>(2, "test");
    context_ = {
        .engine = engine_.get(), .pool = pool_.get(), .observer = &observer_, .clock = &clock_};
  }

  std::shared_ptr<SpeechStream> NewStream() {
    return SpeechStream::Create(context_, "Synthesize", transport_);
  }

  Transcript ReadAll(SpeechStream& stream, Transcript transcript = {}) {
    while (true) {
      auto next = transport_->Await(stream);
      if (auto* end = std::get_if<SpeechEnd>(&next)) {
        transcript.end = *end;
        EXPECT_TRUE(std::holds_alternative<std::monostate>(stream.Next())) << "ended twice";
        return transcript;
      }
      Keep(std::get<SpeechResponse>(next), &transcript);
      stream.OnWritten();
    }
  }

  static void Keep(const SpeechResponse& response, Transcript* to) {
    if (const auto* started = std::get_if<SpeechStarted>(&response)) to->started = *started;
    if (const auto* summary = std::get_if<SpeechSummary>(&response)) to->summary = *summary;
    if (const auto* marker = std::get_if<SpeechMarker>(&response)) to->markers.push_back(*marker);
    if (const auto* audio = std::get_if<SpeechAudio>(&response)) {
      EXPECT_EQ(audio->start_sample, to->samples);
      to->samples += audio->audio.samples;
      to->pcm += audio->audio.data;
      for (const auto& packet : audio->audio.packets) to->packets.push_back(packet);
    }
  }

  Transcript Run(std::vector<SpeechRequest> requests) {
    auto stream = NewStream();
    for (auto& request : requests) stream->Handle(std::move(request));
    stream->HalfClose();
    return ReadAll(*stream);
  }

  std::string Reason(const Transcript& t) { return DetailOf(t.end.status).reason; }

  // The engine must be as if nothing had happened.
  void ExpectUnharmed() {
    Transcript next = Run({SpeechConfig{.seed = 3}, TextPiece{"Still here."}});
    EXPECT_TRUE(next.end.status.ok()) << next.end.status;
    EXPECT_EQ(next.pcm, Pcm("Stillhere", 3));
    EXPECT_EQ(engine_->admission().usage(0).used, 0);
  }

  static std::string Pcm(const std::string& letters, uint64_t seed) {
    std::string bytes;
    AppendPcm16(ScriptedSamples(letters, seed), &bytes);
    return bytes;
  }

  FakeClock clock_;
  CountingObserver observer_;
  const std::shared_ptr<TestTransport> transport_ = std::make_shared<TestTransport>();
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ThreadPool> pool_;
  StreamContext context_;
};

TEST_F(SpeechStreamTest, SpeaksAndSumsUp) {
  Transcript t = Run(
      {SpeechConfig{.request_id = "r1", .seed = 9}, TextPiece{"Hello there. "}, TextPiece{"Bye."}});
  ASSERT_TRUE(t.end.status.ok()) << t.end.status;
  EXPECT_EQ(t.started->request_id, "r1");
  EXPECT_EQ(t.started->seed, 9u);
  EXPECT_EQ(t.started->voice, "tone");
  EXPECT_EQ(t.pcm, Pcm("HellothereBye", 9));
  EXPECT_EQ(t.summary->audio_duration, 13 * absl::Milliseconds(40));
  EXPECT_EQ(t.summary->clauses, 2);
  EXPECT_EQ(t.summary->text_characters, 17);
  // The clock moves a millisecond a step: at least prefill, one frame and one chunk.
  EXPECT_GE(t.summary->timing.first_byte, absl::Milliseconds(3));
  EXPECT_GE(t.summary->timing.total, absl::Milliseconds(13 + 2));
  EXPECT_EQ(t.summary->timing.prefill, absl::Milliseconds(2));
  EXPECT_EQ(t.summary->timing.generation, 13 * absl::Milliseconds(1));
  EXPECT_GE(t.summary->timing.mean_batch_size, 1);
  EXPECT_EQ(observer_.ended, 1);
  EXPECT_EQ(observer_.chunks, t.summary->chunks);
}

TEST_F(SpeechStreamTest, HowTextIsSplitNeverChangesTheAudio) {
  const std::string text =
      "One two, three. Mr. Fox has 3.14 pies! \xE2\x80\x9CQuoted\xE2\x80\x9D? Yes";
  const std::string whole = Run({SpeechConfig{.seed = 5}, TextPiece{text}}).pcm;
  std::mt19937 random(1);
  for (int i = 0; i < 20; ++i) {
    std::vector<SpeechRequest> requests = {SpeechConfig{.seed = 5}};
    for (size_t at = 0; at < text.size();) {
      size_t n = 1 + random() % 9;
      requests.push_back(TextPiece{text.substr(at, n)});
      at += n;
    }
    EXPECT_EQ(Run(std::move(requests)).pcm, whole);
  }
}

TEST_F(SpeechStreamTest, FlushSpeaksNowAndReturnsItsMarker) {
  auto stream = NewStream();
  stream->Handle(SpeechConfig{.seed = 1});
  stream->Handle(TextPiece{"Unfinished"});
  stream->Handle(FlushText{"m1"});
  Transcript t;
  while (t.markers.empty()) {
    Keep(std::get<SpeechResponse>(transport_->Await(*stream)), &t);
    stream->OnWritten();
  }
  EXPECT_EQ(t.markers[0].id, "m1");
  EXPECT_EQ(t.markers[0].offset, 10 * absl::Milliseconds(40));
  EXPECT_EQ(t.pcm, Pcm("Unfinished", 1));
  stream->Handle(TextPiece{" more"});
  stream->HalfClose();
  t = ReadAll(*stream, t);
  EXPECT_TRUE(t.end.status.ok()) << t.end.status;
  EXPECT_EQ(t.pcm, Pcm("Unfinishedmore", 1));
}

TEST_F(SpeechStreamTest, OpusPacketsAreEncodedOffTheLane) {
  Transcript t =
      Run({SpeechConfig{.audio = {.encoding = AudioEncoding::kOpus, .sample_rate_hertz = 0}},
           TextPiece{"Packets please."}});
  ASSERT_TRUE(t.end.status.ok()) << t.end.status;
  EXPECT_EQ(t.summary->audio_duration, 13 * absl::Milliseconds(40));
  EXPECT_EQ(t.packets.size(), 27u);  // 520 ms and the look-ahead
  EXPECT_GT(t.started->opus_pre_skip, 0);
}

TEST_F(SpeechStreamTest, AdmissionCountsWhatTheEncoderTakes) {
  std::vector<std::vector<std::unique_ptr<Model>>> lanes(1);
  lanes[0].push_back(MakeScriptedModel());
  engine_ = *Engine::Create(std::move(lanes), {});  // measured on the real clock
  context_.engine = engine_.get();
  auto load_of = [&](AudioEncoding encoding) {
    auto stream = NewStream();
    stream->Handle(SpeechConfig{.audio = {.encoding = encoding, .sample_rate_hertz = 0}});
    const double load = engine_->admission().load(0);
    stream->Cancel();
    ReadAll(*stream);
    while (engine_->admission().usage(0).used > 0) std::this_thread::yield();
    return load;
  };
  const double pcm = load_of(AudioEncoding::kPcm16);
  EXPECT_EQ(load_of(AudioEncoding::kWav), pcm);
  EXPECT_GT(load_of(AudioEncoding::kOpus), pcm);
}

TEST_F(SpeechStreamTest, WavHeaderIsNotMedia) {
  Transcript t = Run(
      {SpeechConfig{.audio = {.encoding = AudioEncoding::kWav, .sample_rate_hertz = 0}, .seed = 2},
       TextPiece{"Wave."}});
  EXPECT_EQ(t.started->container_header.size(), 44u);
  EXPECT_EQ(t.pcm, Pcm("Wave", 2));
}

TEST_F(SpeechStreamTest, NothingSpeakableIsAnError) {
  for (std::string text : {"", "   ", "?!... --", "\xF0\x9F\x98\x80\xF0\x9F\x98\x80"}) {
    Transcript t = Run({SpeechConfig{}, TextPiece{text}});
    EXPECT_EQ(Reason(t), "NO_SPEAKABLE_TEXT") << text;
    EXPECT_TRUE(absl::IsInvalidArgument(t.end.status));
  }
  ExpectUnharmed();
}

TEST_F(SpeechStreamTest, UnspeakableClauseAmongOthersIsSkipped) {
  Transcript t = Run({SpeechConfig{.seed = 1}, TextPiece{"Yes. \xF0\x9F\x98\x80! No."}});
  EXPECT_TRUE(t.end.status.ok()) << t.end.status;
  EXPECT_EQ(t.pcm, Pcm("YesNo", 1));
}

TEST_F(SpeechStreamTest, OrderOfMessagesIsEnforced) {
  EXPECT_EQ(Reason(Run({})), "CONFIG_MISSING");
  EXPECT_EQ(Reason(Run({TextPiece{"Early."}})), "CONFIG_MISSING");
  EXPECT_EQ(Reason(Run({FlushText{}})), "CONFIG_MISSING");
  EXPECT_EQ(Reason(Run({SpeechConfig{}, SpeechConfig{}})), "CONFIG_REPEATED");
  ExpectUnharmed();
}

TEST_F(SpeechStreamTest, BadConfigIsRefusedWithItsField) {
  struct Case {
    SpeechConfig config;
    std::string reason, field;
  };
  for (const Case& c : std::vector<Case>{
           {{.model = "nope"}, "MODEL_NOT_FOUND", "config.model"},
           {{.voice = "nope"}, "VOICE_NOT_FOUND", "config.voice"},
           {{.language_code = "fr"}, "LANGUAGE_NOT_SPOKEN", "config.language_code"},
           {{.speaking_rate = 9}, "SPEAKING_RATE_OUT_OF_RANGE", "config.speaking_rate"},
           {{.speaking_rate = std::nan("")}, "SPEAKING_RATE_OUT_OF_RANGE", "config.speaking_rate"},
           {{.audio = {.sample_rate_hertz = 44100}},
            "NOT_SUPPORTED",
            "config.audio.sample_rate_hertz"}}) {
    Transcript t = Run({c.config, TextPiece{"Hello."}});
    EXPECT_EQ(Reason(t), c.reason);
    EXPECT_EQ(DetailOf(t.end.status).metadata["field"], c.field);
    EXPECT_FALSE(t.started);
  }
  ExpectUnharmed();
}

TEST_F(SpeechStreamTest, InvalidUtf8EndsTheStream) {
  EXPECT_EQ(Reason(Run({SpeechConfig{}, TextPiece{"Good. \xFF\xFE"}})), "INVALID_UTF8");
  ExpectUnharmed();
}

TEST_F(SpeechStreamTest, OversizedMessageAndCharacterLimitAreRefused) {
  EXPECT_EQ(Reason(Run({SpeechConfig{}, TextPiece{std::string((64 << 10) + 1, 'a')}})),
            "TEXT_TOO_LONG");
  EXPECT_EQ(Reason(Run({SpeechConfig{.max_text_characters = 3}, TextPiece{"four"}})),
            "TEXT_TOO_LONG");
  ExpectUnharmed();
}

TEST_F(SpeechStreamTest, LongTextIsHeldBackAndSpokenWhole) {
  Make({.samples_per_frame = 16});  // 1 ms a letter
  context_.default_max_lead = absl::Hours(1);
  auto stream = NewStream();
  stream->Handle(SpeechConfig{.seed = 1});
  std::thread writer([&] {
    std::string piece(8 << 10, ' ');
    for (size_t i = 0; i < piece.size(); i += 8) piece.replace(i, 7, "abc def");
    for (int i = 0; i < 12; ++i) {
      transport_->AwaitReader(*stream);
      stream->Handle(TextPiece{piece});
    }
    stream->HalfClose();
  });
  Transcript t = ReadAll(*stream);
  writer.join();
  EXPECT_TRUE(t.end.status.ok()) << t.end.status;
  EXPECT_EQ(t.summary->audio_duration, 12 * 1024 * 6 * absl::Milliseconds(1));
  EXPECT_GT(transport_->reader_wakes, 0) << "reading was never held back";
}

TEST_F(SpeechStreamTest, MegabyteOfBlanksDoesNotBlockTheReader) {
  auto stream = NewStream();
  stream->Handle(SpeechConfig{.seed = 1});
  for (int i = 0; i < 16; ++i) {
    transport_->AwaitReader(*stream);
    stream->Handle(TextPiece{std::string(64 << 10, ' ')});
  }
  stream->HalfClose();
  EXPECT_EQ(Reason(ReadAll(*stream)), "NO_SPEAKABLE_TEXT");
}

TEST_F(SpeechStreamTest, MarkersThatNobodyReadsHoldBackTheReader) {
  auto stream = NewStream();
  stream->Handle(SpeechConfig{});
  for (int i = 0; i < SpeechStream::kMaxPendingMarkers; ++i) stream->Handle(FlushText{"m"});
  EXPECT_FALSE(stream->ReadyForMore());
  for (transport_->Await(*stream); transport_->reader_wakes == 0; stream->OnWritten()) {
    transport_->Await(*stream);  // a marker
  }
}

TEST_F(SpeechStreamTest, ClientThatNeverReadsIsBoundedAndCancellable) {
  context_.default_max_lead = absl::Hours(1);
  auto stream = NewStream();
  stream->Handle(SpeechConfig{});
  stream->Handle(TextPiece{std::string(20000, 'a')});  // 13 minutes, 25 MB
  stream->Handle(FlushText{});
  while (observer_.outbox_bytes < SpeechStream::kOutboxBytes - (32 << 10)) {
    std::this_thread::yield();
  }
  EXPECT_LE(observer_.outbox_bytes, SpeechStream::kOutboxBytes);
  while (observer_.slow_consumers == 0) std::this_thread::yield();
  for (int i = 0; i < 10; ++i) stream->state(clock_.Now());
  EXPECT_EQ(observer_.slow_consumers, 1);  // it is the same wait
  stream->Cancel();
  EXPECT_TRUE(absl::IsCancelled(ReadAll(*stream).end.status));
  ExpectUnharmed();
}

TEST_F(SpeechStreamTest, CancelAtAnyMomentEndsOnceAndFreesTheSlot) {
  for (int i = 0; i < 60; ++i) {
    auto stream = NewStream();
    stream->Handle(SpeechConfig{});
    stream->Handle(TextPiece{"Some words to say. And more of them."});
    stream->HalfClose();
    Transcript t;
    for (int read = 0; read < i / 5; ++read) {  // there are more messages than that
      Keep(std::get<SpeechResponse>(transport_->Await(*stream)), &t);
      stream->OnWritten();
    }
    std::thread canceller([&] { stream->Cancel(); });
    ReadAll(*stream, t);
    canceller.join();
  }
  EXPECT_EQ(observer_.ended, 60);
  ExpectUnharmed();
}

TEST_F(SpeechStreamTest, WaitingForTextIsNotAnUnderrun) {
  auto stream = NewStream();
  Transcript t;
  stream->Handle(SpeechConfig{});
  for (std::string marker : {"1", "2"}) {
    stream->Handle(TextPiece{"Some words. "});
    stream->Handle(FlushText{marker});
    while (t.markers.empty() || t.markers.back().id != marker) {
      Keep(std::get<SpeechResponse>(transport_->Await(*stream)), &t);
      stream->OnWritten();
    }
    clock_.Advance(absl::Seconds(30));  // everything is played, and the client is silent
  }
  stream->HalfClose();
  EXPECT_TRUE(ReadAll(*stream, t).end.status.ok());
  EXPECT_EQ(observer_.underruns, 0);
  EXPECT_EQ(observer_.starved, 1);
}

TEST_F(SpeechStreamTest, SilenceWhileThereIsTextIsAnUnderrun) {
  Make({.on_step = [this](Stage stage, int) {
    if (stage == Stage::kGenerate) clock_.Advance(absl::Milliseconds(100));  // 40 ms of speech
    return absl::OkStatus();
  }});
  auto transport = std::make_shared<InlineTransport>();
  transport->stream = SpeechStream::Create(context_, "Synthesize", transport);
  transport->stream->Handle(SpeechConfig{});
  transport->stream->Handle(TextPiece{"Slow."});
  transport->stream->HalfClose();
  transport->AwaitEnd();
  transport->stream.reset();
  EXPECT_EQ(observer_.underruns, 3);  // between four chunks
  EXPECT_EQ(observer_.starved, 0);
  EXPECT_EQ(observer_.slow_consumers, 0);
  MutexLock lock(&observer_.mu);
  EXPECT_GT(observer_.last.end.summary.timing.realtime_factor, 2);
}

TEST_F(SpeechStreamTest, SessionFailureReachesItsClientOnly) {
  Make({.poison_letter = 'X'});
  EXPECT_EQ(Reason(Run({SpeechConfig{}, TextPiece{"An aXe."}})), "SCRIPTED_FAILURE");
  ExpectUnharmed();
}

TEST_F(SpeechStreamTest, FullServerRefusesWithRetryDelay) {
  Make({.slots = 1});
  auto holder = NewStream();
  holder->Handle(SpeechConfig{});
  Transcript refused = Run({SpeechConfig{}, TextPiece{"Me too."}});
  EXPECT_EQ(Reason(refused), "NO_SLOT");
  EXPECT_TRUE(DetailOf(refused.end.status).retry_after.has_value());
  EXPECT_FALSE(refused.started);
  holder->Cancel();
  ReadAll(*holder);
}

TEST_F(SpeechStreamTest, ManyStreamsAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this, i] {
      auto transport = std::make_shared<TestTransport>();
      for (int n = 0; n < 5; ++n) {
        auto stream = SpeechStream::Create(context_, "Synthesize", transport);
        stream->Handle(SpeechConfig{.seed = static_cast<uint64_t>(i)});
        stream->Handle(TextPiece{"Together. Now."});
        stream->HalfClose();
        std::string pcm;
        while (true) {
          auto next = transport->Await(*stream);
          if (std::holds_alternative<SpeechEnd>(next)) break;
          if (auto* audio = std::get_if<SpeechAudio>(&std::get<SpeechResponse>(next))) {
            pcm += audio->audio.data;
          }
          stream->OnWritten();
        }
        EXPECT_EQ(pcm, Pcm("TogetherNow", i));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(engine_->admission().usage(0).used, 0);
}

}  // namespace
}  // namespace firstbyte
