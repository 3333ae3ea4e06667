// The vocoder on a GPU, emulated or not, against the CPU's.
#include "model/speech/aligned_mel/gpu_vocoder.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/model/speech/aligned_mel/device_fixture.h"

namespace firstbyte::aligned_mel {
namespace {

constexpr int kSlots = 5, kMaxBatch = 3, kStreams = 3;
constexpr double kTolerance = 1e-4;

class GpuVocoderTest : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    if (IsSkipped()) return;
    for (const char* name : {"two_clauses", "fast"}) {
      for (const auto& clause : LoadGolden(name).clauses) {
        features_.insert(features_.end(), clause.features.begin(), clause.features.end());
      }
    }
  }

  absl::StatusOr<std::unique_ptr<GpuVocoder>> Open(cuda::GraphMode mode = cuda::GraphMode::kGraphs,
                                                   int slots = kSlots) {
    return WithWeights([&](nn::WeightLoader* weights) {
      return GpuVocoder::Create(gpu_.get(), voice_->config.vocoder, voice_->vocoder, weights,
                                {.slots = slots, .max_batch = kMaxBatch, .mode = mode});
    });
  }

  // Stream i is some golden frames, from a place of its own.
  struct Stream {
    explicit Stream(const GpuVocoderTest& test, int index)
        : state(test.voice_->vocoder.NewState(7 + 1000 * index)),
          slot(4 - index),
          begin(20 * index),
          frames(19 + 3 * index) {}

    // The next frames, at most `most`; `with_end`: the last also ends the stream.
    DecodeRow Next(const GpuVocoderTest& test, int most, bool with_end) {
      DecodeRow row{&state, {}, std::min(most, frames - decoded), false, &samples, slot};
      for (int i = 0; i < row.count; ++i) {
        row.frames[i] = test.features_.data() + (begin + decoded + i) * int64_t{kFrameFeatures};
      }
      decoded += row.count;
      row.flush = decoded == frames && (with_end || row.count == 0);
      done = row.flush;
      return row;
    }

    VocoderState state;
    int slot, begin, frames, decoded = 0;
    bool done = false;
    std::vector<float> samples;
  };
  using Spoken = std::vector<std::vector<float>>;

  // Streams side by side, `frames` at a time, or each as many as it likes.
  Spoken Together(GpuVocoder* vocoder, std::optional<int> frames) {
    std::vector<Stream> streams;
    for (int i = 0; i < kStreams; ++i) streams.emplace_back(*this, i);
    std::mt19937 random(1);
    const auto going = [](const Stream& stream) { return !stream.done; };
    while (std::any_of(streams.begin(), streams.end(), going)) {
      std::vector<DecodeRow> rows;
      for (Stream& stream : streams) {
        if (stream.done || (!frames && random() % 3 == 0)) continue;
        const auto most = frames.value_or(1 + static_cast<int>(random() % 16));
        rows.push_back(stream.Next(*this, most, frames.has_value() || random() % 2 == 0));
      }
      if (!rows.empty()) Decode(vocoder, rows);
    }
    return Samples(streams);
  }
  // One after another, all in one slot.
  Spoken Alone(GpuVocoder* vocoder, int frames) {
    std::vector<Stream> streams;
    for (int i = 0; i < kStreams; ++i) {
      streams.emplace_back(*this, i);
      streams[i].slot = 2;
      while (!streams[i].done) Decode(vocoder, {streams[i].Next(*this, frames, true)});
    }
    return Samples(streams);
  }
  Spoken OnCpu() {
    std::vector<Stream> streams;
    Vocoder::Buffers buffers(voice_->vocoder);
    for (int i = 0; i < kStreams; ++i) {
      streams.emplace_back(*this, i);
      while (!streams[i].done) {
        const DecodeRow row = streams[i].Next(*this, 16, true);
        voice_->vocoder.Decode({&row, 1}, &buffers);
      }
    }
    return Samples(streams);
  }

