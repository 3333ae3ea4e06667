#include "bench/voice_stages.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <vector>

#include <c10/core/InferenceMode.h>

#include "bench/eager_voice.h"
#include "bench/thread_time.h"
#include "model/speech/aligned_mel/aligned_mel.h"

namespace firstbyte {
namespace {

using aligned_mel::AlignedMel;
using aligned_mel::Voice;

constexpr char kSentence[] = "The quick brown fox jumps over the lazy dog beside the quiet river.";
constexpr double kGflopASecond = 0.38;  // of speech, in matrix products
constexpr char kLongSentence[] =
    "When the morning came they walked slowly along the narrow road between the hills and counted "
    "every tree until the sun went down behind them.";

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "firstbyte-bench: %s\n", status.ToString().c_str());
  std::exit(1);
}

// Sessions of one text that advance together.
struct Cohort {
  Cohort(AlignedMel* m, const char* text, int batch) : model(m) {
    for (int i = 0; i < batch; ++i) {
      auto session = model->Open({.voice = "", .seed = static_cast<uint64_t>(i) + 1});
      Check(session.status());
      auto clause = model->Prepare({text});
      Check(clause.status());
      Check((*session)->Push(*std::move(clause)));
      Check((*session)->Push(EndOfInput{}));
      raw.push_back(session->get());
      sessions.push_back(*std::move(session));
    }
  }

  void Step(Stage stage, int frames = 1) {
    StepReport report;
    Check(model->Wait(model->Submit(stage, raw, frames), &report));
    for (const absl::Status& status : report.session_status) Check(status);
  }
  void Take() {
    for (Session* session : raw) samples += static_cast<int64_t>(session->Take().samples.size());
  }

  AlignedMel* model;
  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<Session*> raw;
  int64_t samples = 0;
};

nlohmann::json Latency(AlignedMel* model) {
  double front = 1e9, prefill = 1e9, generate = 1e9, decode = 1e9, total = 1e9;
  for (int i = 0; i < 30; ++i) {
    auto session = model->Open({});
    Check(session.status());
    std::unique_ptr<Prepared> clause;
    auto begin = std::chrono::steady_clock::now();
    clause = *model->Prepare({kSentence});
    double a =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    Check((*session)->Push(std::move(clause)));
    StepReport report;
    auto step = [&](Stage stage) {
      return Milliseconds(
          [&] { Check(model->Wait(model->Submit(stage, {session->get()}, 1), &report)); });
    };
    double b = step(Stage::kPrefill), c = step(Stage::kGenerate), d = step(Stage::kDecode);
    front = std::min(front, a);
    prefill = std::min(prefill, b);
    generate = std::min(generate, c);
    decode = std::min(decode, d);
    total = std::min(total, a + b + c + d);
  }
  std::printf(
      "text to first 25 ms of audio: %.2f ms = front end %.2f + prefill %.2f + generate %.2f "
      "+ decode %.2f\n",
      total, front, prefill, generate, decode);
  return {{"total", total},
          {"front_end", front},
          {"prefill", prefill},
          {"generate", generate},
          {"decode", decode}};
}

// Processor time for a second of speech, of one stream among `batch`.
struct SpeechCost {
  double prefill = 0, generate = 0, decode = 0;
  double total() const { return prefill + generate + decode; }
};

SpeechCost WholeSentences(AlignedMel* model, int batch, int frames) {
  SpeechCost best{1e9};
  for (int i = 0; i < 3; ++i) {
    Cohort cohort(model, kLongSentence, batch);
    SpeechCost cost;
    for (Work work = cohort.raw[0]->work(); work.any(); work = cohort.raw[0]->work()) {
      const bool wait = work.decode_frames < frames && (work.generate || work.prefill);
      const Stage stage =
          wait ? (work.generate ? Stage::kGenerate : Stage::kPrefill) : Stage::kDecode;
      double& part = stage == Stage::kPrefill    ? cost.prefill
                     : stage == Stage::kGenerate ? cost.generate
                                                 : cost.decode;
      part += Milliseconds([&] {
        cohort.Step(stage, frames);
        cohort.Take();
      });
    }
    const double seconds = static_cast<double>(cohort.samples) / 16000;
    cost = {cost.prefill / seconds, cost.generate / seconds, cost.decode / seconds};
    if (cost.total() < best.total()) best = cost;
  }
  return best;
}

