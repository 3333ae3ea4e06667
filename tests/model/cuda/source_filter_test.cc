// Excitation, filter and overlap-add one after another, against the CPU's.
#include <cmath>
#include <cstring>
#include <numbers>

#include "model/cuda/filter.h"
#include "tests/model/cuda/executor.h"
#include "tests/model/cuda/segments.h"

namespace firstbyte::cuda {
namespace {

using Floats = std::vector<float>;

constexpr int kStreams = 3, kRows = 3, kMels = 14;
constexpr double kSampleRate = 16000, kPi = std::numbers::pi;
constexpr float kGain = 0.5f;
constexpr int kBins = FilterStep::kBins, kSpectrum = 4 * kBins;
constexpr int kOrder = 2;  // of the CPU's cepstra, for harmonics and for noise

const kernels::KernelTable& Cpu() { return kernels::Kernels(kernels::PreferredIsa()); }

// What a stream is made of, and what the CPU makes of it.
struct Stream {
  explicit Stream(RandomCase* random) {
    for (int mel = 0; mel < kMels; ++mel) {
      pitches.push_back({std::log(110.0f) + 0.3f * random->Normal(), random->Between(0, 3) > 0});
    }
    pitches[5] = {kNan, 1};                 // of damaged weights
    pitches[6].log_f0 = pitches[7].log_f0;  // that does not glide
    seed = static_cast<uint64_t>(random->Between(1, 1 << 30)) << 20;
    cepstra = random->Normals<float>(int64_t{kMels} * 4 * kOrder);
  }

  void Speak(const Floats& basis, const Floats& window) {
    harmonic.assign(kSubframe, 0);
    noise.resize(kSubframe + kMels * kMelSamples);
    kernels::UniformNoise(seed, 0, kMels * kMelSamples, kernels::NoisePurpose::kExcitation,
                          noise.data() + kSubframe);
    double phase = 0, from = pitches[0].log_f0;
    for (const MelPitch& pitch : pitches) {
      harmonic.resize(harmonic.size() + kMelSamples);
      Cpu().pulses(from, pitch.log_f0, pitch.voiced != 0, kSampleRate, &phase,
                   &*harmonic.end() - kMelSamples);
      from = pitch.log_f0;
    }
    Filter(basis, window);
  }

  std::vector<MelPitch> pitches;
  uint64_t seed;
  Floats cepstra;          // [mels, 2 sub-frames, 2 orders]
  Floats harmonic, noise;  // [kSubframe + kMelSamples mels]
  Floats pieces;           // [mels, 2, 512]

 private:
  void Filter(const Floats& basis, const Floats& window) {
    pieces.resize(int64_t{kMels} * 2 * Fft::kSize);
    Floats scratch(kernels::FilterScratchFloats() + 16);
    const size_t off = reinterpret_cast<uintptr_t>(scratch.data()) % 64 / sizeof(float);
    for (int mel = 0; mel < kMels; ++mel) {
      const float* h = harmonic.data() + mel * kMelSamples;
      const float* n = noise.data() + mel * kMelSamples;
      const float* c = cepstra.data() + mel * 4 * kOrder;
      float* out = pieces.data() + mel * 2 * Fft::kSize;
      Cpu().filter({1, &h, &n, &c, kOrder, kOrder, basis.data(), basis.data(), window.data(),
                    scratch.data() + (16 - off) % 16, &out});
    }
  }
};

// By stream, as Stream has them; samples with those before the stream and those after the last.
struct Made {
  Made()
      : harmonic(kStreams, Floats(kSubframe + kMels * kMelSamples, kNan)),
        noise(harmonic),
        pieces(kStreams, Floats(int64_t{kMels} * 2 * Fft::kSize, kNan)),
        samples(kStreams, Floats((2 * kMels + 1) * kSubframe, kNan)) {}
  std::vector<Floats> harmonic, noise, pieces, samples;
};

class SourceFilterTest : public KernelTest {
 protected:
  void Draw(uint64_t seed) {
    RandomCase random(seed);
    basis_ = random.Normals<float>(int64_t{2} * kBins * kOrder);
    for (int i = 0; i < kMelSamples; ++i) {
      window_.push_back(static_cast<float>(0.5 - 0.5 * std::cos(2 * kPi * i / kMelSamples)));
    }
    for (int i = 0; i < Fft::kSize; ++i) {
      twiddles_.push_back(static_cast<float>(std::cos(2 * kPi * i / Fft::kSize)));
      twiddles_.push_back(static_cast<float>(-std::sin(2 * kPi * i / Fft::kSize)));
    }
    for (int i = 0; i < kStreams; ++i) {
      streams_.emplace_back(&random);
      streams_.back().Speak(basis_, window_);
    }
  }

