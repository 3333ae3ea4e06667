#include "model/registry/registry.h"

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

class RegistryTest : public testing::Test {
 protected:
  RegistryTest() : folder_(testing::TempDir() + "/registry_test") {
    std::filesystem::create_directories(folder_);
  }
  ~RegistryTest() override { std::filesystem::remove_all(folder_); }

  absl::Status Open(const std::string& config) {
    std::ofstream(folder_ + "/config.json") << config;
    return OpenModelFolder(folder_, {}).status();
  }
  const std::string folder_;
};

TEST_F(RegistryTest, NamesWhatIsMissingOrUnknown) {
  EXPECT_EQ(DetailOf(OpenModelFolder(folder_, {}).status()).reason, "NO_MODEL");
  EXPECT_EQ(DetailOf(Open("{")).reason, "BAD_CONFIG");
  EXPECT_EQ(DetailOf(Open(R"({"model_type": 3})")).reason, "BAD_CONFIG");
  EXPECT_EQ(DetailOf(DescribeModelFolder(folder_, {}).status()).reason, "BAD_CONFIG");
  absl::Status unknown = Open(R"({"model_type": "whisper"})");
  EXPECT_EQ(DetailOf(unknown).reason, "UNKNOWN_FAMILY");
  EXPECT_THAT(std::string(unknown.message()), testing::HasSubstr("whisper"));
}

TEST_F(RegistryTest, ADamagedVoiceIsAnError) {
  EXPECT_FALSE(Open(R"({"model_type": "aligned_mel"})").ok());
}

TEST_F(RegistryTest, DescribesAModelAsItWillBe) {
  for (const auto& entry : std::filesystem::directory_iterator(FIRSTBYTE_SOURCE_DIR "/models")) {
    const std::string folder = entry.path().string();
    auto described = DescribeModelFolder(folder, {.slots = 2, .max_batch = 2});
    if (DetailOf(described.status()).reason == "NO_LIBTORCH") GTEST_SKIP();
    ASSERT_TRUE(described.ok()) << described.status();
    auto opened = OpenModelFolder(folder, {.slots = 2, .max_batch = 2});
    ASSERT_TRUE(opened.ok()) << opened.status();
    ModelInfo info = (*opened)[0]->info();
    EXPECT_NE(info.version, "");
    info.version = "";
    EXPECT_EQ(*described, info) << folder;
  }
}

}  // namespace
}  // namespace firstbyte
