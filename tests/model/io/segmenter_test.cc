#include "model/io/segmenter.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

void Extend(std::vector<Clause>* all, const absl::StatusOr<std::vector<Clause>>& more) {
  ASSERT_TRUE(more.ok()) << more.status();
  all->insert(all->end(), more->begin(), more->end());
}

std::vector<Clause> SegmentPieces(const std::vector<std::string>& pieces) {
  Segmenter segmenter;
  std::vector<Clause> clauses;
  for (const std::string& piece : pieces) Extend(&clauses, segmenter.Append(piece));
  Extend(&clauses, segmenter.Flush());
  return clauses;
}

std::vector<std::string> Texts(const std::vector<Clause>& clauses) {
  std::vector<std::string> texts;
  for (const Clause& clause : clauses) texts.push_back(clause.text);
  return texts;
}

std::vector<std::string> Segment(const std::string& text) { return Texts(SegmentPieces({text})); }

TEST(SegmenterTest, CutsSentences) {
  EXPECT_THAT(Segment("Hello world. How are you?  Fine!"),
              ElementsAre("Hello world.", "How are you?", "Fine!"));
}

TEST(SegmenterTest, ASentenceEndsOnlyWithTheNextTokensFirstCharacter) {
  Segmenter segmenter;
  EXPECT_THAT(*segmenter.Append("Hello world."), IsEmpty());
  EXPECT_THAT(*segmenter.Append("  "), IsEmpty());
  EXPECT_THAT(Texts(*segmenter.Append("H")), ElementsAre("Hello world."));
  EXPECT_THAT(Texts(*segmenter.Flush()), ElementsAre("H"));
}

TEST(SegmenterTest, AbbreviationsDoNotEndSentences) {
  for (const char* text :
       {"Mr. Smith met Dr. Jones.", "It is 3.14 exactly.", "Use a tool, e.g. Clang.",
        "The U.S. Army came.", "J. R. R. Tolkien wrote it.", "Meet at 5 p.m. today.",
        "See No. 5 there.", "On Jan. 5 it rained.", "Acme Inc. is big.", "Well... maybe.",
        "He lives on St. James Street."}) {
    EXPECT_THAT(Segment(text), ElementsAre(text));
  }
}

TEST(SegmenterTest, SomeAbbreviationsEndSentencesBeforeACapital) {
  EXPECT_THAT(Segment("We met at 5 p.m. Then we left."),
              ElementsAre("We met at 5 p.m.", "Then we left."));
  EXPECT_THAT(Segment("I said no. Then he left."), ElementsAre("I said no.", "Then he left."));
  EXPECT_THAT(Segment("Wait... Now go."), ElementsAre("Wait...", "Now go."));
}

TEST(SegmenterTest, QuotesAndBracketsCloseASentence) {
  EXPECT_THAT(Segment("\"Go away!\" (He left.) Then."),
              ElementsAre("\"Go away!\"", "(He left.)", "Then."));
}

TEST(SegmenterTest, ABlankLineEndsASentence) {
  EXPECT_THAT(Segment("A title\n\nThe text\ngoes on."),
              ElementsAre("A title", "The text goes on."));
}

TEST(SegmenterTest, LongSentencesAreCutAtTheLastCommaElseAtASpace) {
  std::string words;
  for (int i = 1; i <= 25; ++i) absl::StrAppend(&words, "w", i, i == 12 ? ", " : " ");
  const std::vector<std::string> at_comma = Segment(words);
  ASSERT_EQ(at_comma.size(), 2u);
  EXPECT_TRUE(at_comma[0].ends_with("w12,"));
  std::string plain;
  for (int i = 1; i <= 25; ++i) absl::StrAppend(&plain, "w", i, " ");
  const std::vector<std::string> at_space = Segment(plain);
  ASSERT_EQ(at_space.size(), 2u);
  EXPECT_TRUE(at_space[0].ends_with("w20"));
  EXPECT_TRUE(at_space[1].starts_with("w21"));
}

TEST(SegmenterTest, EndlessTokensAreBounded) {
  Segmenter segmenter;
  size_t longest = 0, clauses = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto more = segmenter.Append(std::string(100, 'x'));
    for (const Clause& clause : *more) {
      longest = std::max(longest, clause.text.size());
      ++clauses;
    }
  }
  EXPECT_GT(clauses, 300u);
  EXPECT_LE(longest, static_cast<size_t>(Segmenter::kMaxClauseBytes));
}

TEST(SegmenterTest, FoldsToAscii) {
  EXPECT_THAT(Segment("“Café” naïve — Zoë’s œuvre… of 5 €"),
              ElementsAre("\"Cafe\" naive, Zoe's oeuvre... of 5 euros"));
  EXPECT_THAT(Segment("Hi 👋🏽 世界 there\x01\x7f!"), ElementsAre("Hi there!"));
  EXPECT_THAT(Segment("e\u0301te\u0301"), ElementsAre("ete"));
  EXPECT_THAT(Segment("a\u00a0b"), ElementsAre("a b"));
}

