#include "codec/avi.h"

#include <cstring>
#include <string>
#include <vector>

#include "codec/image.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/codec/picture.h"
#include "tests/read_file.h"

namespace firstbyte {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

uint32_t U32(const std::string& bytes, size_t at) {
  uint32_t value = 0;
  EXPECT_LE(at + 4, bytes.size());
  std::memcpy(&value, bytes.data() + at, 4);
  return value;
}

struct Part {
  std::string id, data;
};

// The chunks that `bytes` consist of, with nothing left over; a list's id is its name.
std::vector<Part> Parts(const std::string& bytes) {
  std::vector<Part> parts;
  size_t at = 0;
  while (at + 8 <= bytes.size()) {
    std::string id = bytes.substr(at, 4), data = bytes.substr(at + 8, U32(bytes, at + 4));
    EXPECT_EQ(data.size(), U32(bytes, at + 4)) << id << " is cut short";
    at += 8 + data.size() + data.size() % 2;
    bool list = id == "LIST" || id == "RIFF";
    parts.push_back(list ? Part{data.substr(0, 4), data.substr(4)} : Part{id, data});
  }
  EXPECT_EQ(at, bytes.size());
  return parts;
}

std::vector<std::string> Ids(const std::vector<Part>& parts) {
  std::vector<std::string> ids;
  for (const Part& part : parts) ids.push_back(part.id);
  return ids;
}

TEST(AviFile, HoldsEveryPictureAndSample) {
  std::string path = testing::TempDir() + "film.avi";
  auto avi = AviFile::Create(path, {32, 24, 12.5, 16000});
  ASSERT_TRUE(avi.ok()) << avi.status();
  std::vector<std::string> jpegs;
  for (uint32_t i = 0; i < 3; ++i) {
    RgbImage image = Noise(32, 24, i);
    jpegs.emplace_back();
    ASSERT_TRUE(
        EncodeImage(image.data, 32, 24, ImageFormat::kJpeg, 80 + static_cast<int>(i), &jpegs.back())
            .ok());
    ASSERT_TRUE((*avi)->AddFrame(jpegs.back()).ok());
    ASSERT_TRUE((*avi)->AddSound(std::string(2560, static_cast<char>(i))).ok());
  }
  ASSERT_TRUE((*avi)->Close().ok());
  EXPECT_TRUE((*avi)->Close().ok());
  EXPECT_FALSE((*avi)->AddFrame("late").ok());

  std::vector<Part> file = Parts(ReadFile(path));
  ASSERT_THAT(Ids(file), ElementsAre("AVI "));
  std::vector<Part> top = Parts(file[0].data);
  ASSERT_THAT(Ids(top), ElementsAre("hdrl", "movi", "idx1"));
  std::vector<Part> movi = Parts(top[1].data);
  ASSERT_THAT(Ids(movi), ElementsAre("00dc", "01wb", "00dc", "01wb", "00dc", "01wb"));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(movi[2 * i].data, jpegs[i]);
    EXPECT_EQ(movi[2 * i + 1].data, std::string(2560, static_cast<char>(i)));
  }
  const std::string& index = top[2].data;
  ASSERT_EQ(index.size(), 6u * 16);
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(index.substr(16 * i, 4), movi[i].id);
    size_t at = U32(index, 16 * i + 8) - 4;  // it counts from the list's name
    EXPECT_EQ(top[1].data.substr(at, 4), movi[i].id);
    EXPECT_EQ(U32(index, 16 * i + 12), movi[i].data.size());
  }
}

TEST(AviFile, HeadersSayWhatIsInside) {
  std::string path = testing::TempDir() + "headers.avi";
  auto avi = AviFile::Create(path, {32, 24, 12.5, 16000});
  ASSERT_TRUE((*avi)->AddFrame("jpeg!").ok());
  ASSERT_TRUE((*avi)->AddSound("abcd").ok());
  ASSERT_TRUE((*avi)->Close().ok());
  std::vector<Part> headers = Parts(Parts(Parts(ReadFile(path))[0].data)[0].data);
  ASSERT_THAT(Ids(headers), ElementsAre("avih", "strl", "strl"));
  EXPECT_EQ(headers[0].data.size(), 56u);
  EXPECT_EQ(U32(headers[0].data, 0), 80000u);  // microseconds a frame
  EXPECT_EQ(U32(headers[0].data, 16), 1u);     // frames
  EXPECT_EQ(U32(headers[0].data, 24), 2u);     // streams
  EXPECT_EQ(U32(headers[0].data, 32), 32u);    // width
  EXPECT_EQ(U32(headers[0].data, 36), 24u);    // height
  std::vector<Part> video = Parts(headers[1].data), audio = Parts(headers[2].data);
  EXPECT_EQ(video[0].data.size(), 56u);
  EXPECT_EQ(video[0].data.substr(0, 8), "vidsMJPG");
  EXPECT_EQ(U32(video[0].data, 24), 12500u);
  EXPECT_EQ(U32(video[0].data, 32), 1u);
  EXPECT_EQ(video[1].data.size(), 40u);
  EXPECT_EQ(audio[0].data.substr(0, 4), "auds");
  EXPECT_EQ(U32(audio[0].data, 24), 16000u);
  EXPECT_EQ(U32(audio[0].data, 32), 2u);  // samples
}

TEST(AviFile, ASilentFilmHasOneStream) {
  std::string path = testing::TempDir() + "silent.avi";
  auto avi = AviFile::Create(path, {32, 24, 20, 0});
  ASSERT_TRUE((*avi)->AddSound("abcd").ok());
  ASSERT_TRUE((*avi)->AddFrame("jpeg").ok());
  ASSERT_TRUE((*avi)->Close().ok());
  std::vector<Part> top = Parts(Parts(ReadFile(path))[0].data);
  EXPECT_THAT(Ids(Parts(top[0].data)), ElementsAre("avih", "strl"));
  EXPECT_THAT(Ids(Parts(top[1].data)), ElementsAre("00dc"));
}

TEST(AviFile, ErrorNamesThePath) {
  auto avi = AviFile::Create("/nowhere/x.avi", {32, 24, 20, 0});
  ASSERT_FALSE(avi.ok());
  EXPECT_THAT(std::string(avi.status().message()), HasSubstr("/nowhere/x.avi"));
}

}  // namespace
}  // namespace firstbyte
