#include "metrics/nvml.h"

#include <dlfcn.h>

#include <cmath>

#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include "base/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/metrics.h"
#include "tests/metrics/fake_nvml.h"

namespace firstbyte {
namespace {

using testing::HasSubstr;
using testing::Not;

class NvmlTest : public testing::Test {
 protected:
  // Holds the library, so that what a test sets in it stays.
  NvmlTest()
      : library_(dlopen(FIRSTBYTE_FAKE_NVML, RTLD_NOW)),
        fake_(*static_cast<FakeNvml*>(dlsym(library_, "fake_nvml"))) {
    fake_ = {};
  }
  ~NvmlTest() override {
    EXPECT_EQ(fake_.running, 0);
    dlclose(library_);
  }

  static std::string Scrape(const Metrics& metrics) {
    return prometheus::TextSerializer().Serialize(metrics.collectable()->Collect());
  }

  void* const library_;
  FakeNvml& fake_;
};

TEST_F(NvmlTest, ReadsEveryGpuInBaseUnits) {
  auto nvml = Nvml::Open(FIRSTBYTE_FAKE_NVML);
  ASSERT_NE(nvml, nullptr);
  const std::vector<GpuUsage> gpus = nvml->Read();
  ASSERT_EQ(gpus.size(), 2u);
  EXPECT_EQ(gpus[1].index, 1);
  EXPECT_EQ(gpus[1].uuid, "GPU-1");
  EXPECT_EQ(gpus[1].utilization, 0.41);
  EXPECT_EQ(gpus[1].memory_used, 2.0 * (1 << 30));
  EXPECT_EQ(gpus[1].memory_total, 80.0 * (1 << 30));
  EXPECT_EQ(gpus[1].temperature, 51);
  EXPECT_EQ(gpus[1].power, 123.5);
  EXPECT_EQ(gpus[1].sm_clock, 1.98e9);
}

TEST_F(NvmlTest, WhatCannotBeReadIsMissingAndTheRestIsThere) {
  auto nvml = Nvml::Open(FIRSTBYTE_FAKE_NVML);
  ASSERT_NE(nvml, nullptr);
  fake_.power_of_gpu_1 = 3;
  EXPECT_FALSE(nvml->Read().at(1).power);
  EXPECT_TRUE(nvml->Read().at(1).temperature);
  EXPECT_TRUE(nvml->Read().at(0).power);
  fake_.handle_of_gpu_1 = 15;  // fallen off the bus
  EXPECT_EQ(nvml->Read().size(), 1u);
  fake_.count = 999;
  EXPECT_TRUE(nvml->Read().empty());
}

TEST_F(NvmlTest, CountsNoMoreThanItsBound) {
  auto nvml = Nvml::Open(FIRSTBYTE_FAKE_NVML);
  fake_.gpus = 64;
  EXPECT_EQ(nvml->Read().size(), size_t{Nvml::kMaxGpus});
}

TEST_F(NvmlTest, WithoutLibraryFunctionsOrDriverThereIsNone) {
  EXPECT_EQ(Nvml::Open("libno-such-library.so.1"), nullptr);
  EXPECT_EQ(Nvml::Open("libm.so.6"), nullptr);  // has none of the functions
  fake_.init = 9;                               // no driver
  EXPECT_EQ(Nvml::Open(FIRSTBYTE_FAKE_NVML), nullptr);
}

TEST_F(NvmlTest, GpusAreExportedAndReadAtMostOnceASecond) {
  FakeClock clock;
  Metrics metrics({"rms"}, {"0.1", "avx2"});
  EXPECT_THAT(Scrape(metrics), Not(HasSubstr("firstbyte_gpu")));
  metrics.ExportGpus(Nvml::Open(FIRSTBYTE_FAKE_NVML), clock);
  const std::string page = Scrape(metrics);
  EXPECT_THAT(page, HasSubstr("firstbyte_gpu_utilization_ratio{gpu=\"0\",uuid=\"GPU-0\"} 0.4\n"));
  EXPECT_THAT(page, HasSubstr("firstbyte_gpu_temperature_celsius{gpu=\"1\",uuid=\"GPU-1\"} 51\n"));
  EXPECT_THAT(page, HasSubstr("firstbyte_gpu_power_watts{gpu=\"0\",uuid=\"GPU-0\"} 123.5\n"));
  Scrape(metrics);
  EXPECT_EQ(fake_.reads, 1);
  clock.Advance(absl::Seconds(1));
  fake_.utilization = 1;
  EXPECT_THAT(Scrape(metrics), HasSubstr("gpu_utilization_ratio{gpu=\"0\",uuid=\"GPU-0\"} Nan\n"));
  EXPECT_EQ(fake_.reads, 2);
}

TEST_F(NvmlTest, AGpuThatIsGoneShowsNoOldValues) {
  FakeClock clock;
  Metrics metrics({"rms"}, {"0.1", "avx2"});
  metrics.ExportGpus(Nvml::Open(FIRSTBYTE_FAKE_NVML), clock);
  Scrape(metrics);
  clock.Advance(absl::Seconds(1));
  fake_.handle_of_gpu_1 = 15;
  const std::string page = Scrape(metrics);
  EXPECT_THAT(page, HasSubstr("firstbyte_gpu_power_watts{gpu=\"1\",uuid=\"GPU-1\"} Nan\n"));
  EXPECT_THAT(page, HasSubstr("firstbyte_gpu_power_watts{gpu=\"0\",uuid=\"GPU-0\"} 123.5\n"));
}

TEST_F(NvmlTest, NoLibraryExportsNothing) {
  Metrics metrics({"rms"}, {"0.1", "avx2"});
  metrics.ExportGpus(nullptr, Clock::Steady());
  EXPECT_THAT(Scrape(metrics), Not(HasSubstr("firstbyte_gpu")));
}

}  // namespace
}  // namespace firstbyte
