#include "model/scripted.h"

#include <atomic>
#include <cctype>
#include <cmath>
#include <deque>

#include "base/error.h"

namespace firstbyte {
namespace {

struct Letters : Prepared {
  explicit Letters(std::string l) : letters(std::move(l)) {}
  std::string letters;
};

float SampleAt(char letter, uint64_t seed, int64_t index) {
  double step = 0.02 * (1 + letter % 32) + 1e-6 * static_cast<double>(seed % 1000);
  return static_cast<float>(0.5 * std::sin(step * static_cast<double>(index)));
}

class ScriptedSession : public Session {
 public:
  ScriptedSession(const ScriptedOptions& options, uint64_t seed, std::atomic<int>* open)
      : options_(options), seed_(seed), open_(open) {
    ++*open_;
  }
  ~ScriptedSession() override { --*open_; }

  absl::Status Push(Input input) override {
    if (closed_) return absl::FailedPreconditionError("input after EndOfInput");
    if (std::holds_alternative<EndOfInput>(input)) {
      closed_ = true;
    } else {
      inputs_.push_back(std::move(input));
      PassMarkers();
    }
    return absl::OkStatus();
  }

  Work work() const override {
    Work work;
    work.closed = closed_;
    for (const Input& input : inputs_) {
      work.clauses_waiting += std::holds_alternative<std::unique_ptr<Prepared>>(input);
    }
    work.prefill = clause_.empty() && work.clauses_waiting > 0;
    work.generate = !clause_.empty();
    work.decode_frames = static_cast<int>(generated_.size());
    work.done = closed_ && inputs_.empty() && !work.any() && output_.samples.empty() &&
                output_.markers.empty();
    return work;
  }

  Output Take() override {
    Output taken = std::exchange(output_, {});
    output_.start_sample = samples_out_;
    return taken;
  }

  absl::Status Step(Stage stage, int frames) {
    if (stage == Stage::kPrefill) Prefill();
    absl::Status status = stage == Stage::kGenerate ? Generate() : absl::OkStatus();
    if (stage == Stage::kDecode) Decode(frames);
    PassMarkers();
    return status;
  }

 private:
  void Prefill() {
    auto& prepared = std::get<std::unique_ptr<Prepared>>(inputs_.front());
    clause_ = static_cast<Letters&>(*prepared).letters;
    inputs_.pop_front();
  }

  absl::Status Generate() {
    char letter = clause_.front();
    if (letter == options_.poison_letter) {
      return Error(absl::StatusCode::kInternal, "SCRIPTED_FAILURE", "told to fail at this letter");
    }
    clause_.erase(0, 1);
    generated_.push_back(letter);
    return absl::OkStatus();
  }

  void Decode(int frames) {
    for (; frames > 0 && !generated_.empty(); --frames) {
      for (int i = 0; i < options_.samples_per_frame; ++i) {
        output_.samples.push_back(SampleAt(generated_.front(), seed_, samples_out_++));
      }
      generated_.pop_front();
    }
  }

  // A marker stands at the end of what was generated before it, and leaves with that audio.
  void PassMarkers() {
    while (!inputs_.empty() && clause_.empty() && std::holds_alternative<Marker>(inputs_.front())) {
      int64_t at =
          samples_out_ + static_cast<int64_t>(generated_.size()) * options_.samples_per_frame;
      markers_.push_back({std::get<Marker>(inputs_.front()).id, at});
      inputs_.pop_front();
    }
    while (!markers_.empty() && markers_.front().sample <= samples_out_) {
      output_.markers.push_back(std::move(markers_.front()));
      markers_.pop_front();
    }
  }

  const ScriptedOptions& options_;
  const uint64_t seed_;
  std::atomic<int>* const open_;
  std::deque<Input> inputs_;
  std::string clause_;  // letters not yet generated
  std::deque<char> generated_;
  std::deque<MarkerAt> markers_;  // waiting for their audio to be decoded
  bool closed_ = false;
  int64_t samples_out_ = 0;
  Output output_;
};

class ScriptedModel : public Model {
 public:
  explicit ScriptedModel(ScriptedOptions options) : options_(std::move(options)) {
    info_.name = options_.name;
    info_.version = "scripted-1";
    info_.sample_rate_hertz = 16000;
    info_.samples_per_frame = options_.samples_per_frame;
    info_.voices = {{"tone", {"en-US"}, "a tone for each letter"}};
    info_.min_speaking_rate = 0.7;
    info_.max_speaking_rate = 1.4;
    info_.slots = options_.slots;
    info_.max_batch = options_.max_batch;
  }

  const ModelInfo& info() const override { return info_; }

  absl::StatusOr<std::unique_ptr<Prepared>> Prepare(const RawInput& input) const override {
    std::string letters;
    for (char c : input.text) {
      if (std::isalnum(static_cast<unsigned char>(c))) letters += c;
    }
    if (letters.empty()) return nullptr;
    return std::make_unique<Letters>(std::move(letters));
  }

  absl::StatusOr<std::unique_ptr<Session>> Open(const SessionSpec& spec) override {
    if (open_ >= options_.slots) {
      return Error(absl::StatusCode::kResourceExhausted, "NO_SLOT", "all slots are taken");
    }
    return std::make_unique<ScriptedSession>(options_, spec.seed, &open_);
  }

  Ticket Submit(Stage stage, absl::Span<Session* const> batch, int frames) override {
    report_ = {};
    step_status_ = options_.on_step ? options_.on_step(stage, static_cast<int>(batch.size()))
                                    : absl::OkStatus();
    if (!step_status_.ok()) return ++ticket_;
    for (Session* session : batch) {
      report_.session_status.push_back(static_cast<ScriptedSession*>(session)->Step(stage, frames));
    }
    return ++ticket_;
  }

  absl::Status Wait(Ticket, StepReport* report) override {
    *report = std::move(report_);
    return step_status_;
  }

 private:
  const ScriptedOptions options_;
  ModelInfo info_;
  std::atomic<int> open_{0};
  Ticket ticket_ = 0;
  StepReport report_;
  absl::Status step_status_;
};

}  // namespace

std::unique_ptr<Model> MakeScriptedModel(ScriptedOptions options) {
  return std::make_unique<ScriptedModel>(std::move(options));
}

std::vector<float> ScriptedSamples(const std::string& letters, uint64_t seed,
                                   int samples_per_frame) {
  std::vector<float> samples;
  for (char letter : letters) {
    for (int i = 0; i < samples_per_frame; ++i) {
      samples.push_back(SampleAt(letter, seed, static_cast<int64_t>(samples.size())));
    }
  }
  return samples;
}

}  // namespace firstbyte
