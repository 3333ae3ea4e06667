#include "client/play/walk.h"

#include "absl/time/clock.h"
#include "base/clock.h"
#include "client/proto_time.h"

namespace firstbyte {
namespace {

class Walker {
 public:
  Walker(const WalkOptions& options, WorldStream* stream, Show* show, PlayFigures* figures)
      : options_(options),
        stream_(stream),
        show_(show),
        figures_(figures),
        sequence_(show->opened().last_action_sequence()) {}

  absl::Status Take(const ScriptStep& step) {
    switch (step.kind) {
      case ScriptStep::Kind::kPrompt:
        return stream_->Prompt(step.prompt);
      case ScriptStep::Kind::kReset:
        return stream_->Control(v1::CONTROL_KIND_RESET);
      case ScriptStep::Kind::kSnapshot:
        return TakeSnapshot();
      case ScriptStep::Kind::kAct:
        return options_.lockstep ? ActInLockstep(step) : Hold(step);
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Send(v1::Actions actions) {
    actions.set_sequence(++sequence_);
    *actions.mutable_client_time() = ToProto(absl::Now());
    figures_->Sent(sequence_, Clock::Steady().Now());
    return stream_->Act(actions);
  }

  // Takes messages until one satisfies `done`.
  template <typename Done>
  absl::Status Until(Done done) {
    v1::StepWorldResponse response;
    while (stream_->Next(&response)) {
      if (auto status = show_->Take(response); !status.ok()) return status;
      if (response.has_block()) {
        ++blocks_;
        if (!options_.lockstep) stream_->GiveCredit(1).IgnoreError();
      }
      if (options_.progress) options_.progress(blocks_, response);
      if (done(response)) return absl::OkStatus();
    }
    return absl::CancelledError("the world ended before the script");
  }

  // One at a time, so that the time to the frame is the server's and not a queue's.
  absl::Status ActInLockstep(const ScriptStep& step) {
    for (int i = 0; i < step.blocks; ++i) {
      if (auto status = Send(step.actions); !status.ok()) return status;
      auto shown = [this](const v1::StepWorldResponse& response) {
        return response.has_block() && response.block().applied_action_sequence() >= sequence_;
      };
      if (auto status = Until(shown); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // Keys stay held by themselves; movements are said again for each block.
  absl::Status Hold(const ScriptStep& step) {
    const bool moves = step.actions.pointer_dx() != 0 || step.actions.pointer_dy() != 0 ||
                       step.actions.scroll() != 0;
    for (int i = 0; i < step.blocks; ++i) {
      if (i == 0 || moves) {
        if (auto status = Send(step.actions); !status.ok()) return status;
      }
      auto next = [this, i](const v1::StepWorldResponse& response) {
        return response.has_block() &&
               (i > 0 || response.block().applied_action_sequence() >= sequence_);
      };
      if (auto status = Until(next); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status TakeSnapshot() {
    if (auto status = stream_->Control(v1::CONTROL_KIND_SNAPSHOT); !status.ok()) return status;
    return Until([](const v1::StepWorldResponse& response) { return response.has_snapshot(); });
  }

  const WalkOptions& options_;
  WorldStream* const stream_;
  Show* const show_;
  PlayFigures* const figures_;
  int64_t sequence_;
  int64_t blocks_ = 0;
};

}  // namespace

absl::Status Walk(const std::vector<ScriptStep>& steps, const WalkOptions& options,
                  WorldStream* stream, Show* show, PlayFigures* figures) {
  Walker walker(options, stream, show, figures);
  for (const ScriptStep& step : steps) {
    if (auto status = walker.Take(step); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace firstbyte