TEST(SegmenterTest, KnowsWhatIsUnspeakable) {
  EXPECT_THAT(Segment("👋 世界"), IsEmpty());
  const std::vector<Clause> clauses = SegmentPieces({"?! Hello."});
  ASSERT_EQ(clauses.size(), 2u);
  EXPECT_FALSE(clauses[0].speakable());
  EXPECT_TRUE(clauses[1].speakable());
}

TEST(SegmenterTest, KeepsByteRangesOfTheSourceText) {
  const std::string text = "  “Été.”  Then 世 we\n went. ";
  const std::vector<Clause> clauses = SegmentPieces({text});
  ASSERT_EQ(clauses.size(), 2u);
  const auto source = [&](const Clause& clause) {
    return text.substr(clause.begin_byte, clause.end_byte - clause.begin_byte);
  };
  EXPECT_EQ(source(clauses[0]), "“Été.”");
  EXPECT_EQ(source(clauses[1]), "Then 世 we\n went.");
}

TEST(SegmenterTest, FlushEndsASentenceAndPositionsGoOn) {
  Segmenter segmenter;
  EXPECT_THAT(*segmenter.Append("and so"), IsEmpty());
  EXPECT_THAT(Texts(*segmenter.Flush()), ElementsAre("and so"));
  EXPECT_THAT(*segmenter.Flush(), IsEmpty());
  EXPECT_THAT(*segmenter.Append("on"), IsEmpty());
  const std::vector<Clause> clauses = *segmenter.Flush();
  ASSERT_EQ(clauses.size(), 1u);
  EXPECT_EQ(clauses[0].begin_byte, 6);
  EXPECT_EQ(clauses[0].end_byte, 8);
}

TEST(SegmenterTest, RefusesWhatIsNotUtf8) {
  for (const char* text : {"a\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80"}) {
    Segmenter segmenter;
    const auto result = segmenter.Append(text);
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(DetailOf(result.status()).reason, "INVALID_UTF8");
  }
  Segmenter segmenter;
  EXPECT_TRUE(segmenter.Append("caf\xc3").ok());
  EXPECT_FALSE(segmenter.Flush().ok());
}

// A text of all that matters to the segmenter, in random order.
std::string RandomText(std::mt19937* random) {
  static const std::vector<std::string> kParts = {"Mr.",
                                                  "Hello",
                                                  "world",
                                                  ".",
                                                  "?",
                                                  "!",
                                                  " ",
                                                  " ",
                                                  " ",
                                                  " ",
                                                  "\n",
                                                  "\n\n",
                                                  ",",
                                                  "...",
                                                  "p.m.",
                                                  "U.S.",
                                                  "3.14",
                                                  "é",
                                                  "—",
                                                  "“",
                                                  "”",
                                                  "👋🏽",
                                                  "世",
                                                  "e.g.",
                                                  "\u00a0",
                                                  "(",
                                                  ")",
                                                  "Then",
                                                  "no.",
                                                  "5",
                                                  "-",
                                                  "x",
                                                  "supercalifragilisticexpialidocious",
                                                  "0123456789012345678901234567890123456789"};
  std::string text;
  const int count = std::uniform_int_distribution<int>(1, 120)(*random);
  for (int i = 0; i < count; ++i) {
    text += kParts[std::uniform_int_distribution<size_t>(0, kParts.size() - 1)(*random)];
  }
  return text;
}

std::vector<std::string> SplitAnywhere(const std::string& text, std::mt19937* random) {
  std::vector<std::string> pieces;
  for (size_t begin = 0; begin < text.size();) {
    const size_t length = std::uniform_int_distribution<size_t>(0, 12)(*random);
    pieces.push_back(text.substr(begin, length));
    begin += length;
  }
  return pieces;
}

TEST(SegmenterTest, HowTextIsSplitIntoMessagesNeverMatters) {
  std::mt19937 random(7);
  for (int i = 0; i < 1500; ++i) {
    const std::string text = RandomText(&random);
    const std::vector<Clause> whole = SegmentPieces({text});
    const std::vector<Clause> pieces = SegmentPieces(SplitAnywhere(text, &random));
    ASSERT_EQ(Texts(whole), Texts(pieces)) << text;
    for (size_t c = 0; c < whole.size(); ++c) {
      ASSERT_EQ(whole[c].begin_byte, pieces[c].begin_byte) << text;
      ASSERT_EQ(whole[c].end_byte, pieces[c].end_byte) << text;
      ASSERT_LE(whole[c].text.size(), static_cast<size_t>(Segmenter::kMaxClauseBytes));
    }
  }
}

TEST(SegmenterTest, AnyBytesAreSurvived) {
  std::mt19937 random(11);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(std::uniform_int_distribution<size_t>(0, 40)(random), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    Segmenter segmenter;
    if (segmenter.Append(bytes).ok()) (void)segmenter.Flush();
  }
}

}  // namespace
}  // namespace firstbyte
