#include "metrics/metrics.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/instruments.h"

namespace firstbyte {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Scrape(const Metrics& metrics) {
  return prometheus::TextSerializer().Serialize(metrics.collectable()->Collect());
}

Metrics OneModel() { return Metrics({"rms"}, {"0.1", "avx2"}); }

TEST(Metrics, KnownSeriesAreZeroBeforeAnythingHappens) {
  std::string text = Scrape(OneModel());
  EXPECT_THAT(text, HasSubstr("firstbyte_requests_total{code=\"RESOURCE_EXHAUSTED\","
                              "method=\"Synthesize\",model=\"rms\"} 0"));
  EXPECT_THAT(text, HasSubstr("firstbyte_requests_rejected_total{method=\"SynthesizeOnce\","
                              "reason=\"NO_SLOT\"} 0"));
  EXPECT_THAT(text, HasSubstr("firstbyte_request_ttfb_seconds_count{method=\"Synthesize\","
                              "model=\"rms\"} 0"));
  EXPECT_THAT(text, HasSubstr("firstbyte_stream_underruns_total{model=\"rms\"} 0"));
  for (const char* reason : {"OVERLOAD", "TTFB_TARGET", "TENANT_QUOTA", "NO_MEMORY"}) {
    EXPECT_THAT(text, HasSubstr("firstbyte_requests_rejected_total{method=\"StepWorld\",reason=\"" +
                                std::string(reason) + "\"} 0"));
  }
  EXPECT_THAT(text, HasSubstr("firstbyte_slow_consumers_total{model=\"rms\"} 0"));
  EXPECT_THAT(text, HasSubstr("firstbyte_requests_cancelled_total{method=\"StepWorld\","
                              "stage=\"playing\"} 0"));
  EXPECT_THAT(text, HasSubstr("firstbyte_step_seconds_count{model=\"rms\",stage=\"decode\"} 0"));
}

TEST(Metrics, EveryInstrumentOfTheTableIsExportedFromTheStart) {
  std::string text = Scrape(Metrics({"rms"}, {"0.1", "avx2"}, {"rooms"}));
  for (const Instrument& row : Instruments()) {
    const bool has_series = !absl::StartsWith(row.name, "firstbyte_gpu_") &&
                            row.name != "firstbyte_lane_load_ratio";  // no GPU, no lane
    if (!has_series) continue;
    EXPECT_THAT(text, HasSubstr("# TYPE " + std::string(row.name) + " "));
  }
}

TEST(Metrics, WorldsHaveTheirOwnSeries) {
  std::string text = Scrape(Metrics({"rms"}, {"0.1", "avx2"}, {"rooms"}));
  for (const char* series : {"firstbyte_action_to_frame_seconds_count{model=\"rooms\"} 0",
                             "firstbyte_late_blocks_total{model=\"rooms\"} 0",
                             "firstbyte_step_seconds_count{model=\"rooms\",stage=\"commit\"} 0",
                             "firstbyte_streams_in_flight{method=\"StepWorld\",model=\"rooms\"} 0",
                             "firstbyte_world_sessions{state=\"parked\"} 0"}) {
    EXPECT_THAT(text, HasSubstr(series));
  }
  EXPECT_THAT(text, Not(HasSubstr("method=\"StepWorld\",model=\"rms\"")));
  EXPECT_THAT(text, Not(HasSubstr("method=\"Synthesize\",model=\"rooms\"")));
}

TEST(Metrics, BuildInfoSaysWhatRuns) {
  EXPECT_THAT(Scrape(OneModel()),
              HasSubstr("firstbyte_build_info{isa=\"avx2\",version=\"0.1\"} 1"));
}

TEST(Metrics, AnObservationLandsInItsBucketBoundsInclusive) {
  Metrics metrics = OneModel();
  metrics.request(Method::kSynthesize, "rms").ttfb.Observe(absl::Milliseconds(5));
  std::string text = Scrape(metrics);
  std::string series = "firstbyte_request_ttfb_seconds_bucket{method=\"Synthesize\",model=\"rms\",";
  EXPECT_THAT(text, HasSubstr(series + "le=\"0.003\"} 0"));
  EXPECT_THAT(text, HasSubstr(series + "le=\"0.005\"} 1"));
}

TEST(Metrics, WhatAClientInventsMakesNoSeries) {
  Metrics metrics = OneModel();
  const auto lines = [](const std::string& text) {
    return std::count(text.begin(), text.end(), '\n');
  };
  const auto before = lines(Scrape(metrics));
  metrics.request(Method::kSynthesize, "no such model").duration.Observe(1);
  metrics.ended(Method::kSynthesize, "no such model", absl::StatusCode::kNotFound).Add();
  metrics.rejected(Method::kSynthesize, "INVENTED").Add();
  metrics.ended(Method::kSynthesize, "rms", static_cast<absl::StatusCode>(99)).Add();
  std::string text = Scrape(metrics);
  EXPECT_EQ(lines(text), before);
  EXPECT_THAT(text, HasSubstr("code=\"NOT_FOUND\",method=\"Synthesize\",model=\"none\"} 1"));
  EXPECT_THAT(text, HasSubstr("method=\"Synthesize\",reason=\"OTHER\"} 1"));
  EXPECT_THAT(text, HasSubstr("code=\"UNKNOWN\",method=\"Synthesize\",model=\"rms\"} 1"));
  EXPECT_THAT(text, Not(HasSubstr("INVENTED")));
}

TEST(Metrics, HooksRunBeforeEachScrape) {
  Metrics metrics = OneModel();
  int scrapes = 0;
  metrics.AddScrapeHook([&] { metrics.outbox_bytes.Set(++scrapes * 100); });
  EXPECT_THAT(Scrape(metrics), HasSubstr("firstbyte_outbox_bytes 100"));
  EXPECT_THAT(Scrape(metrics), HasSubstr("firstbyte_outbox_bytes 200"));
}

TEST(Metrics, TheProcessIsReadAtEachScrapeAndItsCpuTimeNeverFalls) {
  Metrics metrics = OneModel();
  auto cpu = [&] {
    const std::string text = Scrape(metrics), name = "\nprocess_cpu_seconds_total ";
    return std::stod(text.substr(text.find(name) + name.size()));
  };
  const double first = cpu();
  double last = first;
  while (last == first) last = cpu();
  EXPECT_GT(last, first);
  EXPECT_THAT(Scrape(metrics), Not(HasSubstr("process_open_fds 0\n")));
}

TEST(Metrics, CountsFromManyThreadsDuringScrapesAreAllThere) {
  Metrics metrics = OneModel();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const RequestMetrics& request = metrics.request(Method::kSynthesize, "rms");
      for (int n = 0; n < 2000; ++n) {
        request.ttfb.Observe(0.004);
        request.in_flight.Add(n % 2 == 0 ? 1 : -1);
        metrics.ended(Method::kSynthesize, "rms", absl::StatusCode::kOk).Add();
      }
    });
  }
  for (int i = 0; i < 5; ++i) Scrape(metrics);
  for (std::thread& thread : threads) thread.join();
  std::string text = Scrape(metrics), labels = "{method=\"Synthesize\",model=\"rms\"} ";
  EXPECT_THAT(text, HasSubstr("firstbyte_request_ttfb_seconds_count" + labels + "8000"));
  EXPECT_THAT(text, HasSubstr("firstbyte_streams_in_flight" + labels + "0"));
  EXPECT_THAT(text, HasSubstr("code=\"OK\",method=\"Synthesize\",model=\"rms\"} 8000"));
}

}  // namespace
}  // namespace firstbyte
