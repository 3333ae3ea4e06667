#include "client/loadgen/workload.h"

#include <fstream>
#include <set>
#include <string>

#include "gtest/gtest.h"

namespace firstbyte {
namespace {

std::vector<std::string> BuiltIn() { return {BuiltInTexts().begin(), BuiltInTexts().end()}; }

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
  EXPECT_EQ(texts.size(), BuiltIn().size());
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
