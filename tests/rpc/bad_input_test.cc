// What a client gets when it asks for nonsense: a status that says why, and a server as before.
#include <spawn.h>

#include <csignal>
#include <cstdlib>

#include <sys/wait.h>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/rpc/fixture.h"

namespace firstbyte {
namespace {

using grpc::StatusCode;

struct BadInput {
  const char* name;
  std::vector<v1::SynthesizeRequest> requests;
  StatusCode code;
  const char* reason;
  const char* field;  // in ErrorInfo.metadata; "" = none
};

// "*" is any text that says something.
testing::Matcher<std::string> Is(const std::string& want) {
  if (want == "*") return testing::SizeIs(testing::Gt(0u));
  return testing::Eq(want);
}

v1::SynthesizeRequest Config(const std::string& fields = "") {
  return Request("config { " + fields + " }");
}

const BadInput kBadInputs[] = {
    // Text with nothing to speak.
    {"NoText", {Config()}, StatusCode::INVALID_ARGUMENT, "NO_SPEAKABLE_TEXT", "text.content"},
    {"EmptyText",
     {Config(), Text("")},
     StatusCode::INVALID_ARGUMENT,
     "NO_SPEAKABLE_TEXT",
     "text.content"},
    {"OnlyPunctuation",
     {Config(), Text("?!... --- ,,, ;")},
     StatusCode::INVALID_ARGUMENT,
     "NO_SPEAKABLE_TEXT",
     "text.content"},
    {"OnlySpaces",
     {Config(), Text(" \n\t ")},
     StatusCode::INVALID_ARGUMENT,
     "NO_SPEAKABLE_TEXT",
     "text.content"},
    {"OnlyEmoji",
     {Config(), Text("\U0001F600\U0001F680")},
     StatusCode::INVALID_ARGUMENT,
     "NO_SPEAKABLE_TEXT",
     "text.content"},
    {"OnlyAnotherScript",
     {Config(), Text("こんにちは、世界。")},
     StatusCode::INVALID_ARGUMENT,
     "NO_SPEAKABLE_TEXT",
     "text.content"},
    // Too much of it, or not text.
    {"OneMegabyteInOneMessage",
     {Config(), Text(std::string(1 << 20, 'a'))},
     StatusCode::INVALID_ARGUMENT,
     "TEXT_TOO_LONG",
     "text.content"},
    {"MoreThanItsOwnLimit",
     {Config("limits { max_text_characters: 4 }"), Text("Hello.")},
     StatusCode::INVALID_ARGUMENT,
     "TEXT_TOO_LONG",
     "text.content"},
    {"Latin1Text",
     {Config(), Text("caf\xe9")},
     StatusCode::INVALID_ARGUMENT,
     "INVALID_UTF8",
     "text.content"},
    {"Utf8CutInTheMiddle",
     {Config(), Text("caf\xc3"), Text("\xa9")},
     StatusCode::INVALID_ARGUMENT,
     "INVALID_UTF8",
     "text.content"},
    // Messages out of order.
    {"HalfCloseAtOnce", {}, StatusCode::INVALID_ARGUMENT, "CONFIG_MISSING", "config"},
    {"TextBeforeConfig",
     {Text("Hello.")},
     StatusCode::INVALID_ARGUMENT,
     "CONFIG_MISSING",
     "config"},
    {"FlushBeforeConfig",
     {Request("flush {}")},
     StatusCode::INVALID_ARGUMENT,
     "CONFIG_MISSING",
     "config"},
    {"TwoConfigs",
     {Config(), Text("Hello."), Config()},
     StatusCode::INVALID_ARGUMENT,
     "CONFIG_REPEATED",
     "config"},
    {"EmptyMessage", {Request("")}, StatusCode::INVALID_ARGUMENT, "EMPTY_MESSAGE", "request"},
    // Values.
    {"UnknownVoice",
     {Config("voice: 'nobody'")},
     StatusCode::NOT_FOUND,
     "VOICE_NOT_FOUND",
     "config.voice"},
    {"UnknownModel",
     {Config("model: 'nothing'")},
     StatusCode::NOT_FOUND,
     "MODEL_NOT_FOUND",
     "config.model"},
    {"UnknownLanguage",
     {Config("language_code: 'tlh'")},
     StatusCode::INVALID_ARGUMENT,
     "LANGUAGE_NOT_SPOKEN",
     "config.language_code"},
    {"RateZero",
     {Config("speaking_rate: 0")},
     StatusCode::INVALID_ARGUMENT,
     "SPEAKING_RATE_OUT_OF_RANGE",
     "config.speaking_rate"},
    {"RateNegative",
     {Config("speaking_rate: -1")},
     StatusCode::INVALID_ARGUMENT,
     "SPEAKING_RATE_OUT_OF_RANGE",
     "config.speaking_rate"},
    {"RateHuge",
     {Config("speaking_rate: 1e30")},
     StatusCode::INVALID_ARGUMENT,
     "SPEAKING_RATE_OUT_OF_RANGE",
     "config.speaking_rate"},
    {"RateNan",
     {Config("speaking_rate: nan")},
     StatusCode::INVALID_ARGUMENT,
     "SPEAKING_RATE_OUT_OF_RANGE",
     "config.speaking_rate"},
    {"RateInfinite",
     {Config("speaking_rate: inf")},
     StatusCode::INVALID_ARGUMENT,
     "SPEAKING_RATE_OUT_OF_RANGE",
     "config.speaking_rate"},
    {"LeadTooLong",
     {Config("chunking { max_lead_duration { seconds: 9223372036854775807 } }")},
     StatusCode::INVALID_ARGUMENT,
     "OUT_OF_RANGE",
     "config.chunking.max_lead_duration"},
    {"LeadNegative",
     {Config("chunking { max_lead_duration { seconds: -1 } }")},
     StatusCode::INVALID_ARGUMENT,
     "OUT_OF_RANGE",
     "config.chunking.max_lead_duration"},
    {"NegativeLimit",
     {Config("limits { max_text_characters: -1 }")},
     StatusCode::INVALID_ARGUMENT,
     "OUT_OF_RANGE",
     "config.limits.max_text_characters"},
    {"NegativeSampleRate",
     {Config("audio { sample_rate_hertz: -16000 }")},
     StatusCode::INVALID_ARGUMENT,
     "OUT_OF_RANGE",
     "config.audio.sample_rate_hertz"},
    {"BitrateForPcm",
     {Config("audio { bitrate_bps: 24000 }")},
     StatusCode::INVALID_ARGUMENT,
     "OUT_OF_RANGE",
     "config.audio.bitrate_bps"},
    {"OpusFrameOf15Ms",
     {Config("audio { encoding: AUDIO_ENCODING_OPUS opus_frame_duration { nanos: 15000000 } }")},
     StatusCode::INVALID_ARGUMENT,
     "*",
     "*"},
    {"OpusAtOneBitPerSecond",
     {Config("audio { encoding: AUDIO_ENCODING_OPUS bitrate_bps: 1 }")},
     StatusCode::INVALID_ARGUMENT,
     "*",
     "*"},
    {"RequestIdWithLineBreak",
     {Config("request_id: 'a\\nb'")},
     StatusCode::INVALID_ARGUMENT,
     "OUT_OF_RANGE",
     "config.request_id"},
    {"RequestIdTooLong",
     {Config("request_id: '" + std::string(129, 'x') + "'")},
     StatusCode::INVALID_ARGUMENT,
     "OUT_OF_RANGE",
     "config.request_id"},
    {"LongMarker",
     {Config(), Request("flush { marker_id: '" + std::string(129, 'x') + "' }")},
     StatusCode::INVALID_ARGUMENT,
     "OUT_OF_RANGE",
     "flush.marker_id"},
    // What the wire can say and this server does not do yet.
    {"Temperature",
     {Config("sampling { temperature: 1 }")},
     StatusCode::UNIMPLEMENTED,
     "NOT_SUPPORTED",
     "config.sampling.temperature"},
    {"TopK",
     {Config("sampling { top_k: 0 }")},
     StatusCode::UNIMPLEMENTED,
     "NOT_SUPPORTED",
     "config.sampling.top_k"},
    {"Pitch",
     {Config("pitch_semitones: 0")},
     StatusCode::UNIMPLEMENTED,
     "NOT_SUPPORTED",
     "config.pitch_semitones"},
    {"Volume",
     {Config("volume_db: 3")},
     StatusCode::UNIMPLEMENTED,
     "NOT_SUPPORTED",
     "config.volume_db"},
    {"Pronunciations",
     {Config("pronunciations { word: 'a' }")},
     StatusCode::UNIMPLEMENTED,
     "NOT_SUPPORTED",
     "config.pronunciations"},
    {"MaxAudio",
     {Config("limits { max_audio_duration { seconds: 1 } }")},
     StatusCode::UNIMPLEMENTED,
     "NOT_SUPPORTED",
     "config.limits.max_audio_duration"},
    {"FirstChunk",
     {Config("chunking { first_chunk_duration { nanos: 1 } }")},
     StatusCode::UNIMPLEMENTED,
     "NOT_SUPPORTED",
     "config.chunking.first_chunk_duration"},
    {"Timestamps",
     {Config("timestamps: TIMESTAMP_LEVEL_WORD")},
     StatusCode::UNIMPLEMENTED,
     "NOT_SUPPORTED",
     "config.timestamps"},
    {"Ssml",
     {Config(), Request("text { content: '<speak/>' kind: TEXT_KIND_SSML }")},
     StatusCode::UNIMPLEMENTED,
     "NOT_SUPPORTED",
     "text.kind"},
    {"Interrupt",
     {Config(), Request("interrupt {}")},
     StatusCode::UNIMPLEMENTED,
     "NOT_SUPPORTED",
     "interrupt"},
    {"Playback",
     {Config(), Request("playback {}")},
     StatusCode::UNIMPLEMENTED,
     "NOT_SUPPORTED",
     "playback"},
    {"Float32",
     {Config("audio { encoding: AUDIO_ENCODING_FLOAT32 }")},
     StatusCode::UNIMPLEMENTED,
     "NOT_SUPPORTED",
     "*"},
    {"OtherSampleRate",
     {Config("audio { sample_rate_hertz: 48000 }")},
     StatusCode::UNIMPLEMENTED,
     "NOT_SUPPORTED",
     "config.audio.sample_rate_hertz"},
    {"UnknownEncoding",
     {Config("audio { encoding: 99 }")},
     StatusCode::INVALID_ARGUMENT,
     "OUT_OF_RANGE",
     "config.audio.encoding"},
};

std::string NameOf(const testing::TestParamInfo<BadInput>& info) { return info.param.name; }
void PrintTo(const BadInput& input, std::ostream* out) { *out << input.name; }

class BadInputTest : public RpcTest, public testing::WithParamInterface<BadInput> {};

TEST_P(BadInputTest, GetsAStatusThatSaysWhyAndHarmsNobody) {
  const BadInput& bad = GetParam();
  Start();
  Heard heard = Synthesize(bad.requests);
  EXPECT_EQ(heard.status.error_code(), bad.code) << heard.status.error_message();
  EXPECT_NE(heard.status.error_message(), "");
  const google::rpc::ErrorInfo info = ErrorInfoOf(heard.status);
  EXPECT_EQ(info.domain(), "firstbyte");
  EXPECT_THAT(info.reason(), Is(bad.reason));
  std::string field;
  if (info.metadata().count("field")) field = info.metadata().at("field");
  EXPECT_THAT(field, Is(bad.field));
  if (bad.code == StatusCode::INVALID_ARGUMENT) {
    ASSERT_EQ(BadRequestOf(heard.status).field_violations_size(), 1);
    EXPECT_EQ(BadRequestOf(heard.status).field_violations(0).field(), field);
  }
  EXPECT_EQ(heard.trailers.count("x-request-id"), 1u);
  for (const auto& response : heard.responses) EXPECT_FALSE(response.has_summary());
  ExpectUnharmed();
}

INSTANTIATE_TEST_SUITE_P(All, BadInputTest, testing::ValuesIn(kBadInputs), NameOf);

using OddInputTest = RpcTest;

TEST_F(OddInputTest, OnceRefusesTheSameThings) {
  Start();
  for (const auto& [request, reason] : std::vector<std::pair<std::string, std::string>>{
           {"", "NO_SPEAKABLE_TEXT"},
           {"text { content: '...' }", "NO_SPEAKABLE_TEXT"},
           {"config { voice: 'nobody' } text { content: 'Hi.' }", "VOICE_NOT_FOUND"},
           {"text { content: '" + std::string(70000, 'a') + "' }", "TEXT_TOO_LONG"},
           {"text { content: 'caf\\351' }", "INVALID_UTF8"},
           {"config { volume_db: 1 }", "NOT_SUPPORTED"}}) {
    Heard heard = SynthesizeOnce(request);
    EXPECT_EQ(ErrorInfoOf(heard.status).reason(), reason);
    EXPECT_EQ(heard.trailers.count("x-request-id"), 1u);
  }
  ExpectUnharmed();
}

TEST_F(OddInputTest, WordsAmongEmojiAndOtherScriptsAreSpoken) {
  Start();
  Heard heard = Synthesize(
      {Config("sampling { seed: 1 }"), Text("\U0001F600 Hello \U0001F680 Привет friend.")});
  ASSERT_TRUE(heard.status.ok()) << heard.status.error_message();
  EXPECT_EQ(heard.audio(), Pcm("Hellofriend", 1));
}

TEST_F(OddInputTest, AMegabyteInManyMessagesIsSpokenOrHeldBackNeverKept) {
  Start();
  grpc::ClientContext context;
  auto stream = stub_->Synthesize(&context);
  ASSERT_TRUE(stream->Write(Config()));
  // With 64 KiB waiting the server stops reading; what transport buffers take on top is bounded.
  // The reader that would let it go on never comes, so this call ends by our cancel.
  std::thread canceller([&] {
    v1::SynthesizeResponse response;
    for (int i = 0; i < 5; ++i) stream->Read(&response);
    context.TryCancel();
  });
  for (int i = 0; i < 1024 && stream->Write(Text(std::string(1000, 'a') + ". ")); ++i) {
  }
  canceller.join();
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
  ExpectUnharmed();
}

TEST_F(OddInputTest, AClientThatNeverReadsHoldsUpNobodyElse) {
  Start();
  grpc::ClientContext context;
  auto deaf = stub_->Synthesize(&context);
  std::string text;
  while (text.size() < 60000) text += "A long story that nobody listens to. ";
  ASSERT_TRUE(deaf->Write(Config("chunking { max_lead_duration { seconds: 60 } }")));
  ASSERT_TRUE(deaf->Write(Text(text)));
  for (int i = 0; i < 3; ++i) {
    Heard other = Synthesize({Config("sampling { seed: 3 }"), Text("Still here.")});
    EXPECT_TRUE(other.status.ok()) << other.status.error_message();
    EXPECT_EQ(other.audio(), Pcm("Stillhere", 3));
  }
  context.TryCancel();
  EXPECT_EQ(deaf->Finish().error_code(), StatusCode::CANCELLED);
  ExpectUnharmed();
}

TEST_F(OddInputTest, AClientThatSaysNothingIsNotWaitedForForEver) {
  Start({}, {.first_message_timeout = absl::Milliseconds(100)});
  grpc::ClientContext context;
  auto silent = stub_->Synthesize(&context);
  const grpc::Status status = silent->Finish();
  EXPECT_EQ(status.error_code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "CONFIG_TIMEOUT");
  ExpectUnharmed();
}

TEST_F(OddInputTest, ADeadlineFreesTheSlot) {
  Start();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(50));
  auto stream = stub_->Synthesize(&context);
  ASSERT_TRUE(stream->Write(Config()));
  v1::SynthesizeResponse response;
  while (stream->Read(&response)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::DEADLINE_EXCEEDED);
  ExpectUnharmed();
}

TEST_F(OddInputTest, CancelWhileSpeakingFreesTheSlot) {
  Start();
  for (int i = 0; i < 8; ++i) {
    grpc::ClientContext context;
    auto stream = stub_->Synthesize(&context);
    stream->Write(Config());
    stream->Write(Text("A sentence that is cut off somewhere. And another one."));
    if (i % 2 == 0) stream->WritesDone();
    v1::SynthesizeResponse response;
    for (int reads = 0; reads < i / 2; ++reads) stream->Read(&response);
    context.TryCancel();
    stream->Finish();
  }
  ExpectUnharmed();
}

TEST_F(OddInputTest, AFailureInsideTheModelEndsThatStreamOnly) {
  Start({.poison_letter = 'X'});
  Heard heard = Synthesize({Config(), Text("So far so good. X marks the spot.")});
  EXPECT_EQ(heard.status.error_code(), StatusCode::INTERNAL);
  EXPECT_EQ(ErrorInfoOf(heard.status).reason(), "SCRIPTED_FAILURE");
  ExpectUnharmed();
}

// A process that is killed while it listens: no goodbye on the wire. Run by the test below.
TEST(VanishingClient, DISABLED_Run) {
  auto channel =
      grpc::CreateChannel(std::getenv("FIRSTBYTE_TARGET"), grpc::InsecureChannelCredentials());
  auto stub = v1::SpeechService::NewStub(channel);
  grpc::ClientContext context;
  auto stream = stub->Synthesize(&context);
  stream->Write(Config());
  stream->Write(Text("I am about to vanish. And"));
  v1::SynthesizeResponse response;
  while (stream->Read(&response) && !response.has_audio()) {
  }
  raise(SIGKILL);
}

TEST_F(OddInputTest, AClientThatVanishesFreesTheSlot) {
  Start();
  setenv("FIRSTBYTE_TARGET", target().c_str(), 1);
  const char* argv[] = {"rpc_test", "--gtest_filter=VanishingClient.DISABLED_Run",
                        "--gtest_also_run_disabled_tests", nullptr};
  pid_t pid = 0;
  ASSERT_EQ(
      posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, const_cast<char**>(argv), environ), 0);
  int state = 0;
  waitpid(pid, &state, 0);
  ASSERT_TRUE(WIFSIGNALED(state) && WTERMSIG(state) == SIGKILL)
      << "the client did not get that far";
  ExpectUnharmed();
}

}  // namespace
}  // namespace firstbyte
