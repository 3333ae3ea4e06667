#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

#include "gtest/gtest.h"
#include "tests/model/kernels/kernel_fixture.h"

namespace firstbyte::kernels {
namespace {

constexpr int kHarmonic = 6, kNoise = 4, kOrders = kHarmonic + kNoise;
constexpr double kPi = std::numbers::pi;

class FilterTest : public KernelTest {
 protected:
  FilterTest()
      : harmonic_basis_(Random(2 * kFilterBins * kHarmonic, 1)),
        noise_basis_(Random(2 * kFilterBins * kNoise, 2)),
        window_(Random(160, 3)),
        scratch_(FilterScratchFloats() + 16) {}

  struct MelFrame {
    std::vector<float> harmonic, noise, cepstra;
  };
  static MelFrame Frame(uint32_t seed) {
    return {Random(240, seed), Random(240, seed + 1000), Random(2 * kOrders, seed + 2000)};
  }

  std::vector<std::vector<float>> Run(const std::vector<MelFrame>& frames) {
    std::vector<const float*> harmonic, noise, cepstra;
    std::vector<std::vector<float>> out(frames.size(), std::vector<float>(1024));
    std::vector<float*> to;
    for (size_t i = 0; i < frames.size(); ++i) {
      harmonic.push_back(frames[i].harmonic.data());
      noise.push_back(frames[i].noise.data());
      cepstra.push_back(frames[i].cepstra.data());
      to.push_back(out[i].data());
    }
    auto address = (reinterpret_cast<uintptr_t>(scratch_.data()) + 63) / 64 * 64;
    table().filter({static_cast<int>(frames.size()), harmonic.data(), noise.data(), cepstra.data(),
                    kHarmonic, kNoise, harmonic_basis_.data(), noise_basis_.data(), window_.data(),
                    reinterpret_cast<float*>(address), to.data()});
    return out;
  }

  // Convolution by the definition of the inverse DFT, one sub-frame.
  std::vector<double> Expected(const MelFrame& frame, int half) {
    std::vector<std::complex<double>> y(kFftSize);
    for (int k = 0; k < kFilterBins; ++k) {
      auto path = [&](const std::vector<float>& excitation, const std::vector<float>& basis,
                      int offset, int order) {
        std::complex<double> sum = 0;
        for (int i = 0; i < 160; ++i) {
          sum += double{window_[i]} * excitation[half * 80 + i] *
                 std::polar(1.0, -2 * kPi * k * i / kFftSize);
        }
        double magnitude = 0, phase = 0;
        for (int m = 0; m < order; ++m) {
          double c = frame.cepstra[half * kOrders + offset + m];
          magnitude += c * basis[k * order + m];
          phase += c * basis[(kFilterBins + k) * order + m];
        }
        return sum * std::polar(std::exp(magnitude), phase);
      };
      y[k] = path(frame.harmonic, harmonic_basis_, 0, kHarmonic) +
             path(frame.noise, noise_basis_, kHarmonic, kNoise);
      if (k == 0 || k == kFilterBins - 1) y[k] = y[k].real();
      if (k > 0 && k < kFilterBins - 1) y[kFftSize - k] = std::conj(y[k]);
    }
    std::vector<double> out(kFftSize);
    for (int n = 0; n < kFftSize; ++n) {
      std::complex<double> sum = 0;
      for (int k = 0; k < kFftSize; ++k) sum += y[k] * std::polar(1.0, 2 * kPi * k * n / kFftSize);
      out[n] = sum.real() / kFftSize;
    }
    return out;
  }

  std::vector<float> harmonic_basis_, noise_basis_, window_, scratch_;
};

TEST_P(FilterTest, MatchesTheDefinition) {
  std::vector<MelFrame> frames = {Frame(1), Frame(2), Frame(3)};
  auto out = Run(frames);
  for (size_t i = 0; i < frames.size(); ++i) {
    for (int half = 0; half < 2; ++half) {
      auto expected = Expected(frames[i], half);
      for (int n = 0; n < kFftSize; ++n) {
        ASSERT_NEAR(out[i][half * kFftSize + n], expected[n], 2e-6) << i << " " << half << " " << n;
      }
    }
  }
}

TEST_P(FilterTest, AFrameDoesNotDependOnItsLane) {
  std::vector<MelFrame> frames;
  for (int i = 0; i < 16; ++i) frames.push_back(Frame(10 + i));
  auto together = Run(frames);
  for (int i = 0; i < 16; ++i) EXPECT_EQ(Run({frames[i]})[0], together[i]) << i;
}

TEST_P(FilterTest, PulsesMatchTheSumOfHarmonics) {
  std::vector<float> out(160);
  double phase = 0.25, expected_phase = 0.25;
  const double from = std::log(110.0), to = std::log(140.0);
  for (int frame = 0; frame < 3; ++frame) {
    table().pulses(from, to, true, 16000, &phase, out.data());
    for (int i = 0; i < 160; ++i) {
      double f = std::exp(from + (to - from) * (i + 1) / 160);
      expected_phase = std::fmod(expected_phase + f / 16000, 1.0);
      int harmonics = static_cast<int>(0.48 * 16000 / f);
      double sum = 0;
      for (int h = 1; h <= harmonics; ++h) sum += std::cos(2 * kPi * h * expected_phase);
      ASSERT_NEAR(out[i], sum * std::sqrt(2.0 / harmonics), 2e-5) << i;
    }
  }
  EXPECT_NEAR(phase, expected_phase, 1e-12);
}

TEST_P(FilterTest, UnvoicedPulsesAreSilentAndKeepThePhaseMoving) {
  std::vector<float> out(160, 1.0f);
  double phase = 0;
  table().pulses(std::log(100.0), std::log(100.0), false, 16000, &phase, out.data());
  EXPECT_EQ(out, std::vector<float>(160, 0.0f));
  EXPECT_NEAR(phase, 0.0, 1.0);
  EXPECT_NE(phase, 0.0);
}

TEST_P(FilterTest, DamagedPitchStaysFinite) {
  std::vector<float> out(160);
  for (double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL, 1e300}) {
    double phase = 0;
    table().pulses(bad, 5.0, true, 16000, &phase, out.data());
    for (float v : out) ASSERT_TRUE(std::isfinite(v)) << bad;
    ASSERT_TRUE(phase >= 0 && phase < 1) << bad;
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, FilterTest, AllIsas(), NameOfIsa);

}  // namespace
}  // namespace firstbyte::kernels
