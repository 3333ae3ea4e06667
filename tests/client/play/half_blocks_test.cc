#include "client/play/half_blocks.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

RgbImage Pixels(int width, int height, std::vector<uint8_t> data) {
  return {width, height, std::move(data)};
}

int Count(const std::string& text, const std::string& what) {
  int count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

const std::string kBlock = "\xe2\x96\x80";

TEST(HalfBlocks, ACellShowsTwoPixels) {
  HalfBlocks screen(ColourDepth::kTrueColour);
  std::string drawn = screen.Draw(Pixels(1, 2, {1, 2, 3, 250, 251, 252}), 1, 1);
  EXPECT_EQ(drawn,
            "\033[0m\033[2J\033[1;1H\033[38;2;1;2;3m\033[48;2;250;251;252m" + kBlock + "\033[0m");
}

TEST(HalfBlocks, OnlyChangesAreDrawn) {
  HalfBlocks screen(ColourDepth::kTrueColour);
  RgbImage image = Pixels(2, 2, {9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9});
  EXPECT_EQ(Count(screen.Draw(image, 2, 1), kBlock), 2);
  EXPECT_EQ(screen.Draw(image, 2, 1), "");
  image.data[3] = 200;
  std::string drawn = screen.Draw(image, 2, 1);
  EXPECT_EQ(Count(drawn, kBlock), 1);
  EXPECT_THAT(drawn, HasSubstr("\033[1;2H"));
  screen.Forget();
  EXPECT_EQ(Count(screen.Draw(image, 2, 1), kBlock), 2);
}

TEST(HalfBlocks, AColourIsSaidOnce) {
  HalfBlocks screen(ColourDepth::kTrueColour);
  RgbImage image = Pixels(4, 2, std::vector<uint8_t>(24, 7));
  std::string drawn = screen.Draw(image, 4, 1);
  EXPECT_EQ(Count(drawn, "38;2;"), 1);
  EXPECT_EQ(Count(drawn, kBlock), 4);
}

TEST(HalfBlocks, ThePictureFitsAndKeepsItsProportions) {
  HalfBlocks screen(ColourDepth::k256);
  RgbImage square = Pixels(8, 8, std::vector<uint8_t>(192, 100));
  EXPECT_EQ(Count(screen.Draw(square, 80, 24), kBlock), 48 * 24);
  EXPECT_EQ(Count(screen.Draw(square, 10, 24), kBlock), 10 * 5);
  EXPECT_EQ(Count(screen.Draw(square, 1, 1), kBlock), 1);
  EXPECT_EQ(screen.Draw(square, 0, 0), "");
  EXPECT_EQ(screen.Draw({}, 10, 10), "");
}

TEST(HalfBlocks, SmallerTerminalsShowMeans) {
  HalfBlocks screen(ColourDepth::kTrueColour);
  RgbImage image = Pixels(2, 4, {0, 0, 0, 100, 100, 100, 0, 0, 0, 100, 100, 100,  //
                                 8, 8, 8, 8,   8,   8,   8, 8, 8, 8,   8,   8});
  std::string drawn = screen.Draw(image, 1, 1);
  EXPECT_THAT(drawn, HasSubstr("38;2;50;50;50"));
  EXPECT_THAT(drawn, HasSubstr("48;2;8;8;8"));
}

TEST(HalfBlocks, TheOldPaletteHasACubeAndGreys) {
  HalfBlocks screen(ColourDepth::k256);
  std::string drawn = screen.Draw(Pixels(1, 2, {255, 0, 0, 128, 128, 128}), 1, 1);
  EXPECT_THAT(drawn, HasSubstr("38;5;196m"));
  EXPECT_THAT(drawn, HasSubstr("48;5;244m"));
  EXPECT_THAT(drawn, Not(HasSubstr(";2;")));
}

}  // namespace
}  // namespace firstbyte
