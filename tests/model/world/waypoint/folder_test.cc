// A bad folder is an error that names what is wrong, never a crash; damaged_test.cc goes through
// all that it can hold.
#include <cstring>

#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/registry/registry.h"
#include "tests/model/world/waypoint/world_fixture.h"

namespace firstbyte::waypoint {
namespace {

using testing::HasSubstr;

absl::Status LoadStatus(const WorldFolder& folder) {
  return Checkpoint::Load(folder.path(), kernels::Kernels()).status();
}

// The offset of a tensor's bytes, which begin where the header says.
size_t DataOf(const std::string& bytes, const std::string& tensor) {
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  const size_t key = bytes.find("\"" + tensor + "\"");
  const size_t offsets = bytes.find("\"data_offsets\":[", key) + std::strlen("\"data_offsets\":[");
  return 8 + header + std::stoul(bytes.substr(offsets, 20));
}

TEST(WaypointFolder, OpensThroughTheRegistry) {
  auto models = OpenModelFolder(TinyFolder(), {.lanes = 2, .slots = 3, .max_batch = 2});
  ASSERT_TRUE(models.ok()) << models.status();
  ASSERT_EQ(models->size(), 2u);
  const ModelInfo& info = models->front()->info();
  EXPECT_EQ(info.name, "waypoint-tiny");
  EXPECT_EQ(info.slots, 3);
  EXPECT_EQ(info.max_batch, 2);
  ASSERT_TRUE(info.world.has_value());
  EXPECT_EQ(info.world->width, 256);
  EXPECT_EQ(info.world->height, 128);
  EXPECT_EQ(info.world->frames_per_block, 4);
  EXPECT_EQ(info.world->frames_per_second, 60);
  EXPECT_EQ(info.world->keys.size(), 8u);
  EXPECT_TRUE(info.world->pointer && info.world->scroll);
  EXPECT_EQ(info.world->prompt_dimensions, 0);
}

TEST(WaypointFolder, NamesAMissingFile) {
  for (const char* file : {"config.yaml", "model.safetensors", "taehv1_5.safetensors"}) {
    WorldFolder folder;
    std::filesystem::remove(folder.path() + "/" + file);
    EXPECT_THAT(std::string(LoadStatus(folder).message()), HasSubstr(file));
  }
}

// A config that does not go with the weights: the tensor whose shape is not as it should be.
TEST(WaypointFolder, NamesTheTensorThatDoesNotFit) {
  const struct {
    const char *line, *other, *tensor;
  } cases[] = {
      {"d_model: 64", "d_model: 128", "denoise_step_emb.mlp.fc1.weight"},
      {"mlp_ratio: 4", "mlp_ratio: 3", "denoise_step_emb.mlp.fc1.weight"},
      {"n_layers: 4", "n_layers: 5", "transformer.blocks.4"},
      {"n_kv_heads: 2", "n_kv_heads: 4", "transformer.blocks.0.attn.k_proj.weight"},
      {"channels: 4", "channels: 8", "patchify.weight"},
      {"n_buttons: 8", "n_buttons: 256", "ctrl_emb.mlp.fc1.weight"},
      {"patch: [2, 2]", "patch: [1, 2]", "patchify.weight"},
      {"ctrl_conditioning_period: 3", "ctrl_conditioning_period: 2",
       "transformer.blocks.2.ctrl_mlpfusion.fc1_x.weight"},
  };
  for (const auto& each : cases) {
    WorldFolder folder;
    folder.Replace(each.line, each.other);
    EXPECT_THAT(std::string(LoadStatus(folder).message()), HasSubstr(each.tensor)) << each.other;
  }
}

// The modulations are stored with every block and used from the first.
TEST(WaypointFolder, RefusesModulationsThatDiffer) {
  const std::string tensor = "transformer.blocks.2.mlp_cond_head.cond_proj.1.weight";
  WorldFolder folder;
  std::string bytes = folder.Read("model.safetensors");
  bytes[DataOf(bytes, tensor)] ^= 1;
  folder.Write("model.safetensors", bytes);
  EXPECT_THAT(std::string(LoadStatus(folder).message()), HasSubstr(tensor));
}

TEST(WaypointFolder, RefusesACutFile) {
  for (const char* file : {"model.safetensors", "taehv1_5.safetensors"}) {
    WorldFolder folder;
    const std::string bytes = folder.Read(file);
    for (size_t size : {size_t{0}, size_t{7}, size_t{100}, bytes.size() / 2, bytes.size() - 1}) {
      folder.Write(file, bytes.substr(0, size));
      EXPECT_FALSE(LoadStatus(folder).ok()) << file << " of " << size << " bytes";
    }
  }
}

TEST(WaypointFolder, TheRegistryReadsYaml) {
  WorldFolder folder;
  folder.Write("config.yaml", "model_type: [1]\n");
  EXPECT_EQ(DetailOf(OpenModelFolder(folder.path(), {}).status()).reason, "BAD_CONFIG");
  folder.Write("config.yaml", "model_type: {\n");
  EXPECT_EQ(DetailOf(OpenModelFolder(folder.path(), {}).status()).reason, "BAD_CONFIG");
  folder.Write("config.yaml", "model_type: oasis\n");
  EXPECT_EQ(DetailOf(OpenModelFolder(folder.path(), {}).status()).reason, "UNKNOWN_FAMILY");
}

}  // namespace
}  // namespace firstbyte::waypoint
