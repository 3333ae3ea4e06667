// What check.py counts the instructions of: each part runs once between two marks of callgrind.
//
// Everything is seeded and single-threaded, so the same binary executes the same instructions
// whatever else the machine does. valgrind has no AVX-512: the counts are those of the AVX2
// kernels, and of the generic ones where FIRSTBYTE_ISA asks for them.
#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <valgrind/callgrind.h>

#include "base/clock.h"
#include "codec/audio_encoder.h"
#include "model/scripted.h"
#include "model/speech/aligned_mel/aligned_mel.h"
#include "server/scheduler/lane.h"

namespace firstbyte {
namespace {

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "count_me: %s\n", status.ToString().c_str());
  std::exit(1);
}

void Count(const char* name, const std::function<void()>& part) {
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
  part();
  CALLGRIND_DUMP_STATS_AT(name);
  CALLGRIND_STOP_INSTRUMENTATION;
}

// ---- Steps of the voice. ----

class Steps {
 public:
  Steps() {
    auto voice =
        aligned_mel::Voice::Load(FIRSTBYTE_SOURCE_DIR "/models/aligned-mel-en", kernels::Kernels());
    Check(voice.status());
    auto model = aligned_mel::AlignedMel::Create(*voice, {.slots = kBatch, .max_batch = kBatch});
    Check(model.status());
    model_ = *std::move(model);
    for (int i = 0; i < kBatch; ++i) {
      auto session = model_->Open({.seed = static_cast<uint64_t>(i) + 1});
      Check(session.status());
      auto clause = model_->Prepare({"Every step of a stream costs what it cost before."});
      Check(clause.status());
      Check((*session)->Push(*std::move(clause)));
      raw_.push_back(session->get());
      sessions_.push_back(*std::move(session));
    }
    Run(Stage::kPrefill);
    Run(Stage::kGenerate);
    Run(Stage::kDecode);
  }

  void Run(Stage stage) {
    Check(model_->Wait(model_->Submit(stage, raw_, 1), &report_));
    for (const absl::Status& status : report_.session_status) Check(status);
    for (Session* session : raw_) session->Take();
  }

 private:
  static constexpr int kBatch = 8;
  std::unique_ptr<Model> model_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<Session*> raw_;
  StepReport report_;
};

// ---- The lane, with a model that costs nothing. ----

class Listener : public StreamPort {
 public:
  State state(absl::Time) override { return {lead_, lead_ > absl::ZeroDuration(), 16}; }
  void Reserve(int) override {}
  void Deliver(Output output, absl::Time) override {
    lead_ += absl::Seconds(1) * static_cast<int64_t>(output.samples.size()) / 16000;
  }
  void ClauseBegun() override {}
  void Ended(absl::Status, const StageTimes&) override {}

 private:
  absl::Duration lead_;
};

class Scheduling {
 public:
  Scheduling() {
    auto model = MakeScriptedModel();
    const Model& voice = *model;
    const int slots = voice.info().slots;
    ledger_ = std::make_unique<AdmissionLedger>(std::vector<std::vector<int>>{{slots}});
    lane_ = std::make_unique<Lane>(1, LaneOptions{.clock = &clock_});
    lane_->Add(0, std::move(model), {});
    for (int i = 0; i < slots; ++i) {
      auto seat = ledger_->Admit({});
      Check(seat.status());
      const Lane::SessionId id = lane_->Open({.max_lead = absl::Seconds(60),
                                              .port = std::make_shared<Listener>(),
                                              .seat = *std::move(seat)});
      lane_->Push(id, *voice.Prepare({std::string(200, 'a')}));
    }
    Run(8);
  }

  void Run(int iterations) {
    for (int i = 0; i < iterations; ++i) {
      lane_->RunOnce();
      clock_.Advance(absl::Milliseconds(1));
    }
  }

 private:
  FakeClock clock_;
  std::unique_ptr<AdmissionLedger> ledger_;
  std::unique_ptr<Lane> lane_;
};

// ---- Encoding. ----

void Encode(AudioEncoding encoding, const std::vector<float>& samples) {
  auto encoder = NewAudioEncoder({.encoding = encoding});
  Check(encoder.status());
  for (size_t at = 0; at < samples.size(); at += 640) {
    (*encoder)->Append({&samples[at], 640});
  }
  (*encoder)->Finish();
}

int Main() {
  Steps steps;
  Count("prefill", [&] { steps.Run(Stage::kPrefill); });
  Count("generate", [&] { steps.Run(Stage::kGenerate); });
  Count("decode", [&] { steps.Run(Stage::kDecode); });
  Scheduling scheduling;
  Count("scheduler", [&] { scheduling.Run(64); });
  std::vector<float> second(16000);
  for (size_t i = 0; i < second.size(); ++i) {
    second[i] = 0.5f * std::sin(0.05f * static_cast<float>(i));
  }
  Count("pcm16", [&] { Encode(AudioEncoding::kPcm16, second); });
  Count("opus", [&] { Encode(AudioEncoding::kOpus, second); });
  return 0;
}

}  // namespace
}  // namespace firstbyte

int main() { return firstbyte::Main(); }
