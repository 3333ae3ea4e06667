#include "model/world/waypoint/config.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "model/io/config_reader.h"
#include "model/model.h"
#include "yaml-cpp/yaml.h"

namespace firstbyte::waypoint {
namespace {

// A cache larger than this is taken for a mistake in the config: 720p needs 1.7 GB.
constexpr int64_t kMaxCacheBytes = int64_t{4} << 30;
constexpr int64_t kMaxPixels = 4096 * 4096;

absl::Status Bad(absl::string_view what) {
  return Invalid("BAD_CONFIG", absl::StrCat("config.yaml: ", what));
}

// Reads keys of the map; the first problem is kept and later reads return a default.
class Reader {
 public:
  explicit Reader(const YAML::Node& map) : map_(map) {}

  int Int(const char* key, int low, int high) { return ToInt(key, Find(key), low, high); }
  int Int(const char* key, int low, int high, int otherwise) {
    return Has(key) ? Int(key, low, high) : otherwise;
  }

  double Number(const char* key, double low, double high, double otherwise) {
    return Has(key) ? ToNumber(key, Find(key), low, high) : otherwise;
  }

  bool Bool(const char* key, bool otherwise) {
    bool value = otherwise;
    if (Has(key) && !YAML::convert<bool>::decode(Find(key), value)) Fail(key, "must be a boolean");
    return value;
  }

  std::string String(const char* key, absl::string_view otherwise) {
    if (!Has(key)) return std::string(otherwise);
    if (Find(key).IsScalar()) return Find(key).Scalar();
    Fail(key, "must be a string");
    return "";
  }

  std::vector<double> Numbers(const char* key, size_t least, size_t most, double low, double high) {
    const YAML::Node list = Find(key);
    std::vector<double> numbers;
    if (!list.IsSequence() || list.size() < least || list.size() > most) {
      Fail(key, absl::StrCat("must be a list of ", least, " to ", most, " numbers"));
      return std::vector<double>(least, low);
    }
    for (const YAML::Node& item : list) numbers.push_back(ToNumber(key, item, low, high));
    return numbers;
  }

  // The checkpoint says something that this engine does not implement.
  void Says(const char* key, absl::string_view value) {
    if (String(key, value) != value) Fail(key, absl::StrCat("must be ", value));
  }
  void Is(const char* key, bool value) {
    if (Bool(key, value) != value) Fail(key, value ? "must be true" : "must be false");
  }
  void Absent(const char* key) {
    if (Has(key)) Fail(key, "is not supported");
  }

  void Fail(const char* key, absl::string_view what) {
    if (status_.ok()) status_ = Bad(absl::StrCat(key, " ", what));
  }
  const absl::Status& status() const { return status_; }

 private:
  YAML::Node Find(const char* key) const { return map_[key] ? map_[key] : YAML::Node(); }
  bool Has(const char* key) const { return map_[key] && !map_[key].IsNull(); }

  int ToInt(const char* key, const YAML::Node& node, int low, int high) {
    int value = 0;
    if (node.IsScalar() && YAML::convert<int>::decode(node, value) && value >= low &&
        value <= high) {
      return value;
    }
    Fail(key, absl::StrCat("must be an integer from ", low, " to ", high));
    return low;
  }

  double ToNumber(const char* key, const YAML::Node& node, double low, double high) {
    double value = 0;
    if (node.IsScalar() && YAML::convert<double>::decode(node, value) && value >= low &&
        value <= high) {
      return value;
    }
    Fail(key, absl::StrCat("must be a number from ", low, " to ", high));
    return low;
  }