  // Log magnitudes and phases of a mel frame's sub-frame.
  void PutSpectrum(const Stream& stream, int64_t mel, int half, float* to) const {
    const float* cepstra = stream.cepstra.data() + (2 * mel + half) * 2 * kOrder;
    for (int part = 0; part < 2; ++part, cepstra += kOrder) {
      for (int i = 0; i < 2 * kBins; ++i) {
        float sum = 0;
        for (int m = 0; m < kOrder; ++m) sum += basis_[i * kOrder + m] * cepstra[m];
        to[part * 2 * kBins + i] = sum;
      }
    }
  }

  Made Run(const std::vector<CutStep>& cuts, int places) {
    Executor& e = Fresh();
    Glide* last = e.Put(std::vector<Glide>(kStreams, {9, 9, 0.7, 1}));  // of streams before
    float* overlaps = e.Put(Floats(kStreams * kOverlap, kNan));
    const float *window = e.Put(window_), *twiddles = e.Put(twiddles_);
    Made made;
    for (const CutStep& cut : cuts) RunStep(cut, places, last, overlaps, window, twiddles, &made);
    return made;
  }

  void RunStep(const CutStep& cut, int places, Glide* last, float* overlaps, const float* window,
               const float* twiddles, Made* made) {
    const int rows = static_cast<int>(cut.slots.size()), stride = kSpectrum + 4;
    const int excited = kSubframe + kMelSamples * places, finished = (2 * places + 1) * kSubframe;
    std::vector<MelPitch> pitches(rows * places, {kNan, 1});
    Floats spectra(int64_t{rows} * places * 2 * stride, kNan);
    std::vector<uint64_t> seeds;
    for (int row = 0; row < rows; ++row) {
      const Segment& segment = cut.segments[row];
      const Stream& stream = streams_[std::max(cut.slots[row], 0)];
      seeds.push_back(stream.seed);
      for (int place = 0; place < segment.count; ++place) {
        const int64_t mel = segment.begin + place, at = row * places + place;
        if (mel < 0) continue;
        pitches[at] = stream.pitches[mel];
        PutSpectrum(stream, mel, 0, spectra.data() + 2 * at * stride);
        PutSpectrum(stream, mel, 1, spectra.data() + (2 * at + 1) * stride);
      }
    }
    Executor& e = *executor_;
    const Segment* segments = e.Put(cut.segments);
    const int32_t* slots = e.Put(cut.slots);
    Glide* glides = e.Put(std::vector<Glide>(rows * (1 + places), {kNan, kNan, kNan, 1}));
    float *harmonic = e.Put(Floats(rows * excited, kNan)), *noise = e.Put(Floats(rows * excited));
    float* pieces = e.Put(Floats(int64_t{rows} * places * 2 * Fft::kSize, kNan));
    float* samples = e.Put(Floats(rows * finished, kNan));
    e.Run(GlideStep{e.Put(pitches), segments, slots, last, glides, kSampleRate, rows, places});
    e.Run(ExciteStep{glides, segments, slots, e.Put(seeds), harmonic, noise, kSampleRate, rows,
                     places});
    e.Run(FilterStep{harmonic, noise, e.Put(spectra), window, twiddles, segments, slots, pieces,
                     rows, places, stride});
    e.Run(OverlapAddStep{pieces, segments, slots, overlaps, samples, kGain, rows, places});
    const Floats h = e.Get(harmonic, rows * excited), n = e.Get(noise, rows * excited);
    const Floats p = e.Get(pieces, int64_t{rows} * places * 2 * Fft::kSize);
    const Floats s = e.Get(samples, rows * finished);
    for (int row = 0; row < rows; ++row) {
      const int slot = cut.slots[row];
      if (slot < 0) continue;
      const Segment& segment = cut.segments[row];
      const int64_t blank = segment.begin < 0 ? 1 : 0, mels = segment.count - blank;
      const int64_t first = segment.begin + blank, at = row * places + blank;
      const auto copy = [&](const Floats& from, int64_t offset, int64_t count, Floats* to,
                            int64_t place) {
        std::copy_n(from.begin() + offset, count, to->begin() + place);
      };
      const int64_t excitation = int64_t{row} * excited + blank * kMelSamples;
      const int64_t excitations = kSubframe + mels * kMelSamples;
      copy(h, excitation, excitations, &made->harmonic[slot], first * kMelSamples);
      copy(n, excitation, excitations, &made->noise[slot], first * kMelSamples);
      copy(p, at * 2 * Fft::kSize, mels * 2 * Fft::kSize, &made->pieces[slot],
           first * 2 * Fft::kSize);
      copy(s, int64_t{row} * finished, (2 * mels + 1) * kSubframe, &made->samples[slot],
           first * kMelSamples);
    }
  }

