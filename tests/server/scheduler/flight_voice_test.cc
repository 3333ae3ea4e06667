// The flight recorder and its replay with weights: the embedded voice, streams in shared steps, on
// the CPU and on an emulated GPU, where two steps are under way.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/registry/registry.h"
#include "server/scheduler/flight_recorder.h"
#include "server/scheduler/lane.h"
#include "server/scheduler/replay.h"
#include "tests/model/cuda/emulated_device.h"
#include "tests/server/scheduler/recording_port.h"

namespace firstbyte {
namespace {

enum class Place { kCpu, kGpu };

std::vector<std::unique_ptr<Model>> Voice(Place place) {
  ModelOptions options{.lanes = 1, .slots = 4, .max_batch = 4};
  if (place == Place::kGpu) options.gpu = cuda::GpuOptions{.plugin = &cuda::EmulatedPlugin()};
  auto models =
      OpenModelFolder(std::string(FIRSTBYTE_SOURCE_DIR) + "/models/aligned-mel-en", options);
  EXPECT_TRUE(models.ok()) << models.status();
  return *std::move(models);
}

std::string Record(Place place, const std::vector<std::string>& texts) {
  auto models = Voice(place);
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

class FlightOfAVoice : public testing::TestWithParam<Place> {};

TEST_P(FlightOfAVoice, MakesTheSameBytesAgain) {
  const auto logs =
      ParseFlightLogs(Record(GetParam(), {"Good morning.", "It is raining in the hills.", "Yes."}));
  ASSERT_TRUE(logs.ok()) << logs.status();
  auto sessions = Replay(logs->at(0), Voice(GetParam()));
  ASSERT_TRUE(sessions.ok()) << sessions.status();
  ASSERT_EQ(sessions->size(), 3u);
  for (const ReplayedSession& session : *sessions) {
    EXPECT_EQ(session.result, ReplayedSession::Result::kSame) << session.session << session.why;
    EXPECT_GT(session.media_bytes, 16000) << session.session;
  }
}

TEST_P(FlightOfAVoice, AnotherSeedMakesOtherBytes) {
  std::string text = Record(GetParam(), {"Good morning."});
  text.replace(text.find("\"seed\":1"), 8, "\"seed\":2");
  auto sessions = Replay(ParseFlightLogs(text)->at(0), Voice(GetParam()));
  ASSERT_TRUE(sessions.ok()) << sessions.status();
  EXPECT_EQ(sessions->at(0).result, ReplayedSession::Result::kDiffers);
}

INSTANTIATE_TEST_SUITE_P(On, FlightOfAVoice, testing::Values(Place::kCpu, Place::kGpu),
                         [](const auto& info) {
                           return info.param == Place::kCpu ? "Cpu" : "Gpu";
                         });

}  // namespace
}  // namespace firstbyte
