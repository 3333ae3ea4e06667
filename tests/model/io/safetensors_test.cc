#include "model/io/safetensors.h"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <random>

#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<uint8_t> File(const std::string& header, size_t data_bytes) {
  std::vector<uint8_t> file;
  for (int i = 0; i < 8; ++i) file.push_back(static_cast<uint8_t>(header.size() >> (8 * i)));
  file.insert(file.end(), header.begin(), header.end());
  for (size_t i = 0; i < data_bytes; ++i) file.push_back(static_cast<uint8_t>(i));
  return file;
}

std::string MessageOf(const std::string& header, size_t data_bytes) {
  std::vector<uint8_t> file = File(header, data_bytes);
  auto reader = SafeTensors::Parse(file, "f");
  return reader.ok() ? "OK" : std::string(reader.status().message());
}

std::string OneTensor(const std::string& entry) { return R"({"w":{)" + entry + "}}"; }

TEST(SafeTensors, ReadsNamesShapesAndMetadata) {
  auto file = File(R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],
      "data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[],"data_offsets":[24,26]}})",
                   26);
  auto reader = SafeTensors::Parse(file, "f");
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(reader->metadata().at("format"), "pt");
  EXPECT_EQ(reader->tensors().at("a").elements(), 6);
  EXPECT_EQ(reader->tensors().at("b").elements(), 1);
  EXPECT_TRUE(reader->Floats("a", {2, 3}).ok());
}

TEST(SafeTensors, WidensExactly) {
  auto widen = [](DType dtype, std::vector<uint8_t> bytes) {
    TensorView view{dtype, {}, bytes};
    std::vector<float> out(view.elements());
    WidenToFloat(view, out.data());
    return out;
  };
  EXPECT_THAT(widen(DType::kBF16, {0x80, 0x3F, 0x00, 0xC0}), ElementsAre(1.0f, -2.0f));
  EXPECT_THAT(widen(DType::kF16, {0x00, 0x3C, 0x00, 0xC0, 0x01, 0x00, 0xFF, 0x7B}),
              ElementsAre(1.0f, -2.0f, 0x1p-24f, 65504.0f));
  EXPECT_THAT(widen(DType::kF32, {0, 0, 0x80, 0x3F}), ElementsAre(1.0f));
  EXPECT_TRUE(std::isinf(widen(DType::kF16, {0x00, 0x7C})[0]));
  EXPECT_TRUE(std::isnan(widen(DType::kF16, {0x01, 0x7C})[0]));
}

TEST(SafeTensors, AWrongShapeOrNameIsAReadableError) {
  auto file = File(OneTensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), 8);
  auto reader = SafeTensors::Parse(file, "model.safetensors");
  ASSERT_TRUE(reader.ok());
  EXPECT_THAT(reader->Floats("w", {1, 2}).status().message(),
              HasSubstr("model.safetensors: tensor \"w\" is [2], expected [1, 2]"));
  EXPECT_THAT(reader->Floats("v", {2}).status().message(), HasSubstr("no tensor \"v\""));
  EXPECT_EQ(DetailOf(reader->Floats("v", {2}).status()).reason, "BAD_WEIGHTS");
}

TEST(SafeTensors, RefusesMalformedHeaders) {
  EXPECT_THAT(MessageOf("[]", 0), HasSubstr("not a JSON object"));
  EXPECT_THAT(MessageOf("{", 0), HasSubstr("not JSON"));
  EXPECT_THAT(MessageOf(R"({"w":1})", 0), HasSubstr("not an object"));
  EXPECT_THAT(MessageOf(OneTensor(R"("shape":[],"data_offsets":[0,4])"), 4), HasSubstr("no dtype"));
  EXPECT_THAT(MessageOf(OneTensor(R"("dtype":"I64","shape":[],"data_offsets":[0,8])"), 8),
              HasSubstr("dtype is not"));
  EXPECT_THAT(MessageOf(OneTensor(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), 4),
              HasSubstr("bad shape"));
  EXPECT_THAT(MessageOf(OneTensor(R"("dtype":"F32","shape":[1.5],"data_offsets":[0,4])"), 4),
              HasSubstr("bad shape"));
  EXPECT_THAT(MessageOf(OneTensor(R"("dtype":"F32","shape":[1],"data_offsets":[4])"), 4),
              HasSubstr("bad data_offsets"));
  EXPECT_THAT(MessageOf(R"({"__metadata__":{"a":1}})", 0), HasSubstr("more than strings"));
  EXPECT_THAT(MessageOf(std::string(1000, '['), 0), HasSubstr("nested too deeply"));
}

