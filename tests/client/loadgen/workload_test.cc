#include "client/loadgen/workload.h"

#include <fstream>
#include <map>
#include <set>
#include <string>

#include "absl/strings/str_split.h"
#include "client/loadgen/workload_file.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

WorkloadSpec BuiltIn() {
  WorkloadSpec spec;
  spec.texts.assign(BuiltInTexts().begin(), BuiltInTexts().end());
  return spec;
}

TEST(Workload, TheSameSeedSaysTheSameThings) {
  Workload a(BuiltIn(), 7), b(BuiltIn(), 7), c(BuiltIn(), 8);
  int different = 0;
  for (int listener = 0; listener < 4; ++listener) {
    for (int turn = 0; turn < 20; ++turn) {
      EXPECT_EQ(a.Text(listener, turn), b.Text(listener, turn));
      EXPECT_EQ(a.SpeechSeed(listener, turn), b.SpeechSeed(listener, turn));
      EXPECT_NE(a.SpeechSeed(listener, turn), 0u);
      different += a.Text(listener, turn) != c.Text(listener, turn);
    }
  }
  EXPECT_GT(different, 40);
}

TEST(Workload, ListenersSayDifferentThings) {
  Workload workload(BuiltIn(), 1);
  std::set<std::string> texts;
  for (int listener = 0; listener < 200; ++listener) texts.insert(workload.Text(listener, 0));
  EXPECT_EQ(texts.size(), BuiltInTexts().size());
}

TEST(Workload, SomeClientsMisbehaveAsOftenAsAskedFor) {
  WorkloadSpec spec = BuiltIn();
  spec.cancel_rate = 0.2;
  spec.slow_reader_rate = 0.1;
  spec.disconnect_rate = 0.3;
  Workload workload(spec, 1);
  std::map<Behaviour, int> times;
  for (int i = 0; i < 10'000; ++i) {
    CallPlan plan{.stream = i};
    workload.Fill(0, &plan);
    ++times[plan.behaviour];
  }
  EXPECT_NEAR(times[Behaviour::kCancel], 2'000, 150);
  EXPECT_NEAR(times[Behaviour::kReadSlowly], 1'000, 150);
  EXPECT_NEAR(times[Behaviour::kDisconnect], 3'000, 150);
}

TEST(TextOfWords, HasThatMany) {
  for (int words : {1, 3, 50}) {
    std::vector<std::string> split = absl::StrSplit(TextOfWords(words, 3), ' ');
    EXPECT_EQ(split.size(), static_cast<size_t>(words));
  }
  EXPECT_NE(TextOfWords(5, 1), TextOfWords(5, 2));
}

TEST(WorkloadFile, SaysWhatIsSpokenAndPlayed) {
  WorkloadSpec spec = BuiltIn();
  auto status = ReadWorkload(R"(
speech: {words: [3, 8], voices: [a, b], encodings: opus, speaking_rate: 1.1}
world:
  model: w
  pacing: realtime
  target_fps: 20
  actions:
    - {keys: [forward], for: 2}
    - {keys: [forward, turn_left], pointer_dx: 0.5}
)",
                             "w.yaml", &spec);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(spec.texts.size(), 32u);
  EXPECT_EQ(spec.voices, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(spec.encodings, std::vector<v1::AudioEncoding>{v1::AUDIO_ENCODING_OPUS});
  EXPECT_EQ(spec.world.pacing, v1::PACING_REALTIME);
  ASSERT_EQ(spec.world.actions.size(), 3u);
  EXPECT_EQ(spec.world.actions[1].keys(0), "forward");
  EXPECT_EQ(spec.world.actions[2].pointer_dx(), 0.5f);
}

TEST(WorkloadFile, JsonIsReadToo) {
  WorkloadSpec spec = BuiltIn();
  ASSERT_TRUE(ReadWorkload(R"({"speech": {"texts": ["Hello."]}})", "w.json", &spec).ok());
  EXPECT_EQ(spec.texts, std::vector<std::string>{"Hello."});
}

TEST(WorkloadFile, WhatIsWrongIsSaidWithItsLine) {
  WorkloadSpec spec = BuiltIn();
  auto message = [&](const char* text) {
    return std::string(ReadWorkload(text, "w", &spec).message());
  };
  EXPECT_EQ(message("speech:\n  voice: a\n"), "w:2: speech has no 'voice'");
  EXPECT_EQ(message("world:\n  pacing: fast\n"),
            "w:2: 'fast' is not lockstep, realtime or free_run");
  EXPECT_EQ(message("speech: {texts: []}"), "w:1: must not be empty");
  EXPECT_EQ(message("world: {target_fps: .nan}"), "w:1: must be from 0 to 240");
  EXPECT_NE(message("{"), "");
  EXPECT_NE(message("speech: [1]"), "");
  EXPECT_NE(message("speech: {words: [0]}"), "");
}

TEST(ReadTexts, OneALineWithoutBlankOnes) {
  std::string path = testing::TempDir() + "texts";
  std::ofstream(path) << "One.\n\n  Two. \r\n";
  EXPECT_EQ(*ReadTexts(path), (std::vector<std::string>{"One.", "Two."}));
  std::ofstream(path) << "\n";
  EXPECT_FALSE(ReadTexts(path).ok());
  EXPECT_FALSE(ReadTexts("/nowhere").ok());
}

}  // namespace
}  // namespace firstbyte
