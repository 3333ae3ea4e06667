#include "server/scheduler/replay.h"

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/scheduler/media_digest.h"

namespace firstbyte {
namespace {

class Replayer {
 public:
  Replayer(const FlightLog& log, absl::Span<const std::unique_ptr<Model>> models)
      : log_(log), models_(models) {}

  absl::StatusOr<std::vector<ReplayedSession>> Run() {
    if (absl::Status status = CheckModels(); !status.ok()) return status;
    for (const auto& event : log_.events) {
      const auto* step = std::get_if<FlightStepped>(&event->what);
      if (step != nullptr && !step->ok) failed_.insert(step->number);
    }
    absl::Status status;
    for (const auto& event : log_.events) {
      status = std::visit([this](const auto& what) { return Do(what); }, event->what);
      if (!status.ok()) break;
    }
    while (!under_way_.empty()) FinishOldest().IgnoreError();  // the log ends in the middle of them
    if (!status.ok()) return status;
    return std::move(done_);
  }

 private:
  struct Playing {
    int model = 0;
    std::shared_ptr<Session> session;  // null: it is not replayed any more
    bool kept = true;                  // its inputs were
    std::string why;                   // the session is gone
    MediaDigest digest;
  };
  // Its sessions live until it was waited for, as they did in the lane.
  struct UnderWay {
    int64_t number = 0;
    Model* model = nullptr;
    Ticket ticket = 0;
    std::vector<std::pair<uint64_t, std::shared_ptr<Session>>> sessions;
  };

  absl::Status CheckModels() const {
    if (models_.size() != log_.models.size()) {
      return absl::FailedPreconditionError("the log is of another number of models");
    }
    for (size_t i = 0; i < models_.size(); ++i) {
      const ModelInfo& info = models_[i]->info();
      if (info.name == log_.models[i] && info.version == log_.digests[i]) continue;
      return absl::FailedPreconditionError(
          absl::StrCat("the log is of other weights of ", log_.models[i]));
    }
    return absl::OkStatus();
  }

  bool Known(int model) const { return model >= 0 && model < static_cast<int>(models_.size()); }

  absl::Status Do(const FlightOpened& opened) {
    if (!Known(opened.model)) return absl::InvalidArgumentError("the log names no such model");
    Playing& playing = playing_[opened.session];
    playing.model = opened.model;
    SessionSpec spec{.voice = opened.voice,
                     .seed = opened.seed,
                     .speaking_rate = opened.speaking_rate,
                     .state = opened.state};
    Model& model = *models_[opened.model];
    if (opened.world && !opened.scene && !opened.state) {
      NotKept(playing);
      return absl::OkStatus();
    }
    if (opened.scene) {
      auto scene = model.Prepare(*opened.scene);
      if (!scene.ok()) return scene.status();
      spec.scene = *std::move(scene);
    }
    auto session = model.Open(spec);
    if (!session.ok()) return session.status();
    playing.session = *std::move(session);
    return absl::OkStatus();
  }

  // Null: it is not replayed.
  Playing* Find(uint64_t session) {
    auto it = playing_.find(session);
    return it == playing_.end() || !it->second.session ? nullptr : &it->second;
  }

  static void GiveUp(Playing& playing, absl::string_view why) {
    playing.why = std::string(why);
    playing.session.reset();
  }
  static void NotKept(Playing& playing) {
    playing.kept = false;
    GiveUp(playing, "its inputs were not kept");
  }

  // nullopt: it was not kept.
  absl::StatusOr<std::optional<Input>> InputOf(const FlightPushed& pushed, const Model& model) {
    switch (pushed.kind) {
      case FlightPushed::Kind::kMarker:
        return Marker{"marker"};  // its name is not heard
      case FlightPushed::Kind::kEnd:
        return EndOfInput{};
      case FlightPushed::Kind::kReset:
        return ResetWorld{};
      case FlightPushed::Kind::kActions:
        if (!pushed.actions) return std::nullopt;
        return *pushed.actions;
      case FlightPushed::Kind::kPrepared:
        break;
    }
    if (!pushed.said) return std::nullopt;
    auto prepared = model.Prepare(*pushed.said);
    if (!prepared.ok()) return prepared.status();
    if (*prepared == nullptr) return absl::InternalError("a clause is not speakable any more");
    return Input(*std::move(prepared));
  }

