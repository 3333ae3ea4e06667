// What a client gets when it asks properly.
#include "gmock/gmock.h"
#include "tests/rpc/fixture.h"

namespace firstbyte {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using testing::UnorderedElementsAre;

double Seconds(const google::protobuf::Duration& d) { return d.seconds() + 1e-9 * d.nanos(); }

class SpeechTest : public RpcTest {
 protected:
  void SetUp() override { Start(); }
};

TEST_F(SpeechTest, StartedThenAudioThenSummary) {
  Heard heard = Synthesize({Request("config { request_id: 'r-1' sampling { seed: 9 } }"),
                            Text("Hello there. "), Text("Bye.")});
  ASSERT_TRUE(heard.status.ok()) << heard.status.error_message();
  EXPECT_EQ(heard.audio(), Pcm("HellothereBye", 9));
  EXPECT_EQ(heard.started().request_id(), "r-1");
  EXPECT_EQ(heard.started().model(), "scripted");
  EXPECT_EQ(heard.started().voice(), "tone");
  EXPECT_EQ(heard.started().seed(), 9u);
  EXPECT_EQ(heard.started().audio_format().encoding(), v1::AUDIO_ENCODING_PCM16);
  EXPECT_EQ(heard.started().audio_format().sample_rate_hertz(), 16000);
  EXPECT_EQ(heard.started().audio_format().channel_count(), 1);
  ASSERT_TRUE(heard.responses.back().has_summary());
  EXPECT_EQ(heard.summary().finish_reason(), v1::FINISH_REASON_COMPLETED);
  EXPECT_EQ(heard.summary().clause_count(), 2);
  EXPECT_EQ(heard.summary().text_characters(), 17);
  EXPECT_DOUBLE_EQ(Seconds(heard.summary().audio_duration()), 13 * 0.04);
}

TEST_F(SpeechTest, AudioFollowsWithoutGapOrOverlap) {
  Heard heard = Synthesize({Request("config {}"), Text("One two three four five six seven.")});
  int64_t sequence = 0;
  double offset = 0;
  for (const auto& response : heard.responses) {
    if (!response.has_audio()) continue;
    EXPECT_EQ(response.audio().sequence(), sequence++);
    EXPECT_NEAR(Seconds(response.audio().start_offset()), offset, 1e-9);
    offset += Seconds(response.audio().duration());
    EXPECT_NEAR(response.audio().data().size() / 32000., Seconds(response.audio().duration()),
                1e-9);
  }
  EXPECT_NEAR(Seconds(heard.summary().audio_duration()), offset, 1e-9);
  EXPECT_EQ(heard.summary().chunk_count(), sequence);
}

TEST_F(SpeechTest, EndsWithTrailingMetadata) {
  Heard heard = Synthesize({Request("config { request_id: 'mine' }"), Text("Hello.")});
  EXPECT_EQ(heard.trailers["x-request-id"], "mine");
  for (const char* key : {"x-ttfb-ms", "x-queue-ms", "x-generation-ms", "x-rtf"}) {
    EXPECT_GE(std::stod(heard.trailers[key]), 0) << key;
  }
  EXPECT_DOUBLE_EQ(std::stod(heard.trailers["x-audio-ms"]), 200);
}

TEST_F(SpeechTest, RequestIdComesFromMetadataOrIsMade) {
  grpc::ClientContext context;
  context.AddMetadata("x-request-id", "from-metadata");
  auto stream = stub_->Synthesize(&context);
  stream->Write(Request("config {}"));
  stream->Write(Text("Hello."));
  stream->WritesDone();
  v1::SynthesizeResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.started().request_id(), "from-metadata");
  while (stream->Read(&response)) {
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(Synthesize({Request("config {}"), Text("Hi.")}).started().request_id().size(), 36u);
}

TEST_F(SpeechTest, OnceSaysTheSameAsTheStream) {
  Heard once =
      SynthesizeOnce("config { sampling { seed: 4 } } text { content: 'All at once. Done' }");
  ASSERT_TRUE(once.status.ok()) << once.status.error_message();
  EXPECT_EQ(once.audio(), Pcm("AllatonceDone", 4));
  EXPECT_EQ(once.started().seed(), 4u);
  EXPECT_TRUE(once.responses.back().has_summary());
  EXPECT_THAT(once.trailers["x-ttfb-ms"], Not(IsEmpty()));
}

TEST_F(SpeechTest, SeedIsDrawnAndToldAndReproduces) {
  Heard first = Synthesize({Request("config {}"), Text("Again.")});
  EXPECT_NE(first.started().seed(), 0u);
  v1::SynthesizeRequest config;
  config.mutable_config()->mutable_sampling()->set_seed(first.started().seed());
  EXPECT_EQ(Synthesize({config, Text("Again.")}).audio(), first.audio());
}

TEST_F(SpeechTest, MarkerComesBehindTheFlushedAudio) {
  Heard heard = Synthesize(
      {Request("config {}"), Text("One"), Request("flush { marker_id: 'm' }"), Text(" two")});
  size_t before = 0;
  for (const auto& response : heard.responses) {
    if (response.has_marker()) {
      EXPECT_EQ(response.marker().marker_id(), "m");
      EXPECT_DOUBLE_EQ(Seconds(response.marker().audio_offset()), 3 * 0.04);
      EXPECT_EQ(before, 3u * 640 * 2);
    }
    before += response.audio().data().size();
  }
  EXPECT_EQ(before, 6u * 640 * 2);
}

TEST_F(SpeechTest, WavHeaderIsInStartedAndIsNotMedia) {
  Heard heard =
      Synthesize({Request("config { sampling { seed: 2 } audio { encoding: AUDIO_ENCODING_WAV } }"),
                  Text("Wave.")});
  EXPECT_THAT(heard.started().audio_format().container_header(),
              StartsWith("RIFF\xff\xff\xff\xffWAVE"));
  EXPECT_EQ(heard.audio(), Pcm("Wave", 2));
}

TEST_F(SpeechTest, OpusComesInPackets) {
  Heard heard =
      Synthesize({Request("config { audio { encoding: AUDIO_ENCODING_OPUS bitrate_bps: 32000 "
                          "opus_frame_duration { nanos: 20000000 } } }"),
                  Text("Opus is small.")});
  ASSERT_TRUE(heard.status.ok()) << heard.status.error_message();
  EXPECT_GT(heard.started().audio_format().opus_pre_skip_samples(), 0);
  EXPECT_EQ(heard.audio(), "");
  EXPECT_GE(heard.packets().size(), 11u * 2);  // 11 letters of 40 ms in packets of 20 ms
  EXPECT_DOUBLE_EQ(Seconds(heard.summary().audio_duration()), 11 * 0.04);
}

TEST_F(SpeechTest, FirstAudioDoesNotWaitForTheEndOfTheText) {
  grpc::ClientContext context;
  auto stream = stub_->Synthesize(&context);
  stream->Write(Request("config {}"));
  stream->Write(Text("A first sentence. A"));
  v1::SynthesizeResponse response;
  while (stream->Read(&response) && !response.has_audio()) {
  }
  EXPECT_TRUE(response.has_audio());
  stream->WritesDone();
  while (stream->Read(&response)) {
  }
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(SpeechTest, ListVoicesTellsWhatTheModelCanDo) {
  grpc::ClientContext context;
  v1::ListVoicesResponse response;
  const grpc::Status status = stub_->ListVoices(&context, {}, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.voices_size(), 1);
  const v1::Voice& voice = response.voices(0);
  EXPECT_EQ(voice.name(), "tone");
  EXPECT_EQ(voice.model(), "scripted");
  EXPECT_TRUE(voice.is_default());
  EXPECT_EQ(voice.sample_rate_hertz(), 16000);
  EXPECT_THAT(voice.language_codes(), ElementsAre("en-US"));
  EXPECT_THAT(voice.supported_sampling_fields(), ElementsAre("seed"));
  EXPECT_THAT(voice.supported_encodings(),
              UnorderedElementsAre(v1::AUDIO_ENCODING_PCM16, v1::AUDIO_ENCODING_WAV,
                                   v1::AUDIO_ENCODING_OPUS));
  EXPECT_FLOAT_EQ(voice.max_speaking_rate(), 1.4f);
  EXPECT_EQ(context.GetServerTrailingMetadata().count("x-request-id"), 1u);
}

TEST_F(SpeechTest, ListVoicesFilters) {
  auto count = [&](const char* language, const char* model) {
    grpc::ClientContext context;
    v1::ListVoicesRequest request;
    request.set_language_code(language);
    request.set_model(model);
    v1::ListVoicesResponse response;
    EXPECT_TRUE(stub_->ListVoices(&context, request, &response).ok());
    return response.voices_size();
  };
  EXPECT_EQ(count("en", ""), 1);
  EXPECT_EQ(count("en-us", "scripted"), 1);
  EXPECT_EQ(count("fr", ""), 0);
  EXPECT_EQ(count("e", ""), 0);
  EXPECT_EQ(count("", "other"), 0);
}

}  // namespace
}  // namespace firstbyte