  static void ExpectNear(const Floats& made, const Floats& expected, double tolerance) {
    ASSERT_EQ(made.size(), expected.size());
    for (size_t i = 0; i < made.size(); ++i) ASSERT_NEAR(made[i], expected[i], tolerance) << i;
  }

  Floats basis_, window_, twiddles_;
  std::vector<Stream> streams_;
};

TEST_P(SourceFilterTest, SpeaksAsTheCpu) {
  Draw(1);
  const Made made = Run(WholeStreams(kStreams, kMels), kMels + 1);
  for (int i = 0; i < kStreams; ++i) {
    SCOPED_TRACE(i);
    const Stream& stream = streams_[i];
    ASSERT_NO_FATAL_FAILURE(ExpectNear(made.harmonic[i], stream.harmonic, 5e-4));
    EXPECT_EQ(made.noise[i], stream.noise) << "to the bit";
    double largest = 0;
    for (float x : stream.pieces) largest = std::max(largest, std::abs(double{x}));
    ASSERT_NO_FATAL_FAILURE(ExpectNear(made.pieces[i], stream.pieces, 1e-4 * largest));
    // A piece begins where the sub-frame before did.
    std::vector<double> sums((2 * kMels + 1) * kSubframe + Fft::kSize);
    for (size_t at = 0; at < stream.pieces.size(); ++at) {
      sums[at / Fft::kSize * kSubframe + at % Fft::kSize] += kGain * stream.pieces[at];
    }
    ASSERT_NO_FATAL_FAILURE(ExpectNear(made.samples[i],
                                       Floats(sums.begin(), sums.begin() + made.samples[i].size()),
                                       2e-4 * largest));
  }
}

TEST_P(SourceFilterTest, AStreamIsTheSameHoweverItIsCutAndAmongOthers) {
  Draw(2);
  const Made whole = Run(WholeStreams(kStreams, kMels), kMels + 1);
  RandomCase random(3);
  for (int places : {2, 5, 9}) {
    SCOPED_TRACE(places);
    const Made cut = Run(CutStreams(&random, kStreams, kMels, places, kRows), places);
    for (int i = 0; i < kStreams; ++i) {
      EXPECT_EQ(cut.harmonic[i], whole.harmonic[i]);
      EXPECT_EQ(cut.noise[i], whole.noise[i]);
      EXPECT_EQ(cut.pieces[i], whole.pieces[i]);
      EXPECT_EQ(cut.samples[i], whole.samples[i]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(On, SourceFilterTest, testing::ValuesIn(ExecutorNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace firstbyte::cuda
