#include "client/top/top_screen.h"

#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/proto_time.h"
#include "client/top/styled_line.h"

namespace firstbyte {
namespace {

constexpr int kLoadBar = 30, kLeadBar = 10;
constexpr int kShortId = 8;
constexpr int kWide = 132;        // columns from which on whole request ids are shown
constexpr int kLeastStreams = 4;  // lines of streams that other lines leave

std::string Seconds(absl::Duration d) {
  return absl::StrFormat("%.1f s", absl::ToDoubleSeconds(d));
}

std::string Millis(absl::Duration d) {
  return absl::StrFormat("%.2f ms", absl::ToDoubleMilliseconds(d));
}

// "1:05", "2:03:04".
std::string HoursMinutes(absl::Duration d) {
  const int64_t s = std::max<int64_t>(absl::ToInt64Seconds(d), 0);
  if (s < 3600) return absl::StrFormat("%d:%02d", s / 60, s % 60);
  return absl::StrFormat("%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
}

std::string Bar(double share, int width) {
  const int full = static_cast<int>(std::clamp(share, 0.0, 1.0) * width + 0.5);
  return std::string(full, '|') + std::string(width - full, ' ');
}

std::string Lower(absl::string_view value, absl::string_view prefix) {
  return absl::AsciiStrToLower(absl::StripPrefix(value, prefix));
}

std::string StateName(v1::StreamState state) {
  return Lower(v1::StreamState_Name(state), "STREAM_STATE_");
}

Style StyleOf(v1::StreamState state) {
  switch (state) {
    case v1::STREAM_STATE_RUNNING:
      return Style::kGood;
    case v1::STREAM_STATE_BLOCKED:
      return Style::kBad;
    case v1::STREAM_STATE_OPENING:
    case v1::STREAM_STATE_ENDING:
      return Style::kWarn;
    default:
      return Style::kDim;
  }
}

class Screen {
 public:
  Screen(const v1::GetServerInfoResponse& info, const v1::GetStatsResponse& stats,
         const TopView& view)
      : info_(info), stats_(stats), view_(view) {
    for (const v1::StreamStats& stream : stats.streams()) {
      Widen(stream.model(), &model_width_);
      Widen(stream.method(), &method_width_);
      Widen(stream.request_id(), &id_width_);
    }
    for (const v1::LaneStats& lane : stats.lanes()) {
      for (const v1::StageStats& stage : lane.stages()) Widen(stage.model(), &model_width_);
    }
    if (view.columns > 0 && view.columns < kWide) id_width_ = kShortId;
  }

  std::string Draw() {
    AddSummary();
    for (int i = 0; i < stats_.lanes_size(); ++i) AddLane(i);
    AddStages();
    if (view_.rows > 0) {
      const size_t most = std::max(view_.rows - kLeastStreams, 1);
      if (lines_.size() > most) lines_.resize(most);
    }
    AddStreams();
    return absl::StrJoin(lines_, "");
  }

 private:
  static void Widen(absl::string_view text, int* width) {
    *width = std::max(*width, static_cast<int>(text.size()));
  }
  StyledLine Line() const { return {view_.columns, view_.styles}; }
  void Add(const StyledLine& line) { lines_.push_back(line.str()); }

  void AddSummary() {
    StyledLine line = Line();
    line.Add(absl::StrCat("firstbyte ", info_.version()), Style::kBold)
        .Add(absl::StrCat(" at ", view_.target, "  "))
        .Add(Lower(v1::ServerState_Name(info_.state()), "SERVER_STATE_"),
             info_.state() == v1::SERVER_STATE_SERVING ? Style::kGood : Style::kWarn)
        .Add(absl::StrCat("  up ", HoursMinutes(view_.now - absl::FromUnixSeconds(
                                                                info_.start_time().seconds()))));
    if (!view_.trouble.empty()) line.Add(absl::StrCat("  ", view_.trouble), Style::kBad);
    Add(line);
    std::map<v1::StreamState, int> counts;
    int64_t underruns = 0;
    for (const v1::StreamStats& stream : stats_.streams()) {
      ++counts[stream.state()];
      underruns += stream.underrun_count();
    }
    StyledLine streams = Line();
    streams.Add(absl::StrCat(stats_.streams_size(), " streams"), Style::kBold);
    for (const auto& [state, count] : counts) {
      streams.Add("  ").Add(absl::StrCat(count, " ", StateName(state)), StyleOf(state));
    }
    if (underruns > 0) streams.Add(absl::StrCat("  ", underruns, " underruns"), Style::kBad);
    Add(streams);
  }

  void AddLane(int index) {
    const v1::LaneStats& lane = stats_.lanes(index);
    const double busy = lane.busy_ratio();
    const Style style = busy > 0.85 ? Style::kBad : busy > 0.6 ? Style::kWarn : Style::kGood;
    StyledLine line = Line();
    line.Add(absl::StrCat("lane ", index, " [")).Add(Bar(busy, kLoadBar), style);
    line.Right(absl::StrFormat("%.1f%%", busy * 100), 6).Add("]");
    line.Add(absl::StrFormat("  needs %.0f%%  slots %d/%d  batch %.1f  to send %.1f MB",
                             lane.load_ratio() * 100, lane.slots_used(), lane.slots_total(),
                             lane.mean_batch_size(),
                             static_cast<double>(lane.outbox_bytes()) / 1e6));
    line.Add(lane.has_idle_duration()
                 ? absl::StrCat("  last step ", Seconds(FromProto(lane.idle_duration())), " ago")
                 : "  no step yet");
    line.Add(absl::StrCat("  ", lane.name()), Style::kDim);
    Add(line);
  }

  void AddStages() {
    StyledLine heading = Line();
    heading.Left("MODEL", model_width_ + 2, Style::kHeading)
        .Left("STAGE", 10, Style::kHeading)
        .Add("LANE  STEPS/S   BATCH    MEAN STEP     MAX STEP    BUSY", Style::kHeading)
        .Fill(Style::kHeading);
    Add(heading);
    for (int i = 0; i < stats_.lanes_size(); ++i) {
      for (const v1::StageStats& stage : stats_.lanes(i).stages()) {
        StyledLine line = Line();
        line.Left(stage.model(), model_width_ + 2).Left(stage.stage(), 10);
        line.Right(absl::StrCat(i), 4).Right(absl::StrFormat("%.1f", stage.step_rate()), 9);
        line.Right(absl::StrFormat("%.1f", stage.mean_batch_size()), 8);
        line.Right(Millis(FromProto(stage.mean_step_duration())), 13);
        line.Right(Millis(FromProto(stage.max_step_duration())), 13);
        line.Right(absl::StrFormat("%.1f%%", stage.busy_ratio() * 100), 8);
        Add(line);
      }
    }
  }

  std::vector<const v1::StreamStats*> Ordered() const {
    std::vector<const v1::StreamStats*> streams;
    for (const v1::StreamStats& stream : stats_.streams()) streams.push_back(&stream);
    if (view_.order == TopView::Order::kLead) {
      std::stable_sort(streams.begin(), streams.end(), [](const auto* a, const auto* b) {
        return FromProto(a->lead_duration()) < FromProto(b->lead_duration());
      });
    }
    return streams;
  }

  void AddStreams() {
    StyledLine heading = Line();
    heading.Left("STREAM", id_width_ + 2, Style::kHeading)
        .Left("METHOD", method_width_ + 2, Style::kHeading)
        .Left("MODEL", model_width_ + 2, Style::kHeading)
        .Left("LANE  STATE        LEAD", 23 + 3 + kLeadBar, Style::kHeading)
        .Add("     AGE     AUDIO  DRY  BLOCK", Style::kHeading)
        .Fill(Style::kHeading);
    Add(heading);
    const auto streams = Ordered();
    const int count = static_cast<int>(streams.size());
    const bool keys = view_.rows > 0;
    int room = keys ? std::max(view_.rows - static_cast<int>(lines_.size()) - 1, 0) : count;
    const int first = std::clamp(view_.first, 0, std::max(count - room, 0));
    for (int i = first; i < std::min(first + room, count); ++i) AddStream(*streams[i]);
    if (!keys) return;
    StyledLine line = Line();
    if (count > room) {
      line.Add(absl::StrFormat("%d-%d of %d  ", first + 1, std::min(first + room, count), count));
    }
    line.Add("q", Style::kBold).Add(" quit  ").Add("a", Style::kBold).Add(" by age  ");
    line.Add("l", Style::kBold).Add(" by lead  ").Add("arrows", Style::kBold).Add(" scroll");
    Add(line);
  }

  void AddStream(const v1::StreamStats& stream) {
    const bool speech = stream.method() != "StepWorld";
    const absl::Duration lead = FromProto(stream.lead_duration());
    const bool short_lead = lead < absl::Milliseconds(200) &&
                            FromProto(stream.audio_duration()) > absl::ZeroDuration() &&
                            stream.state() == v1::STREAM_STATE_RUNNING;
    StyledLine line = Line();
    line.Left(stream.request_id().substr(0, id_width_), id_width_ + 2);
    line.Left(stream.method(), method_width_ + 2).Left(stream.model(), model_width_ + 2);
    line.Right(stream.lane() < 0 ? "-" : absl::StrCat(stream.lane()), 4).Add("  ");
    line.Left(StateName(stream.state()), 8, StyleOf(stream.state()));
    line.Right(speech ? Seconds(lead) : "-", 9).Add("  ");
    line.Add(Bar(speech ? absl::ToDoubleSeconds(lead) / 4 : 0, kLeadBar),
             short_lead ? Style::kBad : Style::kGood);
    line.Right(HoursMinutes(FromProto(stream.age_duration())), 9);
    line.Right(speech ? Seconds(FromProto(stream.audio_duration())) : "-", 10);
    line.Right(absl::StrCat(stream.underrun_count()), 5,
               stream.underrun_count() > 0 ? Style::kBad : Style::kPlain);
    line.Right(speech ? "-" : absl::StrCat(stream.next_block()), 7);
    Add(line);
  }

  const v1::GetServerInfoResponse& info_;
  const v1::GetStatsResponse& stats_;
  const TopView& view_;
  int model_width_ = 5, method_width_ = 6, id_width_ = 6;
  std::vector<std::string> lines_;
};

}  // namespace

std::string TopScreen(const v1::GetServerInfoResponse& info, const v1::GetStatsResponse& stats,
                      const TopView& view) {
  return Screen(info, stats, view).Draw();
}

}  // namespace firstbyte
