#include "bench/shapes.h"

#include <cmath>
#include <filesystem>
#include <fstream>

#include "bench/shapes_command.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "tests/model/cuda/test_device.h"

namespace firstbyte {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::MatchesRegex;

class ShapesTest : public testing::Test {
 protected:
  ShapesTest() {
    std::string why;
    auto test = cuda::OpenTestDevice(cuda::ExecutorNames().front(), &why);
    gpu_ = std::make_unique<cuda::Gpu>(*test->plugin, std::move(test->device));
  }

  // Runs the command as its line says; what it leaves as JSON.
  json Run(std::vector<std::string> line) {
    CLI::App app;
    ShapesOptions options;
    AddShapesOptions(&app, &options);
    const auto file = std::filesystem::path(testing::TempDir()) / "shapes_test.json";
    std::filesystem::remove(file);
    line.insert(line.end(), {"--json", file.string()});
    std::reverse(line.begin(), line.end());
    app.parse(line);
    EXPECT_EQ(RunShapesOn(gpu_.get(), options), 0);
    std::ifstream in(file);
    return json::parse(in, nullptr, /*allow_exceptions=*/false);
  }

  std::unique_ptr<cuda::Gpu> gpu_;
};

TEST_F(ShapesTest, MeasuresEagerAndByGraphs) {
  const json out = Run({"--shape", "tiny,tiny-forward", "--steps", "5", "--warmup", "2"});
  ASSERT_EQ(out["shapes"].size(), 4);
  std::vector<std::string> what;
  for (const json& row : out["shapes"]) {
    what.push_back(row["shape"].get<std::string>() + " " + row["mode"].get<std::string>());
    EXPECT_EQ(row["steps"], 5);
    EXPECT_GT(row["ms_mean"], 0);
    EXPECT_LE(row["ms_least"], row["ms_mean"]);
    EXPECT_LE(row["ms_95"][0], row["ms_mean"]);
    EXPECT_GE(row["ms_95"][1], row["ms_mean"]);
    const double tokens = row["shape"] == "tiny" ? 3 : 16;
    EXPECT_NEAR(row["tokens_per_s"].get<double>() * row["ms_mean"].get<double>() / 1e3, tokens,
                1e-6);
    EXPECT_FALSE(row.contains("share_of_memory")) << "an emulated GPU's memory has no speed";
  }
  EXPECT_THAT(what,
              ElementsAre("tiny eager", "tiny graph", "tiny-forward eager", "tiny-forward graph"));
}

TEST_F(ShapesTest, SessionsAndContextAreAsAskedFor) {
  const json out = Run({"--shape", "tiny", "--slots", "2", "--context", "8", "--dtype", "fp32",
                        "--mode", "graph", "--steps", "3"});
  ASSERT_EQ(out["shapes"].size(), 1);
  const json& row = out["shapes"][0];
  EXPECT_EQ(row["rows"], 2);
  EXPECT_EQ(row["context"], 8);
  EXPECT_EQ(row["dtype"], "fp32");
}

TEST_F(ShapesTest, AShapeThatDoesNotFitIsRefused) {
  ShapesOptions options;
  options.shapes = {"llama-3.2-3b"};
  EXPECT_EQ(RunShapesOn(gpu_.get(), options), 1);
}

TEST_F(ShapesTest, WhatAStepMovesIsItsWeightsCachesAndLogits) {
  shapes::Shape shape = *shapes::Find("tiny");
  const auto result = shapes::Measure(gpu_.get(), shape, {.warmup = 1, .steps = 4});
  ASSERT_TRUE(result.ok()) << result.status();
  // At positions 0, 5 and 10; steps 1 to 4 see 2 to 5, 7 to 10 and 12 to 15 keys.
  const double weights = 2.0 * static_cast<double>(shape.parameters());
  const double caches = 2.0 * 2 * (3.5 + 8.5 + 13.5) * 2 * 2 * 8, logits = 4.0 * 3 * 64;
  EXPECT_NEAR(result->bytes, weights + caches + logits, 1e-6);
}

TEST(ShapeTest, SizesAreThePublishedOnes) {
  const auto billions = [](const char* name) {
    return std::round(1e-7 * static_cast<double>(shapes::Find(name)->parameters())) / 100;
  };
  EXPECT_EQ(billions("llama-3.2-3b"), 3.21);
  EXPECT_EQ(billions("cs336-2.7b"), 3.41);  // its name is GPT's, whose MLP has two matrices
  for (const shapes::Shape& shape : shapes::Known()) {
    const cuda::LlamaShape& l = shape.llama;
    EXPECT_EQ(l.head_dim * l.heads, l.width) << shape.name;
    EXPECT_LE(l.tokens, l.capacity) << shape.name;
  }
}

TEST(ShapeTest, WithoutTheirDeviceThereIsOneLine) {
  ShapesOptions options;
  options.device = "cpu";
  testing::internal::CaptureStderr();
  EXPECT_EQ(RunShapes(options), 2);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "firstbyte-bench: shapes run on --device cuda\n");
  options.device = "cuda";
  options.plugin = "/nowhere/plugin.so";
  testing::internal::CaptureStderr();
  EXPECT_EQ(RunShapes(options), 2);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              MatchesRegex("firstbyte-bench: no CUDA plugin at /nowhere/plugin.so: .*\n"));
}

}  // namespace
}  // namespace firstbyte
