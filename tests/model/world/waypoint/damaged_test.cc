// Every number of config.yaml and every tensor, damaged in turn: an error that names it, or a world
// that plays, never a crash.
#include <algorithm>
#include <cstring>
#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/model/world/waypoint/world_fixture.h"

namespace firstbyte::waypoint {
namespace {

using testing::HasSubstr;

constexpr const char* kWeights[] = {"model.safetensors", "taehv1_5.safetensors"};

absl::Status LoadStatus(const WorldFolder& folder) {
  return Checkpoint::Load(folder.path(), kernels::Kernels()).status();
}

// A file of weights, of which one tensor at a time is damaged.
class Damaged {
 public:
  Damaged(const WorldFolder& folder, const std::string& file)
      : folder_(folder), file_(file), good_(folder.Read(file)) {
    auto opened = SafeTensors::Open(folder.path() + "/" + file);
    EXPECT_TRUE(opened.ok()) << opened.status();
    for (const auto& [name, tensor] : opened->tensors()) names_.push_back(name);
    std::memcpy(&header_, good_.data(), 8);
  }

  const std::vector<std::string>& names() const { return names_; }

  // What loading says when `damage` has changed the tensor's entry in the header, which must keep
  // its length, and its bytes.
  absl::Status With(const std::string& tensor,
                    const std::function<void(std::string* entry, char* data)>& damage) const {
    std::string bytes = good_;
    const size_t begin = bytes.find("\"" + tensor + "\":{"), end = bytes.find('}', begin) + 1;
    std::string entry = bytes.substr(begin, end - begin);
    const std::string key = "\"data_offsets\":[";
    const size_t offset = std::stoul(entry.substr(entry.find(key) + key.size()));
    damage(&entry, bytes.data() + 8 + header_ + offset);
    EXPECT_EQ(entry.size(), end - begin) << entry;
    folder_.Write(file_, bytes.replace(begin, end - begin, entry));
    absl::Status status = LoadStatus(folder_);
    folder_.Write(file_, good_);
    return status;
  }

 private:
  const WorldFolder& folder_;
  const std::string file_, good_;
  std::vector<std::string> names_;
  uint64_t header_ = 0;
};

// Stored, but not used: what training needed, and a bias that another one wins over.
bool Unused(const std::string& tensor) {
  return tensor == "ctrl_cfg.null_emb" ||
         tensor.find("attn_cond_head.bias_in") != std::string::npos;
}

// Blocks after the first repeat the first one's modulations; a file may leave them out.
bool Repeated(const std::string& tensor) {
  return tensor.find("cond_proj") != std::string::npos &&
         tensor.find("blocks.0.") == std::string::npos;
}

void Rename(std::string* entry, char*) { (*entry)[1] = '#'; }

void MakeIntegers(std::string* entry, char*) {
  entry->replace(entry->find("\"BF16\""), 6, "\"I16\" ");
}

void MakeNotANumber(std::string*, char* data) { std::memcpy(data, "\xC0\x7F", 2); }
void MakeInfinite(std::string*, char* data) { std::memcpy(data, "\x80\xFF", 2); }

// The same elements in another shape; false where that is the same one.
bool ReverseShape(std::string* entry, char*) {
  const size_t begin = entry->find("\"shape\":[") + 9, end = entry->find(']', begin);
  std::vector<std::string> sizes = absl::StrSplit(entry->substr(begin, end - begin), ',');
  std::reverse(sizes.begin(), sizes.end());
  const std::string reversed = absl::StrJoin(sizes, ",");
  if (entry->substr(begin, end - begin) == reversed) return false;
  entry->replace(begin, end - begin, reversed);
  return true;
}

TEST(WaypointDamaged, EveryTensorIsMissedByName) {
  WorldFolder folder;
  for (const char* file : kWeights) {
    const Damaged damaged(folder, file);
    ASSERT_GT(damaged.names().size(), 60u);
    for (const std::string& tensor : damaged.names()) {
      const absl::Status status = damaged.With(tensor, Rename);
      if (Unused(tensor) || Repeated(tensor)) {
        EXPECT_TRUE(status.ok()) << status;
      } else {
        EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << tensor;
        EXPECT_THAT(std::string(status.message()), HasSubstr(tensor));
      }
    }
  }
}

TEST(WaypointDamaged, EveryTensorIsReadInItsShapeAndType) {
  WorldFolder folder;
  for (const char* file : kWeights) {
    const Damaged damaged(folder, file);
    for (const std::string& tensor : damaged.names()) {
      if (Unused(tensor) || Repeated(tensor)) continue;
      EXPECT_THAT(std::string(damaged.With(tensor, MakeIntegers).message()), HasSubstr(tensor));
      bool changed = false;
      const absl::Status status = damaged.With(
          tensor, [&](std::string* entry, char* data) { changed = ReverseShape(entry, data); });
      if (changed) {
        EXPECT_THAT(std::string(status.message()), HasSubstr(tensor));
      } else {
        EXPECT_TRUE(status.ok()) << status;
      }
    }
  }
}

TEST(WaypointDamaged, EveryTensorIsOfFiniteNumbers) {
  WorldFolder folder;
  for (const char* file : kWeights) {
    const Damaged damaged(folder, file);
    for (const std::string& tensor : damaged.names()) {
      if (Unused(tensor)) continue;
      for (auto* damage : {MakeNotANumber, MakeInfinite}) {
        EXPECT_THAT(std::string(damaged.With(tensor, damage).message()), HasSubstr(tensor));
      }
    }
  }
}

// Each key in turn; what is accepted must also make a model and play.
TEST(WaypointDamaged, EveryNumberOfTheConfigIsChecked) {
  WorldFolder folder;
  const std::string good = folder.Read("config.yaml");
  int refused = 0;
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(good, '\n'))) {
    const std::string key(line, 0, line.find(':'));
    // Not read: they are of training, or a name.
    if (key.empty() || key == "n_frames" || key == "ae_uri" || key == "causal" ||
        key == "ctrl_cond_dropout") {
      continue;
    }
    for (const char* value : {"0",
                              "-1",
                              "1",
                              "3",
                              "2147483647",
                              "2147483648",
                              "-9223372036854775809",
                              "99999999999999999999999",
                              "1e308",
                              "1e400",
                              ".inf",
                              "-.inf",
                              ".nan",
                              "''",
                              "[]",
                              "{}",
                              "[1e308, 1e308]",
                              "[.nan, .nan]",
                              "[[1], [2]]",
                              "!!binary x",
                              "\"\\0\""}) {
      const size_t at = good.find(line + "\n");
      std::string bad = good;
      folder.Write("config.yaml", bad.replace(at, line.size(), absl::StrCat(key, ": ", value)));
      auto loaded = Checkpoint::Load(folder.path(), kernels::Kernels());
      if (!loaded.ok()) {
        EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument) << loaded.status();
        EXPECT_FALSE(loaded.status().message().empty());
        ++refused;
        continue;
      }
      auto model = Waypoint::Create(*loaded, {.slots = 1, .max_batch = 1});
      ASSERT_TRUE(model.ok()) << key << ": " << value << ": " << model.status();
      auto session = (*model)->Open({});
      ASSERT_TRUE(session.ok()) << session.status();
      EXPECT_EQ(PlayBlock(model->get(), session->get(), {}).block, 0) << key << ": " << value;
    }
  }
  EXPECT_GT(refused, 400);
}

}  // namespace
}  // namespace firstbyte::waypoint