nlohmann::json Speech(AlignedMel* model, const Roofs& roofs) {
  std::printf(
      "\nms of one core for a second of speech; roofline: %.2f GFLOP in matrix products at %.0f "
      "GFLOP/s\n%6s %7s | %8s %8s %8s %8s | %9s\n",
      kGflopASecond, roofs.gflops, "batch", "chunks", "prefill", "generate", "decode", "together",
      "roofline");
  nlohmann::json rows;
  for (auto [batch, frames] :
       {std::array{1, 1}, {1, 4}, {1, 16}, {8, 16}, {32, 16}, {64, 16}, {128, 16}}) {
    const SpeechCost cost = WholeSentences(model, batch, frames);
    const double share = 1e3 * kGflopASecond / roofs.gflops / cost.total();
    std::printf("%6d %7d | %8.3f %8.3f %8.3f %8.3f | %7.0f %%\n", batch, frames, cost.prefill,
                cost.generate, cost.decode, cost.total(), 100 * share);
    rows.push_back({{"batch", batch},
                    {"chunk_frames", frames},
                    {"prefill_ms", cost.prefill},
                    {"generate_ms", cost.generate},
                    {"decode_ms", cost.decode},
                    {"share_of_roofline", share}});
  }
  return rows;
}

struct Ours {
  double prefill = 1e9, generate = 1e9, decode[3] = {1e9, 1e9, 1e9};
};

Ours MeasureOurs(AlignedMel* model, int batch) {
  Ours ours;
  for (int round = 0; round < 3; ++round) {
    Cohort cohort(model, kLongSentence, batch);
    cohort.Step(Stage::kPrefill);
    ours.prefill = std::min(ours.prefill, Milliseconds([&] { cohort.Step(Stage::kPrefill); }));
    const int sizes[] = {1, 4, 16};
    for (int i = 0; i < 3; ++i) {
      for (int frame = 0; frame < sizes[i]; ++frame) {
        ours.generate =
            std::min(ours.generate, Milliseconds([&] { cohort.Step(Stage::kGenerate); }));
      }
      ours.decode[i] =
          std::min(ours.decode[i], Milliseconds([&] { cohort.Step(Stage::kDecode, sizes[i]); }));
    }
  }
  return ours;
}

nlohmann::json Steps(AlignedMel* model, const SafeTensors& weights) {
  std::printf("\nms a step, all rows of the batch together (eager LibTorch, its ratio)\n");
  std::printf("%6s | %10s | %24s | %8s | %24s | %9s\n", "batch", "prefill 64", "generate",
              "decode 1", "decode 4", "decode 16");
  nlohmann::json rows;
  for (int batch : {1, 8, 32, 64, 128}) {
    const Ours ours = MeasureOurs(model, batch);
    c10::InferenceMode guard;
    EagerVoice eager(weights, batch);
    const double generate = Fastest(10, [&] { eager.Generate(); });
    const double decode = Fastest(3, [&] { eager.Decode(4); });
    std::printf("%6d | %10.3f | %6.3f (%7.3f, %4.1fx) | %8.3f | %6.3f (%7.3f, %4.1fx) | %9.3f\n",
                batch, ours.prefill, ours.generate, generate, generate / ours.generate,
                ours.decode[0], ours.decode[1], decode, decode / ours.decode[1], ours.decode[2]);
    rows.push_back({{"batch", batch},
                    {"prefill_ms", ours.prefill},
                    {"generate_ms", ours.generate},
                    {"decode_ms", ours.decode},
                    {"eager_generate_ms", generate},
                    {"eager_decode_4_ms", decode}});
  }
  return rows;
}

}  // namespace

nlohmann::json MeasureVoice(const std::string& folder, const kernels::KernelTable& kernels,
                            const Roofs& roofs) {
  std::shared_ptr<const Voice> voice;
  const double load = Milliseconds([&] {
    auto loaded = Voice::Load(folder, kernels);
    Check(loaded.status());
    voice = *loaded;
  });
  auto model = AlignedMel::Create(voice, {.slots = 128, .max_batch = 128});
  Check(model.status());
  std::printf("%s: loaded in %.0f ms\n", folder.c_str(), load);
  auto weights = SafeTensors::Open(folder + "/model.safetensors");
  Check(weights.status());
  nlohmann::json out{{"load_ms", load}};
  out["first_sound_ms"] = Latency(model->get());
  out["speech"] = Speech(model->get(), roofs);
  out["steps"] = Steps(model->get(), *weights);
  return out;
}

}  // namespace firstbyte
