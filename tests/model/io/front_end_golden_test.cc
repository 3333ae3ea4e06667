// The run-time front end must see what the voice was trained on: the phones and flags of flite's
// full synthesis by the teacher voice.
#include <fstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "model/io/flite_phones.h"
#include "model/io/front_end.h"
#include "model/io/segmenter.h"

extern "C" {
cst_voice* register_cmu_us_rms(const char* directory);
}

namespace firstbyte {
namespace {

std::vector<Clause> ReadClauses() {
  std::ifstream file(FIRSTBYTE_SOURCE_DIR "/tests/model/io/sentences.txt");
  std::vector<Clause> clauses;
  for (std::string line; std::getline(file, line);) {
    Segmenter segmenter;
    for (const auto& part : {segmenter.Append(line), segmenter.Flush()}) {
      clauses.insert(clauses.end(), part->begin(), part->end());
    }
  }
  return clauses;
}

TEST(FrontEndGoldenTest, PhonesAndFlagsAreThoseOfTheFullSynthesis) {
  const std::vector<Clause> clauses = ReadClauses();
  ASSERT_GE(clauses.size(), 150u);
  flite_init();
  cst_voice* teacher = register_cmu_us_rms(nullptr);
  // Every phone of the voice's list; the order does not matter here.
  const std::vector<std::string> names = {
      "<pad>", "pau", "aa", "r",  "y",  "uw", "dh", "eh", "hh", "iy", "p",  "uh", "t",  "ax",
      "s",     "n",   "ao", "ng", "ih", "l",  "b",  "g",  "ae", "jh", "ey", "sh", "w",  "z",
      "d",     "ay",  "f",  "zh", "er", "k",  "th", "m",  "aw", "v",  "ah", "ow", "ch", "oy"};
  FrontEnd front_end(names);
  for (const Clause& clause : clauses) {
    const auto seen = front_end.Process(clause.text);  // flite runs on its thread, then on ours
    ASSERT_TRUE(seen.ok()) << clause.text;
    cst_utterance* spoken = flite_synth_text(clause.text.c_str(), teacher);
    std::vector<FlitePhone> expected(FrontEnd::kMaxPhones);
    expected.resize(ReadFlitePhones(spoken, absl::MakeSpan(expected)));
    ASSERT_EQ(seen->phones.size(), expected.size()) << clause.text;
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(names[seen->phones[i]], expected[i].name) << clause.text << " phone " << i;
      EXPECT_EQ(seen->flags[i], expected[i].flags) << clause.text << " phone " << i;
    }
    delete_utterance(spoken);
  }
}

}  // namespace
}  // namespace firstbyte
