#include "client/speech_client.h"

#include <string>
#include <thread>

#include "base/error.h"
#include "codec/pcm.h"
#include "gtest/gtest.h"
#include "tests/fake/fake_speech_service.h"

namespace firstbyte {
namespace {

v1::SynthesizeConfig WithVoice(const std::string& voice) {
  v1::SynthesizeConfig config;
  config.set_voice(voice);
  return config;
}

class SpeechClientTest : public testing::Test {
 protected:
  FakeSpeechServer server_;
  SpeechClient client_{server_.target()};
};

TEST_F(SpeechClientTest, StreamsTextInAndAudioOut) {
  auto stream = client_.Synthesize({});
  ASSERT_TRUE(stream->Say("Hello ").ok());
  v1::SynthesizeResponse response;
  ASSERT_TRUE(stream->Next(&response));
  EXPECT_EQ(response.started().model(), "fake");
  ASSERT_TRUE(stream->Next(&response)) << "audio comes before the text has ended";
  std::string audio = response.audio().data();
  ASSERT_TRUE(stream->Say("there.").ok());
  ASSERT_TRUE(stream->Flush("m").ok());
  ASSERT_TRUE(stream->EndText().ok());
  bool marked = false, summed = false;
  while (stream->Next(&response)) {
    audio += response.audio().data();
    marked |= response.marker().marker_id() == "m";
    summed |= response.has_summary();
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_TRUE(marked && summed);
  std::string expected;
  AppendPcm16(FakeSpeechService::Tone(12), &expected);
  EXPECT_EQ(audio, expected);
}

TEST_F(SpeechClientTest, LongTextIsCutBetweenCharacters) {
  auto stream = client_.Synthesize({});
  std::string text;
  for (int i = 0; i < 30000; ++i) text += "\xe2\x82\xac";
  std::thread writer([&] {
    EXPECT_TRUE(stream->Say(text).ok());
    stream->EndText().IgnoreError();
  });
  v1::SynthesizeResponse response;
  while (stream->Next(&response)) {
  }
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  std::string received;
  for (const std::string& piece : server_.service().texts()) {
    EXPECT_EQ(piece.size() % 3, 0u);
    EXPECT_LE(piece.size(), 64u << 10);
    received += piece;
  }
  EXPECT_TRUE(received == text);  // too long to print
}

TEST_F(SpeechClientTest, ARefusalArrivesWithItsReason) {
  auto stream = client_.Synthesize(WithVoice("full"));
  v1::SynthesizeResponse response;
  EXPECT_FALSE(stream->Next(&response));
  absl::Status status = stream->Finish();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(DetailOf(status).reason, "NO_SLOT");
  EXPECT_EQ(DetailOf(status).retry_after, absl::Milliseconds(250));
}

TEST_F(SpeechClientTest, CancelEndsAnEndlessStream) {
  auto stream = client_.Synthesize(WithVoice("endless"));
  ASSERT_TRUE(stream->Say("Go.").ok());
  v1::SynthesizeResponse response;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(stream->Next(&response));
  stream->Cancel();
  while (stream->Next(&response)) {
  }
  EXPECT_EQ(stream->Finish().code(), absl::StatusCode::kCancelled);
}

TEST_F(SpeechClientTest, DroppingAnUnfinishedStreamCancelsIt) {
  {
    auto stream = client_.Synthesize(WithVoice("endless"));
    ASSERT_TRUE(stream->Say("Go.").ok());
    v1::SynthesizeResponse response;
    ASSERT_TRUE(stream->Next(&response));
  }
  while (server_.service().cancelled() == 0) std::this_thread::yield();
}

TEST_F(SpeechClientTest, BadTextIsRefusedBeforeItIsSent) {
  auto stream = client_.Synthesize({});
  EXPECT_EQ(DetailOf(stream->Say("\xff")).reason, "INVALID_UTF8");
}

TEST_F(SpeechClientTest, AMissingServerIsUnavailable) {
  SpeechClient nobody("127.0.0.1:1");
  EXPECT_EQ(nobody.ListVoices().status().code(), absl::StatusCode::kUnavailable);
  auto stream = nobody.Synthesize({});
  v1::SynthesizeResponse response;
  EXPECT_FALSE(stream->Next(&response));
  EXPECT_EQ(stream->Finish().code(), absl::StatusCode::kUnavailable);
}

TEST_F(SpeechClientTest, ListsVoices) {
  auto voices = client_.ListVoices();
  ASSERT_TRUE(voices.ok());
  EXPECT_EQ(voices->voices(0).name(), "tone");
}

}  // namespace
}  // namespace firstbyte
