// Folders that are damaged or absurd are refused, and the message names what is at fault.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/world/state_dit/config.h"
#include "nlohmann/json.hpp"
#include "tests/model/world/state_dit/world_fixture.h"
#include "tests/read_file.h"

namespace firstbyte::state_dit {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

Json TinyConfig() { return Json::parse(ReadFile(TinyFolder() + "/config.json")); }

std::string MessageWith(const char* pointer, Json value) {
  Json json = TinyConfig();
  json[Json::json_pointer(pointer)] = std::move(value);
  auto config = ParseConfig(json.dump());
  return config.ok() ? "OK" : std::string(config.status().message());
}

TEST(StateDitConfig, ReadsAWorld) {
  auto config = ParseConfig(TinyConfig().dump());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->dit.window, 4);
  EXPECT_EQ(config->dit.sigmas.size(), 2u);
  EXPECT_EQ(config->one_hots(), 15);
}

TEST(StateDitConfig, NamesTheKeyAtFault) {
  EXPECT_THAT(MessageWith("/width", 65), HasSubstr("width"));
  EXPECT_THAT(MessageWith("/keys", {"w"}), HasSubstr("keys"));
  EXPECT_THAT(MessageWith("/default_theme", 6), HasSubstr("default_theme"));
  EXPECT_THAT(MessageWith("/dit/width", 1 << 30), HasSubstr("dit.width"));
  EXPECT_THAT(MessageWith("/dit/width", 0), HasSubstr("dit.width"));
  EXPECT_THAT(MessageWith("/dit/head_dim", 48), HasSubstr("dit.head_dim"));
  EXPECT_THAT(MessageWith("/dit/rope_pairs", {12, 10, 11}), HasSubstr("dit.rope_pairs"));
  EXPECT_THAT(MessageWith("/dit/sigmas", Json::array()), HasSubstr("dit.sigmas"));
  EXPECT_THAT(MessageWith("/dit/sigmas", {0.4, 1.0}), HasSubstr("dit.sigmas"));
  EXPECT_THAT(MessageWith("/dit/renderer", 1), HasSubstr("dit.renderer"));
  EXPECT_THAT(MessageWith("/dit/window", 1000000), HasSubstr("dit.window"));
  EXPECT_THAT(MessageWith("/rays/beyond", 14), HasSubstr("rays.beyond"));
  EXPECT_THAT(MessageWith("/rays/floor", "x"), HasSubstr("rays.floor"));
  EXPECT_THAT(MessageWith("/renderer/stride", 7), HasSubstr("renderer.rays"));
  EXPECT_THAT(MessageWith("/map/high", -0.5), HasSubstr("map.high"));
  EXPECT_THAT(MessageWith("/localizer/keep", 5), HasSubstr("localizer.keep"));
  EXPECT_THAT(MessageWith("/state", 3), HasSubstr("state.step"));
  EXPECT_THAT(MessageWith("/latent/rows", 8), HasSubstr("latent.rows"));
}

TEST(StateDitConfig, EveryKeyOfTheShippedLayoutIsNeeded) {
  const Json good = TinyConfig();
  for (const auto& [key, value] : good.items()) {
    const bool optional =
        key == "name" || key == "description" || key == "torch_dtype" || key == "architecture";
    Json json = good;
    json.erase(key);
    EXPECT_EQ(ParseConfig(json.dump()).ok(), optional) << key;
  }
}

class FolderTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = absl::StrCat(testing::TempDir(), "state_dit_", getpid());
    std::filesystem::create_directories(folder_);
    for (const char* file : {"/config.json", "/model.safetensors"}) {
      WriteFile(folder_ + file, ReadFile(TinyFolder() + file));
    }
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Message() const {
    auto world = World::Load(folder_, kernels::Kernels());
    return world.ok() ? "OK" : std::string(world.status().message());
  }
  void EditConfig(const char* pointer, Json value) {
    Json json = TinyConfig();
    json[Json::json_pointer(pointer)] = std::move(value);
    WriteFile(folder_ + "/config.json", json.dump());
  }
  // Rewrites the header of the weights, at the same length.
  void EditHeader(const std::function<void(std::string*)>& edit) {
    std::string file = ReadFile(TinyFolder() + "/model.safetensors");
    uint64_t length = 0;
    std::memcpy(&length, file.data(), 8);
    std::string header = file.substr(8, length);
    edit(&header);
    header.resize(length, ' ');
    WriteFile(folder_ + "/model.safetensors", file.replace(8, length, header));
  }

  std::string folder_;
};

TEST_F(FolderTest, AGoodOneOpens) { EXPECT_EQ(Message(), "OK"); }

TEST_F(FolderTest, AMissingFileIsNamed) {
  std::filesystem::remove(folder_ + "/model.safetensors");
  EXPECT_THAT(Message(), HasSubstr("model.safetensors"));
  std::filesystem::remove(folder_ + "/config.json");
  EXPECT_THAT(Message(), HasSubstr("config.json"));
}

TEST_F(FolderTest, AMissingTensorIsNamed) {
  EditHeader([](std::string* header) {
    header->replace(header->find("dit.final.weight"), 16, "dit.fin4l.weight");
  });
  EXPECT_THAT(Message(), HasSubstr("dit.final.weight"));
}

TEST_F(FolderTest, ATensorOfAnotherSizeIsNamed) {
  for (auto [key, value, tensor] : {std::tuple{"/dit/mlp", 71, "dit.blocks.0.up.weight"},
                                    {"/dynamics/grid", 12, "dynamics.grid"},
                                    {"/decoder", 0, "decoder"},
                                    {"/rays/hidden", 4096, "rays.gate.linear.weight"},
                                    {"/samples_per_frame", 192000, "audio.basis"},
                                    {"/prompt_buckets", 65536, "prompt.linear.weight"}}) {
    EditConfig(key, value);
    EXPECT_THAT(Message(), HasSubstr(tensor)) << key;
  }
}

TEST_F(FolderTest, CutOffWeightsAreRefused) {
  const std::string whole = ReadFile(TinyFolder() + "/model.safetensors");
  for (size_t size : {size_t{0}, size_t{7}, size_t{100}, whole.size() - 1}) {
    WriteFile(folder_ + "/model.safetensors", whole.substr(0, size));
    EXPECT_NE(Message(), "OK") << size;
  }
}

TEST_F(FolderTest, WeightsThatAreNotFiniteAreNamed) {
  std::string file = ReadFile(TinyFolder() + "/model.safetensors");
  file[file.size() - 1] = '\x7f';
  file[file.size() - 2] = '\xff';
  WriteFile(folder_ + "/model.safetensors", file);
  EXPECT_THAT(Message(), HasSubstr("not finite"));
}

}  // namespace
}  // namespace firstbyte::state_dit