  const YAML::Node map_;
  absl::Status status_;
};

void ReadSizes(Reader* r, Config* c) {
  c->channels = r->Int("channels", 1, 256);
  c->height = r->Int("height", 1, 128);
  c->width = r->Int("width", 1, 128);
  std::vector<double> patch = r->Numbers("patch", 2, 2, 1, 4);
  c->patch_height = static_cast<int>(patch[0]);
  c->patch_width = static_cast<int>(patch[1]);
  if (c->patch_height != patch[0] || c->patch_width != patch[1]) {
    r->Fail("patch", "must be two integers");
  }
  c->n_layers = r->Int("n_layers", 1, 128);
  c->d_model = r->Int("d_model", 16, 16384);
  c->n_heads = r->Int("n_heads", 1, 256);
  c->n_kv_heads = r->Int("n_kv_heads", 1, 256);
  c->mlp_ratio = r->Int("mlp_ratio", 1, 16);
  c->n_buttons = r->Int("n_buttons", 1, WorldInfo::kMaxKeys);
  c->ctrl_conditioning_period = r->Int("ctrl_conditioning_period", 1, 128);
}

void ReadWindows(Reader* r, Config* c) {
  c->local_window = r->Int("local_window", 1, 4096);
  c->global_window = r->Int("global_window", 1, 65536);
  c->global_pinned_dilation = r->Int("global_pinned_dilation", 1, 4096);
  c->global_attn_period = r->Int("global_attn_period", 1, 128);
  c->global_attn_offset = r->Int("global_attn_offset", -128, 128);
  c->rope_nyquist_frac = r->Number("rope_nyquist_frac", 0.01, 10, 0.8);
  c->rope_theta = r->Number("rope_theta", 1, 1e9, 10000);
  c->base_fps = r->Int("base_fps", 1, 1000);
  c->inference_fps = r->Int("inference_fps", 1, 1000);
  c->scheduler_sigmas = r->Numbers("scheduler_sigmas", 2, 64, 0, 1);
  c->auto_aspect_ratio = r->Bool("auto_aspect_ratio", true);
  c->reference_compat = r->Bool("reference_compat", false);
}

void RefuseOtherArchitectures(Reader* r) {
  r->Says("model_type", "waypoint-1.5");
  r->Says("rope_impl", "ortho");
  r->Says("noise_conditioning", "wan");
  r->Is("value_residual", true);
  r->Is("gated_attn", false);
  r->Is("moe", false);
  r->Is("ctrl_conditioning", true);
  r->Is("taehv_ae", true);
  r->Absent("prompt_conditioning");
  if (r->Int("temporal_compression", 1, 64) != kFramesPerLatent) {
    r->Fail("temporal_compression", absl::StrCat("must be ", kFramesPerLatent));
  }
}

int64_t CacheBytes(const Config& c) {
  int64_t frames = 0;
  for (int i = 0; i < c.n_layers; ++i) frames += c.ring(i).places + 1;
  return frames * c.tokens() * c.kv_size() * 2 * int64_t{sizeof(float)};
}

// Clients name the world, in text.
bool IsName(absl::string_view name) {
  return !name.empty() && name.size() <= 128 &&
         std::all_of(name.begin(), name.end(), absl::ascii_isgraph);
}

// What no single key shows.
void CheckTogether(const Config& c, Reader* r) {
  if (r->Int("tokens_per_frame", 1, 65536, c.tokens()) != c.tokens()) {
    r->Fail("tokens_per_frame", "must be height * width");
  }
  if (c.d_model % c.n_heads != 0) r->Fail("d_model", "must be a multiple of n_heads");
  if (c.n_heads % c.n_kv_heads != 0) r->Fail("n_heads", "must be a multiple of n_kv_heads");
  // Frequencies are used for two pairs each, and an eighth of a head's pairs turns with x.
  if (c.head_dim() % 16 != 0 || c.head_dim() > kMaxHeadDim) {
    r->Fail("d_model", "must give heads of a multiple of 16, at most 256");
  }
  if (c.global_window % c.global_pinned_dilation != 0) {
    r->Fail("global_window", "must be a multiple of global_pinned_dilation");
  }
  if (c.base_fps * kFramesPerLatent % c.inference_fps != 0) {
    r->Fail("base_fps", "must be a multiple of inference_fps / temporal_compression");
  }
  for (size_t i = 1; i < c.scheduler_sigmas.size(); ++i) {
    if (c.scheduler_sigmas[i] >= c.scheduler_sigmas[i - 1]) {
      r->Fail("scheduler_sigmas", "must fall");
    }
  }
  if (c.scheduler_sigmas.back() != 0) r->Fail("scheduler_sigmas", "must end with 0");
  if (c.auto_aspect_ratio && c.decoded_width() != 2 * c.decoded_height()) {
    r->Fail("auto_aspect_ratio", "needs twice as many columns as rows");
  }
  if (int64_t{c.decoded_height()} * c.decoded_width() > kMaxPixels) {
    r->Fail("height", "and width make pictures of more than 4096 x 4096");
  }
  if (r->status().ok() && CacheBytes(c) > kMaxCacheBytes) {
    r->Fail("local_window", absl::StrCat("and the other sizes make a cache of ", CacheBytes(c),
                                         " bytes a session"));
  }
}

absl::StatusOr<Config> Read(const YAML::Node& map, absl::string_view folder_name) {
  Reader reader(map);
  Config config;
  config.name = reader.String("name", folder_name);
  if (!IsName(config.name)) reader.Fail("name", "must be 1 to 128 visible ASCII characters");
  RefuseOtherArchitectures(&reader);
  ReadSizes(&reader, &config);
  ReadWindows(&reader, &config);
  if (reader.status().ok()) CheckTogether(config, &reader);
  if (!reader.status().ok()) return reader.status();
  return config;
}

}  // namespace

bool Config::is_global(int layer) const {
  return (layer - global_attn_offset % global_attn_period) % global_attn_period == 0;
}

// 512 x 1024 stands for 720 x 1280, 256 x 512 for 360 x 640.
int Config::picture_height() const {
  return auto_aspect_ratio ? decoded_height() * 45 / 32 : decoded_height();
}
int Config::picture_width() const {
  return auto_aspect_ratio ? decoded_width() * 5 / 4 : decoded_width();
}

absl::StatusOr<Config> ParseConfig(const std::string& yaml, absl::string_view folder_name) {
  try {
    const YAML::Node root = YAML::Load(yaml);
    if (!root.IsMap()) return Bad("is not a map of keys");
    return Read(root, folder_name);
  } catch (const YAML::Exception& e) {
    return Bad(e.what());
  }
}

absl::StatusOr<Config> ReadConfig(const std::string& folder) {
  absl::StatusOr<std::string> yaml = ReadSmallFile(folder + "/config.yaml");
  if (!yaml.ok()) return yaml.status();
  const std::filesystem::path path = std::filesystem::path(folder).lexically_normal();
  const std::string name = path.has_filename() ? path.filename() : path.parent_path().filename();
  return ParseConfig(*yaml, name);
}

}  // namespace firstbyte::waypoint
