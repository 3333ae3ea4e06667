#include "bench/random_waypoint.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <functional>
#include <numeric>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace firstbyte {
namespace {

constexpr int kFourier = 512;  // features of a noise level

struct Shape {
  int height, width, layers, model, heads, kv_heads, channels, buttons;
  int widths[4];  // of the decoder's stages, and of its last maps
  bool resized;   // pictures are 16:9
};

constexpr Shape k720p = {16, 32, 24, 2048, 32, 16, 32, 256, {256, 128, 64, 64}, true};
constexpr Shape k360p = {8, 16, 24, 2048, 32, 16, 32, 256, {256, 128, 64, 64}, true};
constexpr Shape kTiny = {4, 8, 4, 64, 4, 2, 4, 8, {8, 8, 8, 8}, false};

const Shape* ShapeOf(absl::string_view size) {
  if (size == "720p") return &k720p;
  if (size == "360p") return &k360p;
  return size == "tiny" ? &kTiny : nullptr;
}

struct Tensor {
  std::string name;
  std::vector<int64_t> shape;
  int64_t elements() const {
    return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  }
};

std::string Config(const Shape& s) {
  return absl::StrCat(
      "model_type: waypoint-1.5\nbase_fps: 15\ninference_fps: 60\ntemporal_compression: 4\n"
      "taehv_ae: true\nauto_aspect_ratio: ",
      s.resized ? "true" : "false", "\nchannels: ", s.channels, "\nheight: ", s.height,
      "\nwidth: ", s.width, "\npatch: [2, 2]\nn_layers: ", s.layers, "\nd_model: ", s.model,
      "\nn_heads: ", s.heads, "\nn_kv_heads: ", s.kv_heads,
      "\nmlp_ratio: 4\nlocal_window: 16\nglobal_window: 128\nglobal_pinned_dilation: 8\n"
      "global_attn_period: 4\nglobal_attn_offset: -1\nrope_impl: ortho\n"
      "noise_conditioning: wan\nvalue_residual: true\ngated_attn: false\nmoe: false\n"
      "ctrl_conditioning: true\nctrl_conditioning_period: 3\nn_buttons: ",
      s.buttons, "\nscheduler_sigmas: [1.0, 0.9, 0.75, 0.3, 0.0]\n");
}

std::vector<Tensor> Transformer(const Shape& s) {
  const int64_t d = s.model, kv = d / s.heads * s.kv_heads, controls = 2 + s.buttons + 1;
  std::vector<Tensor> all = {{"patchify.weight", {d, s.channels, 2, 2}},
                             {"unpatchify.weight", {d, s.channels, 2, 2}},
                             {"unpatchify.bias", {s.channels}},
                             {"denoise_step_emb.mlp.fc1.weight", {4 * d, kFourier}},
                             {"denoise_step_emb.mlp.fc2.weight", {d, 4 * d}},
                             {"ctrl_emb.mlp.fc1.weight", {4 * d, controls}},
                             {"ctrl_emb.mlp.fc2.weight", {d, 4 * d}},
                             {"out_norm.fc.weight", {2 * d, d}}};
  for (int i = 0; i < s.layers; ++i) {
    const auto add = [&](absl::string_view name, std::vector<int64_t> shape) {
      all.push_back({absl::StrCat("transformer.blocks.", i, ".", name), std::move(shape)});
    };
    add("attn.q_proj.weight", {d, d});
    add("attn.k_proj.weight", {kv, d});
    add("attn.v_proj.weight", {kv, d});
    add("attn.out_proj.weight", {d, d});
    add("attn.v_lamb", {});
    add("dit_mlp.fc1.weight", {4 * d, d});
    add("dit_mlp.fc2.weight", {d, 4 * d});
    add("mlp_cond_head.bias_in", {d});
    // The same for all layers, and stored with the first.
    for (int j = 0; i == 0 && j < 6; ++j) {
      add(absl::StrCat(j < 3 ? "attn" : "mlp", "_cond_head.cond_proj.", j % 3, ".weight"), {d, d});
    }
    for (const char* name : {"fc1_x", "fc1_c", "fc2"}) {
      if (i % 3 == 0) add(absl::StrCat("ctrl_mlpfusion.", name, ".weight"), {d, d});
    }
  }
  return all;
}

void AddConv(absl::string_view name, int64_t n, int64_t channels, bool bias,
             std::vector<Tensor>* all) {
  all->push_back({absl::StrCat(name, ".weight"), {n, channels, 3, 3}});
  if (bias) all->push_back({absl::StrCat(name, ".bias"), {n}});
}

void AddMemoryBlock(absl::string_view name, int64_t n, std::vector<Tensor>* all) {
  for (int i = 0; i < 3; ++i) {
    AddConv(absl::StrCat(name, ".conv.", 2 * i), n, i == 0 ? 2 * n : n, true, all);
  }
}

std::vector<Tensor> Autoencoder(const Shape& s) {
  std::vector<Tensor> all;
  const int64_t wide = s.widths[3];
  AddConv("encoder.0", wide, 12, true, &all);
  AddConv("encoder.17", s.channels, wide, true, &all);
  for (int stage = 0; stage < 3; ++stage) {
    const int first = 2 + 5 * stage, stride = stage < 2 ? 2 : 1;
    all.push_back({absl::StrCat("encoder.", first, ".conv.weight"), {wide, stride * wide, 1, 1}});
    AddConv(absl::StrCat("encoder.", first + 1), wide, wide, false, &all);
    for (int i = 2; i < 5; ++i) AddMemoryBlock(absl::StrCat("encoder.", first + i), wide, &all);
  }
  AddConv("decoder.1", s.widths[0], s.channels, true, &all);
  for (int stage = 0; stage < 3; ++stage) {
    const int64_t n = s.widths[stage];
    const int first = 3 + 6 * stage, stride = stage == 0 ? 1 : 2;
    for (int i = 0; i < 3; ++i) AddMemoryBlock(absl::StrCat("decoder.", first + i), n, &all);
    all.push_back({absl::StrCat("decoder.", first + 4, ".conv.weight"), {stride * n, n, 1, 1}});
    AddConv(absl::StrCat("decoder.", first + 5), s.widths[stage + 1], n, false, &all);
  }
  AddConv("decoder.22", 12, wide, true, &all);
  return all;
}

// Uniform, of a size that keeps what goes through a layer about as large as it was.
void WriteNumbers(const Tensor& tensor, uint64_t* state, std::ofstream* out) {
  const int64_t rows = tensor.shape.empty() ? 1 : tensor.shape[0];
  const float most = std::sqrt(3.0f * static_cast<float>(rows) / tensor.elements());
  std::vector<uint16_t> numbers(tensor.elements());
  for (uint16_t& number : numbers) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    const float x = most * (static_cast<float>(*state >> 40) * 0x1p-23f - 1);
    uint32_t bits;
    static_assert(sizeof(bits) == sizeof(x));
    std::copy_n(reinterpret_cast<const char*>(&x), sizeof(x), reinterpret_cast<char*>(&bits));
    number = static_cast<uint16_t>(bits >> 16);  // bfloat16
  }
  out->write(reinterpret_cast<const char*>(numbers.data()), 2 * tensor.elements());
}