  static void Decode(GpuVocoder* vocoder, const std::vector<DecodeRow>& rows) {
    const auto started = vocoder->Decode(rows);
    ASSERT_TRUE(started.ok()) << started.status();
    ASSERT_TRUE(vocoder->Finish(*started, rows).ok());
  }
  static Spoken Samples(const std::vector<Stream>& streams) {
    Spoken all;
    for (const Stream& stream : streams) all.push_back(stream.samples);
    return all;
  }

  std::vector<float> features_;
};

TEST_P(GpuVocoderTest, SpeaksAsTheCpu) {
  auto vocoder = Open();
  ASSERT_TRUE(vocoder.ok()) << vocoder.status();
  const Spoken made = Together(vocoder->get(), 4), expected = OnCpu();
  for (int i = 0; i < kStreams; ++i) {
    ASSERT_EQ(made[i].size(), expected[i].size());
    ASSERT_EQ(made[i].size(), size_t{kFrameSamples} * (19 + 3 * i));
    for (size_t at = 0; at < made[i].size(); ++at) {
      ASSERT_NEAR(made[i][at], expected[i][at], kTolerance) << "stream " << i << " at " << at;
    }
  }
}

TEST_P(GpuVocoderTest, AStreamIsTheSameInAnyChunksAloneAndWithoutGraphs) {
  auto graphs = Open(), eager = Open(cuda::GraphMode::kEager);
  ASSERT_TRUE(graphs.ok() && eager.ok());
  const Spoken expected = Together(graphs->get(), 4);
  EXPECT_EQ(Together(graphs->get(), std::nullopt), expected);
  EXPECT_EQ(Alone(graphs->get(), 1), expected);
  EXPECT_EQ(Alone(graphs->get(), 8), expected);
  EXPECT_EQ(Together(eager->get(), 16), expected);
}

// The samples of a step are read when the next has been given, whatever their sizes.
TEST_P(GpuVocoderTest, TwoDecodesAreUnderWay) {
  auto vocoder = Open();
  ASSERT_TRUE(vocoder.ok()) << vocoder.status();
  const Spoken expected = OnCpu();
  for (const auto& [first, second] : {std::pair{1, 1}, std::pair{16, 4}}) {
    Stream one(*this, 0), other(*this, 1);
    const std::vector<DecodeRow> a = {one.Next(*this, first, true)};
    const std::vector<DecodeRow> b = {other.Next(*this, second, true)};
    const auto started = (*vocoder)->Decode(a), next = (*vocoder)->Decode(b);
    ASSERT_TRUE(started.ok() && next.ok());
    ASSERT_TRUE((*vocoder)->Finish(*started, a).ok());
    ASSERT_TRUE((*vocoder)->Finish(*next, b).ok());
    ASSERT_GT(one.samples.size(), 0u);
    for (size_t i = 0; i < one.samples.size(); ++i) {
      ASSERT_NEAR(one.samples[i], expected[0][i], kTolerance);
    }
    for (size_t i = 0; i < other.samples.size(); ++i) {
      ASSERT_NEAR(other.samples[i], expected[1][i], kTolerance);
    }
  }
}

TEST_P(GpuVocoderTest, MoreStreamsThanItWasMadeForAreRefused) {
  auto vocoder = Open();
  ASSERT_TRUE(vocoder.ok()) << vocoder.status();
  Stream stream(*this, 0);
  const std::vector<DecodeRow> many(kMaxBatch + 1, stream.Next(*this, 1, true));
  EXPECT_EQ((*vocoder)->Decode(many).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(GpuVocoderTest, WithoutMemoryForItsStreamsItIsRefused) {
  const auto vocoder = Open(cuda::GraphMode::kGraphs, /*slots=*/1 << 22);
  EXPECT_EQ(vocoder.status().code(), absl::StatusCode::kResourceExhausted) << vocoder.status();
}

INSTANTIATE_TEST_SUITE_P(On, GpuVocoderTest, AllDevices(), NameOfDevice);

}  // namespace
}  // namespace firstbyte::aligned_mel
