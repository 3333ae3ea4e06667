#include "client/top/top_screen.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

class TopScreenTest : public testing::Test {
 protected:
  std::string Screen() const { return TopScreen(info_, stats_, view_); }
  std::vector<std::string> Lines() const {
    std::vector<std::string> lines = absl::StrSplit(Screen(), '\n');
    lines.pop_back();  // after the last newline
    return lines;
  }
  void AddStreams(int count) {
    for (int i = 0; i < count; ++i) {
      v1::StreamStats* stream = stats_.add_streams();
      stream->set_request_id(absl::StrCat("stream-", i));
      stream->set_method("Synthesize");
      stream->set_state(v1::STREAM_STATE_RUNNING);
      stream->mutable_lead_duration()->set_seconds(count - i);
    }
  }

  v1::GetServerInfoResponse info_ = Parse<v1::GetServerInfoResponse>(
      "version: '1.2.3' state: SERVER_STATE_SERVING start_time { seconds: 1000 }");
  v1::GetStatsResponse stats_ = Parse<v1::GetStatsResponse>(R"(
    lanes {
      name: "cpu avx2" slots_used: 2 slots_total: 64 busy_ratio: 0.5 load_ratio: 0.25 mean_batch_size: 1.5
      idle_duration { nanos: 300000000 } outbox_bytes: 1500000
      stages { model: "voice" stage: "decode" step_rate: 12.5 mean_batch_size: 1.5 busy_ratio: 0.5
               mean_step_duration { nanos: 1500000 } max_step_duration { nanos: 2500000 } }
    }
    streams { request_id: "one" method: "Synthesize" model: "voice" state: STREAM_STATE_PAUSED
              lead_duration { seconds: 4 } audio_duration { seconds: 9 } underrun_count: 2
              age_duration { seconds: 65 } }
    streams { request_id: "two" method: "StepWorld" model: "rooms" state: STREAM_STATE_RUNNING
              next_block: 77 age_duration { seconds: 3661 } })");
  TopView view_{.target = "here:50052", .now = absl::FromUnixSeconds(1000 + 3600 + 125)};
};

TEST_F(TopScreenTest, SaysWhatThereIs) {
  EXPECT_EQ(
      Screen(),
      "firstbyte 1.2.3 at here:50052  serving  up 1:02:05\n"
      "2 streams  1 running  1 paused  2 underruns\n"
      "lane 0 [|||||||||||||||                50.0%]  needs 25%  slots 2/64  batch 1.5  to send "
      "1.5 MB  "
      "last step 0.3 s ago  cpu avx2\n"
      "MODEL  STAGE     LANE  STEPS/S   BATCH    MEAN STEP     MAX STEP    BUSY\n"
      "voice  decode       0     12.5     1.5      1.50 ms      2.50 ms   50.0%\n"
      "STREAM  METHOD      MODEL  LANE  STATE        LEAD                  AGE     AUDIO  DRY "
      " BLOCK\n"
      "one     Synthesize  voice     0  paused      4.0 s  ||||||||||     1:05     9.0 s    2 "
      "     -\n"
      "two     StepWorld   rooms     0  running         -              1:01:01         -    0 "
      "    77\n");
}

TEST_F(TopScreenTest, NoLineIsWiderThanTheTerminal) {
  AddStreams(30);
  view_.rows = 24;
  for (int columns : {1, 10, 40, 80, 200}) {
    view_.columns = columns;
    for (const std::string& line : Lines()) EXPECT_LE(static_cast<int>(line.size()), columns);
  }
}

TEST_F(TopScreenTest, FillsTheRowsAndCountsWhatDoesNotFit) {
  AddStreams(30);
  view_.rows = 12;
  ASSERT_THAT(Lines(), SizeIs(12));
  EXPECT_THAT(Lines().back(), HasSubstr("1-5 of 32  q quit"));
  EXPECT_THAT(Lines()[6], HasSubstr("one "));
  view_.first = 10;
  EXPECT_THAT(Lines()[6], HasSubstr("stream-8 "));
  view_.first = 1000;
  EXPECT_THAT(Lines().back(), HasSubstr("28-32 of 32"));
  for (int rows : {1, 2, 3, 5, 100}) {
    view_.rows = rows;
    EXPECT_LE(static_cast<int>(Lines().size()), std::max(rows, 3)) << rows;
  }
}

TEST_F(TopScreenTest, SortsByLead) {
  stats_.clear_streams();
  AddStreams(3);
  EXPECT_THAT(Lines()[6], HasSubstr("stream-0"));
  view_.order = TopView::Order::kLead;
  EXPECT_THAT(Lines()[6], HasSubstr("stream-2"));
}

TEST_F(TopScreenTest, ColoursChangeNothingButTheColours) {
  const std::string plain = Screen();
  view_.styles = true;
  std::string coloured = Screen();
  EXPECT_THAT(coloured, HasSubstr("\033["));
  for (size_t at; (at = coloured.find('\033')) != std::string::npos;) {
    coloured.erase(at, coloured.find('m', at) - at + 1);
  }
  EXPECT_EQ(coloured, plain);
}

TEST_F(TopScreenTest, ANameThatAClientChoseCannotMoveTheCursor) {
  stats_.mutable_streams(0)->set_request_id("\033[2Jgone\n\x9b");
  EXPECT_THAT(Lines(), Each(Not(HasSubstr("\033"))));
  EXPECT_THAT(Lines()[6], HasSubstr("?[2Jgone??"));
}

TEST_F(TopScreenTest, SaysWhyTheNumbersAreOld) {
  view_.trouble = "nothing answers";
  EXPECT_THAT(Lines()[0], AllOf(HasSubstr("1.2.3"), HasSubstr("nothing answers")));
}

TEST_F(TopScreenTest, AnIdleServerIsShownToo) {
  stats_ = Parse<v1::GetStatsResponse>("lanes { name: 'cpu' slots_total: 64 }");
  EXPECT_THAT(Screen(), AllOf(HasSubstr("0 streams"), HasSubstr("no step yet")));
}

}  // namespace
}  // namespace firstbyte
