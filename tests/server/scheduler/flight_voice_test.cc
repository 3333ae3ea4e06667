// The flight recorder and its replay with weights: the embedded voice, streams in shared steps.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/registry/registry.h"
#include "server/scheduler/flight_recorder.h"
#include "server/scheduler/lane.h"
#include "server/scheduler/replay.h"
#include "tests/server/scheduler/recording_port.h"

namespace firstbyte {
namespace {

std::vector<std::unique_ptr<Model>> Voice() {
  auto models = OpenModelFolder(std::string(FIRSTBYTE_SOURCE_DIR) + "/models/aligned-mel-en",
                                {.lanes = 1, .slots = 4, .max_batch = 4});
  EXPECT_TRUE(models.ok()) << models.status();
  return *std::move(models);
}

std::string Record(const std::vector<std::string>& texts) {
  auto models = Voice();
  const Model& voice = *models[0];
  FlightRecorder recorder(0, {&voice.info()}, {.inputs = true}, &Clock::Steady());
  AdmissionLedger ledger(std::vector<std::vector<int>>{{4}});
  Lane lane(1, {.watchers = {&recorder}});
  lane.Add(0, std::move(models[0]), {});
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto id = lane.Open({.spec = {.voice = voice.info().voices[0].name, .seed = i + 1},
                               .max_lead = absl::Minutes(1),
                               .port = std::make_shared<RecordingPort>(),
                               .seat = *ledger.Admit({})});
    lane.Push(id, *voice.Prepare({texts[i]}),
              std::make_shared<RawInput>(RawInput{.text = texts[i]}));
    lane.Push(id, EndOfInput{});
  }
  while (lane.RunOnce() == absl::ZeroDuration()) {
  }
  return ToText(recorder.Take());
}

TEST(FlightOfAVoice, MakesTheSameBytesAgain) {
  const auto logs =
      ParseFlightLogs(Record({"Good morning.", "It is raining in the hills.", "Yes."}));
  ASSERT_TRUE(logs.ok()) << logs.status();
  auto sessions = Replay(logs->at(0), Voice());
  ASSERT_TRUE(sessions.ok()) << sessions.status();
  ASSERT_EQ(sessions->size(), 3u);
  for (const ReplayedSession& session : *sessions) {
    EXPECT_EQ(session.result, ReplayedSession::Result::kSame) << session.session << session.why;
    EXPECT_GT(session.media_bytes, 16000) << session.session;
  }
}

TEST(FlightOfAVoice, AnotherSeedMakesOtherBytes) {
  std::string text = Record({"Good morning."});
  text.replace(text.find("\"seed\":1"), 8, "\"seed\":2");
  auto sessions = Replay(ParseFlightLogs(text)->at(0), Voice());
  ASSERT_TRUE(sessions.ok()) << sessions.status();
  EXPECT_EQ(sessions->at(0).result, ReplayedSession::Result::kDiffers);
}

}  // namespace
}  // namespace firstbyte
