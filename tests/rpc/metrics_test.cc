// What /metrics says after requests through the real server.
#include "gmock/gmock.h"
#include "tests/rpc/fixture.h"

namespace firstbyte {
namespace {

class MetricsTest : public RpcTest {};

TEST_F(MetricsTest, RequestsShowUpOnThePage) {
  Start({.slots = 1}, {.metrics_listen = "127.0.0.1:0"});  // says "Warm up." once
  Synthesize({Request("config { voice: 'nobody' }")});
  grpc::ClientContext context;
  auto holder = stub_->Synthesize(&context);
  holder->Write(Request("config { chunking { max_lead_duration { nanos: 200000000 } } }"));
  holder->Write(
      Text(std::string(30000, 'a') + ". So long that it is not over when it is cancelled"));
  v1::SynthesizeResponse response;
  while (holder->Read(&response) && !response.has_audio()) {
  }
  Synthesize({Request("config {}")});  // refused: the only slot is taken
  const std::string busy = MetricsPage(*host_);
  EXPECT_EQ(Value(busy, R"(firstbyte_slots_used{model="scripted"})"), 1);
  EXPECT_TRUE(Value(busy, R"(firstbyte_lane_load_ratio{lane="0"})"));
  context.TryCancel();
  holder->Finish();
  host_->live_calls().WaitUntilNone();

  const std::string page = MetricsPage(*host_);
  const std::string request = R"({method="Synthesize",model="scripted"})";
  EXPECT_EQ(
      Value(page, R"(firstbyte_requests_total{code="OK",method="Synthesize",model="scripted"})"),
      1);
  EXPECT_EQ(
      Value(page, R"(firstbyte_requests_total{code="NOT_FOUND",method="Synthesize",model="none"})"),
      1);
  EXPECT_EQ(
      Value(page, R"(firstbyte_requests_rejected_total{method="Synthesize",reason="NO_SLOT"})"), 1);
  EXPECT_EQ(
      Value(page, R"(firstbyte_requests_cancelled_total{method="Synthesize",stage="speaking"})"),
      1);
  for (const char* phase :
       {"ttfb_seconds", "queue_seconds", "prefill_seconds", "generation_seconds", "decode_seconds",
        "encode_seconds", "duration_seconds", "model_load_seconds", "realtime_factor_ratio"}) {
    const double want = phase == std::string("ttfb_seconds") ? 2 : 1;  // a cut one has a first byte
    EXPECT_EQ(Value(page, "firstbyte_request_" + std::string(phase) + "_count" + request), want)
        << phase;
  }
  EXPECT_EQ(Value(page, "firstbyte_streams_in_flight" + request), 0);
  EXPECT_EQ(Value(page, R"(firstbyte_slots_used{model="scripted"})"), 0);
  EXPECT_EQ(Value(page, R"(firstbyte_lane_load_ratio{lane="0"})"), 0);
  EXPECT_EQ(Value(page, "firstbyte_outbox_bytes"), 0);
  EXPECT_GE(Value(page, R"(firstbyte_audio_seconds_total{model="scripted"})"), 6 * .04);
  EXPECT_GT(Value(page, R"(firstbyte_step_seconds_count{model="scripted",stage="generate"})"), 5);
  EXPECT_GE(Value(page, R"(firstbyte_text_characters_total{model="scripted"})"), 30000);
  EXPECT_EQ(Value(page, R"(firstbyte_model_resident{model="scripted"})"), 1);
  EXPECT_EQ(Value(page, "firstbyte_ready"), 1);
}

}  // namespace
}  // namespace firstbyte
