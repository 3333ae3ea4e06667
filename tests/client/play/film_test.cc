#include "client/play/film.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "client/play/scale.h"
#include "codec/image.h"
#include "codec/wav.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/codec/picture.h"
#include "tests/read_file.h"

namespace firstbyte {
namespace {

using ::testing::HasSubstr;

std::string Temp(const std::string& name) {
  std::string path = testing::TempDir() + "film_" + name;
  std::filesystem::remove_all(path);
  return path;
}

RgbImage Plain(int width, int height, uint8_t grey) {
  return {width, height, std::vector<uint8_t>(size_t{3} * width * height, grey)};
}

void Shoot(Film* film, int frames, const FilmFormat& format = {16, 12, 20, 16000}) {
  ASSERT_TRUE(film->Start(format).ok());
  for (int i = 0; i < frames; ++i) {
    ASSERT_TRUE(film->AddFrame(Plain(format.width, format.height, static_cast<uint8_t>(i))).ok());
    ASSERT_TRUE(film->AddSound(std::string(1600, static_cast<char>(i))).ok());
  }
}

RgbImage Strip(const std::string& path, int frames) {
  auto film = *NewFilm(path);
  Shoot(film.get(), frames);
  EXPECT_TRUE(film->Close().ok());
  return *DecodeImage(ReadFile(path), ImageFormat::kPng, {.max_pixels = 1 << 26});
}

TEST(Film, AStripShowsFramesInRows) {
  RgbImage strip = Strip(Temp("strip.png"), 10);
  EXPECT_EQ(strip.width, 8 * 128 + 7 * 2);
  EXPECT_EQ(strip.height, 2 * 96 + 2);
  for (int i = 0; i < 10; ++i) {
    int x = i % 8 * 130, y = i / 8 * 98;
    EXPECT_EQ(strip.data[3 * (static_cast<size_t>(y) * strip.width + x)], i);
  }
}

TEST(Film, AStripOfALongWalkIsEvenlySpaced) {
  RgbImage strip = Strip(Temp("long.png"), 250);
  EXPECT_EQ(strip.height, 6 * 98 - 2);
  int last = -1;
  for (int i = 0; i < 48; ++i) {
    int grey = strip.data[3 * (static_cast<size_t>(i / 8 * 98) * strip.width + i % 8 * 130)];
    EXPECT_NEAR(grey, i * 250 / 48, 5);
    EXPECT_GT(grey, last);
    last = grey;
  }
}

TEST(Film, AStripOfLargePicturesIsMadeSmaller) {
  std::string path = Temp("large.png");
  auto film = *NewFilm(path);
  Shoot(film.get(), 3, {1280, 720, 60, 0});
  ASSERT_TRUE(film->Close().ok());
  auto strip = DecodeImage(ReadFile(path), ImageFormat::kPng);
  ASSERT_TRUE(strip.ok());
  EXPECT_EQ(strip->width, 3 * 256 + 2 * 2);
  EXPECT_EQ(strip->height, 144);
}

TEST(Film, AFolderHasAPictureAFrameAndTheSound) {
  std::string folder = Temp("frames") + "/";
  auto film = *NewFilm(folder);
  Shoot(film.get(), 3);
  ASSERT_TRUE(film->Close().ok());
  auto frame = DecodeImage(ReadFile(folder + "frame_000002.png"), ImageFormat::kPng);
  ASSERT_TRUE(frame.ok()) << frame.status();
  EXPECT_EQ(frame->data, Plain(16, 12, 2).data);
  auto sound = ParseWav(ReadFile(folder + "sound.wav"));
  ASSERT_TRUE(sound.ok()) << sound.status();
  EXPECT_EQ(sound->pcm16.size(), 4800u);
}

TEST(Film, AnAviIsLargeEnoughToWatch) {
  std::string path = Temp("film.avi");
  auto film = *NewFilm(path);
  Shoot(film.get(), 3);
  ASSERT_TRUE(film->Close().ok());
  std::string avi = ReadFile(path);
  EXPECT_EQ(avi.substr(0, 4), "RIFF");
  size_t jpeg = avi.find("\xff\xd8\xff");
  auto frame =
      DecodeImage(avi.substr(jpeg, avi.find("\xff\xd9", jpeg) + 2 - jpeg), ImageFormat::kJpeg);
  ASSERT_TRUE(frame.ok()) << frame.status();
  EXPECT_EQ(frame->width, 480);
}

TEST(Film, FfmpegGetsTheAviAndItsAbsenceIsSaid) {
  std::string folder = Temp("bin");
  std::filesystem::create_directory(folder);
  std::string path = Temp("film.mp4");
  const std::string old = std::getenv("PATH");
  setenv("PATH", folder.c_str(), 1);
  auto missing = NewFilm(path);
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("needs ffmpeg"));
  std::ofstream(folder + "/ffmpeg")
      << "#!/bin/sh\nPATH=" << old << "\nfor last; do :; done\ncp \"$5\" \"$last\"\n";
  std::filesystem::permissions(folder + "/ffmpeg", std::filesystem::perms::owner_all);
  auto film = NewFilm(path);
  setenv("PATH", old.c_str(), 1);
  ASSERT_TRUE(film.ok()) << film.status();
  Shoot(film->get(), 2);
  ASSERT_TRUE((*film)->Close().ok());
  EXPECT_EQ(ReadFile(path).substr(0, 4), "RIFF");
  EXPECT_FALSE(std::filesystem::exists(path + ".part.avi"));
}

TEST(Film, NothingIsWrittenBeforeTheStart) {
  std::string path = Temp("never.avi");
  { auto film = *NewFilm(path); }
  { EXPECT_TRUE((*NewFilm(path))->Close().ok()); }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Film, OtherEndingsAreNamed) {
  EXPECT_THAT(std::string(NewFilm("x.gif").status().message()), HasSubstr("x.gif: name a .png"));
}

TEST(Film, ASoundFileOfASilentWorldIsRefused) {
  auto film = *NewFilm(Temp("silent.wav"));
  EXPECT_FALSE(film->Start({16, 12, 20, 0}).ok());
}

TEST(Scale, EnlargeAndReduceUndoEachOther) {
  RgbImage image = Noise(7, 5);
  EXPECT_EQ(Reduce(Enlarge(image, 3), 3).data, image.data);
  EXPECT_EQ(Enlarge(image, 1).data, image.data);
  EXPECT_EQ(Reduce(Plain(9, 9, 40), 2).width, 4);
}

}  // namespace
}  // namespace firstbyte
