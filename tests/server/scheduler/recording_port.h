// A stream that keeps what its lane gives it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/scheduler/stream_port.h"

namespace firstbyte {

// A listener without a transport: unbounded room unless told, plays nothing unless told.
class RecordingPort : public StreamPort {
 public:
  State state(absl::Time) override { return {lead, !samples.empty(), room_frames}; }
  void Reserve(int frames) override { reserved += frames; }
  void Deliver(Output output, absl::Time) override {
    EXPECT_EQ(output.start_sample,
              output.samples.empty() ? output.start_sample : static_cast<int64_t>(samples.size()));
    samples.insert(samples.end(), output.samples.begin(), output.samples.end());
    chunks += output.samples.empty() ? 0 : 1;
    for (auto& marker : output.markers) markers.push_back(marker.id);
    lead += absl::Seconds(1) * static_cast<int64_t>(output.samples.size()) / 16000;
  }
  void ClauseBegun() override { ++clauses_begun; }
  void Stands(Standing standing) override { standings.push_back(standing); }
  void Ended(absl::Status s, const StageTimes& t) override {
    ++ended;
    status = std::move(s);
    times = t;
  }

  absl::Duration lead;
  int room_frames = 16;
  int reserved = 0;
  int clauses_begun = 0;
  int ended = 0;
  int chunks = 0;
  std::vector<float> samples;
  std::vector<std::string> markers;
  std::vector<Standing> standings;
  absl::Status status;
  StageTimes times;
};

}  // namespace firstbyte