  absl::Status Do(const FlightPushed& pushed) {
    Playing* playing = Find(pushed.session);
    if (playing == nullptr) return absl::OkStatus();
    auto input = InputOf(pushed, *models_[playing->model]);
    if (!input.ok()) return input.status();
    if (!*input) return NotKept(*playing), absl::OkStatus();
    absl::Status status = playing->session->Push(**std::move(input));
    if (!status.ok()) return GiveUp(*playing, status.message()), absl::OkStatus();
    playing->digest.Add(playing->session->Take());
    return absl::OkStatus();
  }

  absl::Status Do(const FlightSubmitted& step) {
    if (failed_.count(step.number) > 0) return absl::OkStatus();  // nobody advanced
    return Submit(step);
  }

  absl::Status Do(const FlightStepped& step) {
    if (!step.ok) return absl::OkStatus();
    if (step.number == 0) {
      if (absl::Status status = Submit(step); !status.ok()) return status;
    }
    while (!under_way_.empty() && under_way_.front().number <= step.number) {
      if (absl::Status status = FinishOldest(); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  template <typename Step>
  absl::Status Submit(const Step& step) {
    if (!Known(step.model)) return absl::OkStatus();
    UnderWay under_way{.number = step.number, .model = models_[step.model].get()};
    while (static_cast<int>(under_way_.size()) >= under_way.model->info().steps_under_way) {
      if (absl::Status status = FinishOldest(); !status.ok()) return status;
    }
    std::vector<Session*> raw;
    for (uint64_t id : step.sessions) {
      Playing* playing = Find(id);
      if (playing == nullptr) continue;
      if (!CanRun(playing->session->work(), step.stage)) {
        GiveUp(*playing, absl::StrCat("it had no ", std::string(StageName(step.stage)), " to do"));
        continue;
      }
      raw.push_back(playing->session.get());
      under_way.sessions.emplace_back(id, playing->session);
    }
    if (raw.empty()) return absl::OkStatus();
    under_way.ticket = under_way.model->Submit(step.stage, raw, step.frames);
    under_way_.push_back(std::move(under_way));
    return absl::OkStatus();
  }

  absl::Status FinishOldest() {
    const UnderWay step = std::move(under_way_.front());
    under_way_.pop_front();
    StepReport report;
    absl::Status status = step.model->Wait(step.ticket, &report);
    if (!status.ok()) return status;
    for (size_t i = 0; i < step.sessions.size(); ++i) {
      const auto& [id, session] = step.sessions[i];
      Playing* playing = Find(id);
      if (playing == nullptr || !report.session_status[i].ok()) continue;  // it ends here
      playing->digest.Add(session->Take());
    }
    return absl::OkStatus();
  }

  absl::Status Do(const FlightEnded& ended) {
    ReplayedSession done{.session = ended.session,
                         .why = "it began before the log",
                         .media_bytes = ended.media_bytes,
                         .recorded = ended.digest};
    if (auto it = playing_.find(ended.session); it != playing_.end()) {
      const Playing& playing = it->second;
      done.model = log_.models[playing.model];
      done.why = playing.why;
      done.replayed = playing.digest.Hex();
      using Result = ReplayedSession::Result;
      const bool same = playing.session != nullptr && done.replayed == done.recorded;
      done.result = !playing.kept ? Result::kNotReplayed : same ? Result::kSame : Result::kDiffers;
      playing_.erase(it);
    }
    done_.push_back(std::move(done));
    return absl::OkStatus();
  }

  const FlightLog& log_;
  const absl::Span<const std::unique_ptr<Model>> models_;
  std::set<int64_t> failed_;  // numbers of steps
  std::map<uint64_t, Playing> playing_;
  std::deque<UnderWay> under_way_;  // the oldest first
  std::vector<ReplayedSession> done_;
};

}  // namespace

absl::StatusOr<std::vector<ReplayedSession>> Replay(
    const FlightLog& log, absl::Span<const std::unique_ptr<Model>> models) {
  return Replayer(log, models).Run();
}

}  // namespace firstbyte
