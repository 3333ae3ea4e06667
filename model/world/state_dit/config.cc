#include "model/world/state_dit/config.h"

#include <algorithm>

#include "model/io/config_reader.h"
#include "nlohmann/json.hpp"

namespace firstbyte::state_dit {
namespace {

constexpr int kMaxSize = 4096;

DynamicsConfig ReadDynamics(ConfigReader r) {
  DynamicsConfig c;
  c.width = r.Int("width", 1, kMaxSize);
  c.layers = r.Int("layers", 1, 32);
  c.frequencies = r.Int("frequencies", 2, 64);
  c.lowest = r.Number("lowest", 1e-4, 100);
  c.highest = r.Number("highest", 1e-4, 100);
  c.headings = r.Int("headings", 1, 16);
  c.grid = r.Int("grid", 2, 1024);
  c.channels = r.Int("channels", 1, 64);
  c.move = r.Number("move", 1e-6, 10);
  c.turn = r.Number("turn", 1e-6, 10);
  c.low = r.Number("low", -1000, 1000);
  c.high = r.Number("high", -1000, 1000);
  if (c.high <= c.low) r.Fail("high", "must be over low");
  return c;
}

RaysConfig ReadRays(ConfigReader r) {
  RaysConfig c;
  c.count = r.Int("count", 1, 256);
  c.beyond = r.Int("beyond", 0, 64);
  if (2 * c.beyond >= c.count) r.Fail("beyond", "must leave rays inside the picture");
  c.half_tangent = r.Number("half_tangent", 1e-3, 100);
  c.samples = r.Int("samples", 2, 1024);
  c.near = r.Number("near", 0, 100);
  c.far = r.Number("far", 1e-3, 1000);
  c.power = r.Number("power", 0.1, 10);
  c.density = r.Int("density", 2, 1024);
  c.grid = r.Int("grid", 2, 1024);
  c.channels = r.Int("channels", 1, 64);
  c.before = r.Number("before", 0, 10);
  c.behind = r.Number("behind", 0, 10);
  c.frequencies = r.Numbers("frequencies", std::min<size_t>(r.Length("frequencies"), 32), 0, 100);
  c.floor = r.Numbers("floor", std::min<size_t>(r.Length("floor"), 64), 0, 100);
  c.headings = r.Int("headings", 1, 16);
  c.hidden = r.Int("hidden", 1, kMaxSize);
  c.features = r.Int("features", 1, 1024);
  return c;
}

RendererConfig ReadRenderer(ConfigReader r, int rays) {
  RendererConfig c;
  c.rays = r.Int("rays", 1, 64);
  c.stride = r.Int("stride", 1, 64);
  if (c.stride * (kLatentSide - 1) + c.rays > rays) r.Fail("rays", "must not pass the last ray");
  c.width = r.Int("width", 1, kMaxSize);
  c.layers = r.Int("layers", 1, 32);
  return c;
}

DitConfig ReadDit(ConfigReader r) {
  DitConfig c;
  c.width = r.Int("width", 1, kMaxSize);
  c.layers = r.Int("layers", 1, 32);
  c.heads = r.Int("heads", 1, 32);
  r.Exactly("head_dim", 64);
  c.mlp = r.Int("mlp", 1, 4 * kMaxSize);
  c.condition = r.Int("condition", 1, kMaxSize);
  c.rope_pairs = r.Ints("rope_pairs", 3, 0, 32);
  if (c.rope_pairs[0] + c.rope_pairs[1] + c.rope_pairs[2] != 32) {
    r.Fail("rope_pairs", "must add up to 32");
  }
  c.rope_base = r.Number("rope_base", 1, 1e6);
  c.window = r.Int("window", 1, 64);
  c.renderer = r.Bool("renderer");
  c.sigmas = r.Numbers("sigmas", std::clamp<size_t>(r.Length("sigmas"), 1, 16), 1e-3, 1);
  if (!std::is_sorted(c.sigmas.rbegin(), c.sigmas.rend())) r.Fail("sigmas", "must fall");
  c.events = r.Int("events", 0, 64);
  r.Exactly("note", kNoteSize);
  return c;
}

LocalizerConfig ReadLocalizer(ConfigReader r) {
  LocalizerConfig c;
  c.width = r.Int("width", 1, kMaxSize);
  c.bins = r.Int("bins", 1, 64);
  c.headings = r.Int("headings", 1, 360);
  c.positions = r.Int("positions", 1, 64);
  c.turns = r.Int("turns", 1, 16);
  c.keep = r.Int("keep", 1, 64);
  c.rounds = r.Int("rounds", 0, 16);
  c.position_spread = r.Number("position_spread", 0, 10);
  c.heading_spread = r.Number("heading_spread", 0, 10);
  if (c.positions > c.bins * c.bins) r.Fail("positions", "must not be more than there are bins");
  if (c.turns > c.headings) r.Fail("turns", "must not be more than there are headings");
  if (c.positions * c.turns % c.keep != 0) r.Fail("keep", "must divide positions * turns");
  return c;
}

void ReadState(ConfigReader r, Config* config) {
  const char* names[kDiscrete] = {"step", "collision", "cooldown"};
  for (int i = 0; i < kDiscrete; ++i) config->discrete_sizes[i] = r.Int(names[i], 1, 64);
}

void ReadPictures(ConfigReader root, Config* config) {
  root.Exactly("width", kPicture);
  root.Exactly("height", kPicture);
  ConfigReader latent = root.Object("latent");
  latent.Exactly("rows", kLatentSide);
  latent.Exactly("columns", kLatentSide);
  config->latent_channels = latent.Int("channels", 1, 1024);
  config->audio_channels = root.Int("audio_channels", 1, 1024);
  config->encoder = root.Ints("encoder", 3, 1, 1024);
  config->decoder = root.Ints("decoder", 3, 1, 1024);
}

void ReadWorld(ConfigReader root, Config* config) {
  config->fps = root.Number("fps", 1, 240);
  config->sample_rate = root.Int("sample_rate", 8000, 192000);
  config->samples_per_frame = root.Int("samples_per_frame", 1, 192000);
  config->keys = root.Strings("keys");
  if (config->keys.size() != kKeys) root.Fail("keys", "must be 6 names");
  config->themes = root.Strings("themes");
  if (config->themes.size() > 256) root.Fail("themes", "must be at most 256 names");
  config->default_theme = root.Int("default_theme", 0, static_cast<int>(config->themes.size()) - 1);
  config->prompt_buckets = root.Int("prompt_buckets", 1, 65536);
  config->start = root.Numbers("start", 3, -1000, 1000);
  ConfigReader map = root.Object("map");
  config->map_low = map.Number("low", -1000, 1000);
  config->map_high = map.Number("high", -1000, 1000);
  if (config->map_high <= config->map_low) map.Fail("high", "must be over low");
}

// Of a path, without slashes at its end.
std::string LastComponent(std::string folder) {
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  return folder.substr(folder.rfind('/') + 1);
}

}  // namespace

absl::StatusOr<Config> ParseConfig(absl::string_view text) {
  absl::StatusOr<nlohmann::json> json = ParseConfigObject(text);
  if (!json.ok()) return json.status();
  absl::Status status;
  ConfigReader root(&*json, "", &status);
  Config config;
  if (root.Has("name")) config.name = root.String("name");
  if (root.Has("description")) config.description = root.String("description");
  ReadWorld(root, &config);
  ReadState(root.Object("state"), &config);
  ReadPictures(root, &config);
  config.dynamics = ReadDynamics(root.Object("dynamics"));
  config.rays = ReadRays(root.Object("rays"));
  config.renderer = ReadRenderer(root.Object("renderer"), config.rays.count);
  config.dit = ReadDit(root.Object("dit"));
  config.localizer = ReadLocalizer(root.Object("localizer"));
  config.noise_purpose = root.Int("noise_purpose", 0, 1000);
  config.localizer_noise_purpose = root.Int("localizer_noise_purpose", 0, 1000);
  config.norm_epsilon = root.Number("norm_epsilon", 1e-12, 1e-2);
  if (!status.ok()) return status;
  return config;
}

absl::StatusOr<Config> ReadConfig(const std::string& folder) {
  absl::StatusOr<std::string> json = ReadSmallFile(folder + "/config.json");
  if (!json.ok()) return json.status();
  absl::StatusOr<Config> config = ParseConfig(*json);
  if (config.ok() && config->name.empty()) config->name = LastComponent(folder);
  return config;
}

}  // namespace firstbyte::state_dit
