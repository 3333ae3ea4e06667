// engine_bench [model folder]: what each stage of the embedded voice costs on one core, beside the
// same networks in eager LibTorch in the same run.
//
// Every number is the fastest of several repetitions of the thread's processor time. Only the front
// end, which has a thread of its own, is on the wall clock.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include "bench/eager_voice.h"
#include "bench/thread_time.h"
#include "model/speech/aligned_mel/aligned_mel.h"

namespace firstbyte {
namespace {

using aligned_mel::AlignedMel;
using aligned_mel::Voice;

constexpr char kSentence[] = "The quick brown fox jumps over the lazy dog beside the quiet river.";
constexpr char kLongSentence[] =
    "When the morning came they walked slowly along the narrow road between the hills and counted "
    "every tree until the sun went down behind them.";

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "engine_bench: %s\n", status.ToString().c_str());
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

void Latency(AlignedMel* model) {
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
}

void RealTimeFactor(AlignedMel* model, int batch, int frames) {
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    Cohort cohort(model, kLongSentence, batch);
    double time = Milliseconds([&] {
      for (Work work = cohort.raw[0]->work(); work.any(); work = cohort.raw[0]->work()) {
        bool wait = work.decode_frames < frames && (work.generate || work.prefill);
        cohort.Step(wait ? (work.generate ? Stage::kGenerate : Stage::kPrefill) : Stage::kDecode,
                    frames);
        cohort.Take();
      }
    });
    best = std::min(best, time / (static_cast<double>(cohort.samples) / 16));
  }
  std::printf("  batch %2d, chunks of %2d frames: RTF %.4f for all, %.5f a stream\n", batch, frames,
              best * batch, best);
}

struct Ours {
  double generate, decode[3];
};

Ours MeasureOurs(AlignedMel* model, int batch) {
  Ours ours{1e9, {1e9, 1e9, 1e9}};
  for (int round = 0; round < 3; ++round) {
    Cohort cohort(model, kLongSentence, batch);
    cohort.Step(Stage::kPrefill);
    cohort.Step(Stage::kPrefill);
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

void Stages(AlignedMel* model, const SafeTensors& weights) {
  std::printf("ms a step (all rows of the batch together; eager LibTorch, its ratio)\n");
  std::printf("%6s | %24s | %8s | %24s | %9s\n", "batch", "generate", "decode 1", "decode 4",
              "decode 16");
  for (int batch : {1, 8, 16, 32, 64}) {
    Ours ours = MeasureOurs(model, batch);
    c10::InferenceMode guard;
    EagerVoice eager(weights, batch);
    double generate = Fastest(10, [&] { eager.Generate(); });
    double decode = Fastest(5, [&] { eager.Decode(4); });
    std::printf("%6d | %6.3f (%7.3f, %4.1fx) | %8.3f | %6.3f (%7.3f, %4.1fx) | %9.3f\n", batch,
                ours.generate, generate, generate / ours.generate, ours.decode[0], ours.decode[1],
                decode, decode / ours.decode[1], ours.decode[2]);
  }
}

int Main(const std::string& folder) {
  at::set_num_threads(1);
  std::shared_ptr<const Voice> voice;
  const double load = Milliseconds([&] {
    auto loaded = Voice::Load(folder, kernels::Kernels());
    Check(loaded.status());
    voice = *loaded;
  });
  auto model = AlignedMel::Create(voice, {.slots = 64, .max_batch = 64});
  Check(model.status());
  std::printf("%s, %s: loaded in %.0f ms\n", folder.c_str(),
              std::string(kernels::IsaName(kernels::PreferredIsa())).c_str(), load);
  Latency(model->get());
  auto weights = SafeTensors::Open(folder + "/model.safetensors");
  Check(weights.status());
  Stages(model->get(), *weights);
  std::printf("whole sentences, one core\n");
  RealTimeFactor(model->get(), 1, 1);
  RealTimeFactor(model->get(), 1, 4);
  for (int batch : {1, 8, 16, 32, 64}) RealTimeFactor(model->get(), batch, 16);
  return 0;
}

}  // namespace
}  // namespace firstbyte

int main(int argc, char** argv) {
  return firstbyte::Main(argc > 1 ? argv[1] : "models/aligned-mel-en");
}