TEST(SafeTensors, RefusesBadBounds) {
  auto entry = [](const std::string& shape, const std::string& offsets) {
    return OneTensor(R"("dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + offsets);
  };
  EXPECT_EQ(MessageOf(entry("[2]", "[0,8]"), 8), "OK");
  EXPECT_THAT(MessageOf(entry("[2]", "[0,8]"), 7), HasSubstr("outside the file"));
  EXPECT_THAT(MessageOf(entry("[2]", "[8,0]"), 8), HasSubstr("outside the file"));
  EXPECT_THAT(MessageOf(entry("[3]", "[0,8]"), 8), HasSubstr("needs 12 bytes and has 8"));
  EXPECT_THAT(MessageOf(entry("[281474976710656,281474976710656]", "[0,8]"), 8),
              HasSubstr("too large"));
  EXPECT_THAT(MessageOf(entry("[1]", "[4,8]"), 8), HasSubstr("gap"));
  EXPECT_THAT(MessageOf(entry("[1]", "[0,4]"), 8), HasSubstr("after the last tensor"));
}

TEST(SafeTensors, RefusesOverlapAndDuplicates) {
  const std::string half = R"({"dtype":"F32","shape":[1],"data_offsets":)";
  EXPECT_THAT(MessageOf(R"({"a":)" + half + R"([0,4]},"b":)" + half + R"([0,4]}})", 4),
              HasSubstr("overlap"));
  EXPECT_THAT(MessageOf(R"({"a":)" + half + R"([0,4]},"a":)" + half + R"([0,4]}})", 4),
              HasSubstr("duplicate key \"a\""));
}

TEST(SafeTensors, RefusesAHeaderLongerThanTheFile) {
  auto file = File("{}", 0);
  file[0] = 200;
  EXPECT_FALSE(SafeTensors::Parse(file, "f").ok());
  std::fill(file.begin(), file.begin() + 8, 0xFF);
  EXPECT_FALSE(SafeTensors::Parse(file, "f").ok());
  EXPECT_FALSE(SafeTensors::Parse(absl::MakeSpan(file).subspan(0, 5), "f").ok());
  EXPECT_FALSE(SafeTensors::Parse({}, "f").ok());
}

// Whatever a header says, parsing ends in a status and every accepted view is readable: the
// address sanitizer is the judge.
TEST(SafeTensors, MutatedHeadersNeverReadOutside) {
  const auto good = File(R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},
      "b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]}})",
                         32);
  std::mt19937 random(7);
  const std::string alphabet = "0123456789[]{},:\"-eabFI \\";
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    auto file = good;
    for (int change = random() % 3; change >= 0; --change) {
      file[8 + random() % (file.size() - 40)] = alphabet[random() % alphabet.size()];
    }
    if (random() % 4 == 0) file.resize(random() % (file.size() + 1));
    auto reader = SafeTensors::Parse(file, "f");
    if (!reader.ok()) continue;
    ++accepted;
    for (const auto& [name, view] : reader->tensors()) {
      std::vector<float> out(view.elements());
      WidenToFloat(view, out.data());
    }
  }
  EXPECT_GT(accepted, 0);
}

TEST(SafeTensors, MapsAFileAndExplainsAMissingOne) {
  const std::string path = testing::TempDir() + "/safetensors_test.safetensors";
  auto file = File(OneTensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), 4);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(file.data()), static_cast<long>(file.size()));
  auto reader = SafeTensors::Open(path);
  ASSERT_TRUE(reader.ok()) << reader.status();
  SafeTensors moved = *std::move(reader);
  EXPECT_TRUE(moved.Floats("w", {1}).ok());
  std::remove(path.c_str());
  auto missing = SafeTensors::Open(path);
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(missing.status().message(), HasSubstr("safetensors_test"));
  EXPECT_FALSE(SafeTensors::Open(testing::TempDir()).ok());
}

}  // namespace
}  // namespace firstbyte
