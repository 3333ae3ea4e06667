#include "model/world/waypoint/config.h"

#include <fstream>

#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte::waypoint {
namespace {

using testing::HasSubstr;

std::string Tiny() {
  std::ifstream file(std::string(FIRSTBYTE_SOURCE_DIR) + "/tests/golden/waypoint-tiny/config.yaml");
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string With(const std::string& line, const std::string& other) {
  const std::string text = Tiny();
  EXPECT_THAT(text, HasSubstr("\n" + line + "\n"));
  return absl::StrReplaceAll(text, {{"\n" + line + "\n", "\n" + other + "\n"}});
}

std::string MessageOf(const std::string& yaml) {
  auto config = ParseConfig(yaml, "folder");
  return config.ok() ? "OK" : std::string(config.status().message());
}

TEST(WaypointConfig, ReadsAWorld) {
  auto config = ParseConfig(Tiny(), "folder");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->name, "folder");
  EXPECT_EQ(config->tokens(), 32);
  EXPECT_EQ(config->head_dim(), 16);
  EXPECT_EQ(config->passes(), 4);
  EXPECT_EQ(config->picture_height(), 128);
  EXPECT_EQ(config->picture_width(), 256);
  EXPECT_FALSE(config->is_global(0));
  EXPECT_TRUE(config->is_global(1));
  EXPECT_FALSE(config->is_global(3));
  EXPECT_EQ(config->ring(1).places, 4);
  EXPECT_TRUE(config->has_control(3));
  EXPECT_FALSE(config->has_control(2));
  EXPECT_EQ(ParseConfig(Tiny() + "name: lagoon\n", "folder")->name, "lagoon");
}

TEST(WaypointConfig, TheNameIsWhatClientsCanSay) {
  for (const std::string& name : {std::string("''"), std::string("'a b'"), std::string("\"a\\nb\""),
                                  std::string("caf\xc3\xa9"), std::string(129, 'x')}) {
    EXPECT_THAT(MessageOf(Tiny() + "name: " + name + "\n"), HasSubstr("name")) << name;
  }
  EXPECT_FALSE(ParseConfig(Tiny(), "").ok());
  EXPECT_FALSE(ParseConfig(Tiny(), "my worlds").ok());
}

// The last layer of every four, in the published models.
TEST(WaypointConfig, CountsOffsetsFromTheEnd) {
  auto config = ParseConfig(With("global_attn_offset: -3", "global_attn_offset: -1"), "folder");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->is_global(3) && config->is_global(7));
  EXPECT_FALSE(config->is_global(0) || config->is_global(1) || config->is_global(4));
}

TEST(WaypointConfig, ThePublishedPicturesAre16By9) {
  std::string yaml = With("height: 4", "height: 16");
  yaml = absl::StrReplaceAll(yaml, {{"\nwidth: 8\n", "\nwidth: 32\n"},
                                    {"tokens_per_frame: 32", "tokens_per_frame: 512"},
                                    {"auto_aspect_ratio: false", "auto_aspect_ratio: true"}});
  auto config = ParseConfig(yaml, "folder");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->decoded_width(), 1024);
  EXPECT_EQ(config->picture_width(), 1280);
  EXPECT_EQ(config->picture_height(), 720);
}

TEST(WaypointConfig, NamesTheKeyAtFault) {
  const std::pair<const char*, const char*> faults[] = {
      {"n_layers: 4", "n_layers: 0"},
      {"n_layers: 4", "n_layers: many"},
      {"d_model: 64", "d_model: 65"},
      {"d_model: 64", "d_model: 1000000000"},
      {"d_model: 64", "d_model: 32"},
      {"height: 4", "height: -1"},
      {"width: 8", "width: 100000"},
      {"tokens_per_frame: 32", "tokens_per_frame: 33"},
      {"patch: [2, 2]", "patch: [2]"},
      {"patch: [2, 2]", "patch: [2.5, 2]"},
      {"patch: [2, 2]", "patch: 2"},
      {"local_window: 4", "local_window: 0"},
      {"global_window: 12", "global_window: 13"},
      {"global_pinned_dilation: 3", "global_pinned_dilation: [2]"},
      {"scheduler_sigmas: [1.0, 0.9, 0.75, 0.3, 0.0]", "scheduler_sigmas: [1.0, 0.9, 0.9, 0.0]"},
      {"scheduler_sigmas: [1.0, 0.9, 0.75, 0.3, 0.0]", "scheduler_sigmas: [1.0, 0.5]"},
      {"scheduler_sigmas: [1.0, 0.9, 0.75, 0.3, 0.0]", "scheduler_sigmas: [.nan, 0.0]"},
      {"n_buttons: 8", "n_buttons: 257"},
      {"base_fps: 15", "base_fps: 14"},
      {"auto_aspect_ratio: false", "auto_aspect_ratio: maybe"},
  };
  for (const auto& [line, other] : faults) {
    const std::string key(line, std::string(line).find(':'));
    EXPECT_THAT(MessageOf(With(line, other)), HasSubstr(key)) << other;
  }
}

TEST(WaypointConfig, RefusesWhatIsNotImplemented) {
  const std::pair<const char*, const char*> others[] = {
      {"model_type: waypoint-1.5", "model_type: waypoint-2"},
      {"rope_impl: ortho", "rope_impl: axial"},
      {"noise_conditioning: wan", "noise_conditioning: dit_air"},
      {"value_residual: true", "value_residual: false"},
      {"gated_attn: false", "gated_attn: true"},
      {"moe: false", "moe: true"},
      {"taehv_ae: true", "taehv_ae: false"},
      {"temporal_compression: 4", "temporal_compression: 8"},
      {"prompt_conditioning: null", "prompt_conditioning: umt5"},
      {"ctrl_conditioning: true", "ctrl_conditioning: false"},
  };
  for (const auto& [line, other] : others) {
    if (std::string(line).rfind("model_type", 0) == 0) {
      EXPECT_THAT(MessageOf(absl::StrReplaceAll(Tiny(), {{line, other}})), HasSubstr("model_type"));
      continue;
    }
    const std::string key(line, std::string(line).find(':'));
    EXPECT_THAT(MessageOf(With(line, other)), HasSubstr(key)) << other;
  }
}

// Windows are in no weight's shape: only this keeps a config from asking for all memory.
TEST(WaypointConfig, BoundsTheCache) {
  const std::string yaml =
      absl::StrReplaceAll(Tiny(), {{"\nheight: 4\nwidth: 8\n", "\nheight: 128\nwidth: 128\n"},
                                   {"tokens_per_frame: 32", "tokens_per_frame: 16384"},
                                   {"local_window: 4", "local_window: 4096"}});
  EXPECT_THAT(MessageOf(yaml), HasSubstr("cache"));
}

TEST(WaypointConfig, RefusesWhatIsNoConfig) {
  for (const char* text : {"", "[]", "{", "3", "a: [b", "&a [*a, *a]", "\t\t:\n-"}) {
    EXPECT_FALSE(ParseConfig(text, "folder").ok()) << text;
  }
  EXPECT_FALSE(ParseConfig(std::string(100000, '['), "folder").ok());
}

}  // namespace
}  // namespace firstbyte::waypoint