absl::Status WriteTensors(const std::vector<Tensor>& tensors, const std::string& path) {
  std::vector<std::string> entries;
  int64_t at = 0;
  for (const Tensor& tensor : tensors) {
    const int64_t end = at + 2 * tensor.elements();
    entries.push_back(absl::StrCat("\"", tensor.name, "\":{\"dtype\":\"BF16\",\"shape\":[",
                                   absl::StrJoin(tensor.shape, ","), "],\"data_offsets\":[", at,
                                   ",", end, "]}"));
    at = end;
  }
  std::string header = absl::StrCat("{", absl::StrJoin(entries, ","), "}");
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::ofstream out(path, std::ios::binary);
  for (int i = 0; i < 8; ++i) out.put(static_cast<char>(header.size() >> (8 * i)));
  out << header;
  uint64_t state = 1;
  for (const Tensor& tensor : tensors) WriteNumbers(tensor, &state, &out);
  out.close();
  return out.good() ? absl::OkStatus()
                    : absl::UnavailableError(absl::StrCat("cannot write ", path));
}

}  // namespace

absl::StatusOr<std::string> WaypointConfig(absl::string_view size) {
  const Shape* shape = ShapeOf(size);
  if (shape == nullptr) return absl::InvalidArgumentError("sizes are 720p, 360p and tiny");
  return Config(*shape);
}

absl::Status WriteRandomWaypoint(absl::string_view size, const std::string& folder) {
  const absl::StatusOr<std::string> config = WaypointConfig(size);
  if (!config.ok()) return config.status();
  const std::string path = folder + "/config.yaml";
  std::ofstream out(path);
  out << *config;
  out.close();
  if (!out.good()) return absl::UnavailableError(absl::StrCat("cannot write ", path));
  const Shape& shape = *ShapeOf(size);
  absl::Status status = WriteTensors(Transformer(shape), folder + "/model.safetensors");
  if (status.ok()) status = WriteTensors(Autoencoder(shape), folder + "/taehv1_5.safetensors");
  return status;
}

}  // namespace firstbyte
