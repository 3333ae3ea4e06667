// Speaks text with the teacher voice (flite rms) and writes what the voice is trained on.
//
//   dump_features --out FILE [--phones FILE] [--seed N] < texts, one a line
//
// Each line goes through the server's own Segmenter; each clause becomes one record (little-endian,
// read by features.py):
//   int32 text bytes, samples, phones, F0 values; float32 stretch; text; int16 samples (16 kHz);
//   per phone char[8] name, float32 end in seconds, float32[28] flags; float32 F0 (5 ms, Hz, 0 =
//   unvoiced)
// With --check the clauses also go through the run-time FrontEnd, and every difference in phones or
// flags to the full synthesis is reported; the exit status is then 1.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "model/io/flite_phones.h"
#include "model/io/front_end.h"
#include "model/io/segmenter.h"

extern "C" {
#include <flite/cst_cg.h>
cst_voice* register_cmu_us_rms(const char* directory);
}

namespace {

using firstbyte::Clause;
using firstbyte::FlitePhone;

constexpr float kStretches[] = {0.85f, 0.93f, 1.0f, 1.1f, 1.22f};
constexpr size_t kMaxPhones = 4096;

template <typename T>
void Write(std::ofstream& out, const T* values, size_t count) {
  out.write(reinterpret_cast<const char*>(values), static_cast<std::streamsize>(count * sizeof(T)));
}

// F0 after flite's smoothing; the utterance's own track is from before it.
std::vector<float> ReadF0(const cst_utterance* utterance, cst_voice* voice) {
  cst_track* track = mlpg(val_track(utt_feat_val(utterance, "param_track")),
                          val_cg_db(feat_val(voice->features, "cg_db")));
  std::vector<float> f0;
  for (int i = 0; i < track->num_frames; ++i) f0.push_back(track->frames[i][0]);
  delete_track(track);
  return f0;
}

void WriteRecord(std::ofstream& out, const std::string& text, float stretch, cst_voice* voice,
                 const cst_utterance* utterance, const std::vector<FlitePhone>& phones, int count) {
  const cst_wave* wave = val_wave(utt_feat_val(utterance, "wave"));
  const std::vector<float> f0 = ReadF0(utterance, voice);
  const int32_t sizes[] = {static_cast<int32_t>(text.size()), wave->num_samples, count,
                           static_cast<int32_t>(f0.size())};
  Write(out, sizes, 4);
  Write(out, &stretch, 1);
  Write(out, text.data(), text.size());
  Write(out, wave->samples, static_cast<size_t>(wave->num_samples));
  const cst_item* segment = relation_head(utt_relation(utterance, "Segment"));
  for (int i = 0; i < count; ++i, segment = item_next(segment)) {
    char name[8] = {};
    std::strncpy(name, phones[i].name, sizeof(name) - 1);
    const float end = item_feat_float(segment, "end");
    Write(out, name, sizeof(name));
    Write(out, &end, 1);
    Write(out, phones[i].flags.data(), phones[i].flags.size());
  }
  Write(out, f0.data(), f0.size());
}

struct Options {
  std::string out, phones;
  unsigned seed = 1;
  bool check = false, natural_speed = false;
};

Options Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--check")
      options.check = true;
    else if (flag == "--natural-speed")
      options.natural_speed = true;
    else if (i + 1 == argc)
      break;
    else if (flag == "--out")
      options.out = argv[++i];
    else if (flag == "--phones")
      options.phones = argv[++i];
    else if (flag == "--seed")
      options.seed = static_cast<unsigned>(std::stoul(argv[++i]));
  }
  return options;
}

// Collects the phone list in order of first appearance.
class PhoneList {
 public:
  PhoneList() : names_{"<pad>"} {}
  void Add(const std::string& name) {
    if (seen_.insert(name).second) names_.push_back(name);
  }
  void Save(const std::string& path) const {
    std::ofstream out(path);
    for (const std::string& name : names_) out << name << '\n';
  }

 private:
  std::vector<std::string> names_;
  std::set<std::string> seen_;
};

// Compares the full synthesis with what the server's front end makes of the same clause.
class Checker {
 public:
  void Compare(const std::string& text, const std::vector<FlitePhone>& phones, int count) {
    std::set<std::string> distinct;
    for (int i = 0; i < count; ++i) distinct.insert(phones[i].name);
    const std::vector<std::string> names(distinct.begin(), distinct.end());
    ++clauses_;
    firstbyte::FrontEnd front_end(names);
    const auto result = front_end.Process(text);
    bool same = result.ok() && static_cast<int>(result->phones.size()) == count;
    for (int i = 0; same && i < count; ++i) {
      same = names[result->phones[i]] == phones[i].name && result->flags[i] == phones[i].flags;
    }
    if (same) return;
    ++different_;
    std::cout << "different: " << text << '\n';
  }
  int Report() const {
    std::cout << clauses_ - different_ << " of " << clauses_ << " clauses identical\n";
    return different_ == 0 ? 0 : 1;
  }

 private:
  int clauses_ = 0, different_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const Options options = Parse(argc, argv);
  flite_init();
  cst_voice* voice = register_cmu_us_rms(nullptr);
  std::mt19937 random(options.seed);
  std::uniform_int_distribution<size_t> pick(0, std::size(kStretches) - 1);
  std::ofstream out(options.out, std::ios::binary);
  std::vector<FlitePhone> phones(kMaxPhones);
  PhoneList list;
  Checker checker;
  double seconds = 0;
  std::string line;
  while (std::getline(std::cin, line)) {
    firstbyte::Segmenter segmenter;
    auto clauses = segmenter.Append(line);
    if (!clauses.ok()) continue;
    const auto last = segmenter.Flush();
    if (last.ok()) clauses->insert(clauses->end(), last->begin(), last->end());
    for (const Clause& clause : *clauses) {
      if (!clause.speakable()) continue;
      const float stretch = options.natural_speed ? 1.0f : kStretches[pick(random)];
      feat_set_float(voice->features, "duration_stretch", stretch);
      cst_utterance* utterance = flite_synth_text(clause.text.c_str(), voice);
      if (utterance == nullptr) continue;
      const int count = firstbyte::ReadFlitePhones(utterance, absl::MakeSpan(phones));
      for (int i = 0; i < count; ++i) list.Add(phones[i].name);
      if (options.check) checker.Compare(clause.text, phones, count);
      if (out) WriteRecord(out, clause.text, stretch, voice, utterance, phones, count);
      seconds += val_wave(utt_feat_val(utterance, "wave"))->num_samples / 16000.0;
      delete_utterance(utterance);
    }
  }
  if (!options.phones.empty()) list.Save(options.phones);
  std::cout << seconds / 3600 << " hours written\n";
  return options.check ? checker.Report() : 0;
}
