#include "base/trace.h"

#include <unistd.h>

#include <map>
#include <thread>
#include <vector>

#include "base/thread.h"
#include "base/trace_json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

using testing::SizeIs;

std::string Whole(Tracer::Capture capture, size_t piece = 1 << 20) {
  TraceJson json(std::move(capture));
  std::string all;
  for (std::string part; !(part = json.Next(piece)).empty();) all += part;
  return all;
}

TEST(Tracer, RecordsNothingUnlessStarted) {
  Tracer tracer;
  { TraceSpan span(&tracer, "before"); }
  { TraceSpan span(nullptr, "without a tracer"); }
  ASSERT_TRUE(tracer.Start());
  EXPECT_FALSE(tracer.Start()) << "one capture at a time";
  {
    TraceSpan span(&tracer, "within");
    EXPECT_TRUE(span);
  }
  EXPECT_THAT(tracer.Stop().spans, SizeIs(1));
  { TraceSpan span(&tracer, "after"); }
  ASSERT_TRUE(tracer.Start());
  EXPECT_THAT(tracer.Stop().spans, SizeIs(0));
}

TEST(Tracer, ASpanThatEndsAfterTheCaptureIsDropped) {
  Tracer tracer;
  ASSERT_TRUE(tracer.Start());
  {
    TraceSpan span(&tracer, "late");
    EXPECT_THAT(tracer.Stop().spans, SizeIs(0));
  }
  ASSERT_TRUE(tracer.Start());
  EXPECT_THAT(tracer.Stop().spans, SizeIs(0));
}

TEST(Tracer, IsBoundedAndKeepsTheNewest) {
  Tracer tracer;
  ASSERT_TRUE(tracer.Start());
  const int64_t count = Tracer::kSpansPerRing + 10;
  for (int64_t i = 1; i <= count; ++i) {
    tracer.Record({.name = "n", .begin = absl::FromUnixNanos(i), .id = i});
  }
  const Tracer::Capture capture = tracer.Stop();
  ASSERT_THAT(capture.spans, SizeIs(Tracer::kSpansPerRing));
  EXPECT_EQ(capture.dropped, 10);
  EXPECT_EQ(capture.spans.front().id, 11);
  EXPECT_EQ(capture.spans.back().id, count);
}

TEST(Tracer, ManyThreadsRecordWhileCapturesComeAndGo) {
  Tracer tracer;
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (!stop) TraceSpan span(&tracer, "busy");
    });
  }
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(tracer.Start());
    for (const Span& span : tracer.Stop().spans) EXPECT_EQ(span.name, "busy");
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

TEST(TraceJson, IsJsonWithNamedThreadsNestedSpansAndPairs) {
  Tracer tracer;
  ASSERT_TRUE(tracer.Start());
  int lane = 0;
  std::thread([&] {
    NameThisThread("lane");
    lane = gettid();
    TraceSpan outer(&tracer, "round");
    TraceSpan inner(&tracer, "decode");
    inner->SetLabel("a \"quoted\" model with a long name");
    inner->batch = 3;
    inner->frames = 4;
    inner->id = 7;
    TraceWrite(&tracer, Clock::Steady().Now(), "request");
  }).join();
  Tracer::Capture capture = tracer.Stop();
  const std::string text = Whole(capture);
  EXPECT_EQ(Whole(capture, 10), text) << "in whatever pieces";
  const nlohmann::json json = nlohmann::json::parse(text);
  std::map<std::string, std::vector<nlohmann::json>> by_kind;
  for (const auto& event : json["traceEvents"]) by_kind[event["ph"]].push_back(event);
  ASSERT_THAT(by_kind["X"], SizeIs(2));
  const nlohmann::json& outer = by_kind["X"][0];
  const nlohmann::json& inner = by_kind["X"][1];
  EXPECT_EQ(outer["name"], "round");
  EXPECT_EQ(inner["name"], "decode");
  EXPECT_EQ(
      inner["args"],
      nlohmann::json(
          {{"of", "a \"quoted\" model with a"}, {"session", 7}, {"batch", 3}, {"frames", 4}}));
  EXPECT_EQ(inner["tid"], lane);
  EXPECT_LE(outer["ts"], inner["ts"]);
  EXPECT_GE(outer["ts"].get<double>() + outer["dur"].get<double>(),
            inner["ts"].get<double>() + inner["dur"].get<double>());
  ASSERT_THAT(by_kind["b"], SizeIs(1));
  EXPECT_EQ(by_kind["b"][0]["id"], "request");
  EXPECT_EQ(by_kind["e"][0]["id"], "request");
  EXPECT_LE(by_kind["b"][0]["ts"], by_kind["e"][0]["ts"]);
  EXPECT_EQ(json["otherData"]["dropped_spans"], 0);
}

TEST(TraceJson, NamesTheThreadsThatStillExist) {
  NameThisThread("here");
  Tracer tracer;
  ASSERT_TRUE(tracer.Start());
  { TraceSpan span(&tracer, "one"); }
  const nlohmann::json json = nlohmann::json::parse(Whole(tracer.Stop()));
  EXPECT_EQ(json["traceEvents"][1]["name"], "thread_name");
  EXPECT_EQ(json["traceEvents"][1]["args"]["name"], "here");
}

TEST(TraceJson, OfNothingIsValid) {
  EXPECT_EQ(nlohmann::json::parse(Whole({}))["traceEvents"].size(), 1u);
}

}  // namespace
}  // namespace firstbyte
