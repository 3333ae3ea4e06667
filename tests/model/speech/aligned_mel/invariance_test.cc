// Same clauses, seed and rate give the same bytes: whatever the order and size of the steps, alone
// or beside other streams, and however late the text arrives.
#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <random>

#include "gtest/gtest.h"
#include "tests/model/speech/aligned_mel/engine.h"

namespace firstbyte::aligned_mel {
namespace {

class InvarianceTest : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    if (IsSkipped()) return;
    first_ = LoadGolden("two_clauses");
    second_ = LoadGolden("fast");
  }

  struct Stream {
    std::unique_ptr<Session> session;
    std::vector<const GoldenCase::Clause*> clauses;  // not yet pushed
    bool ended = false;
    std::vector<float> samples;
  };

  // Clause i of a stream that says n clauses of both cases in turn, from `offset`.
  std::vector<const GoldenCase::Clause*> Clauses(int offset, int n) const {
    std::vector<const GoldenCase::Clause*> all = {&first_.clauses[0], &second_.clauses[0],
                                                  &first_.clauses[1]};
    std::vector<const GoldenCase::Clause*> chosen;
    for (int i = 0; i < n; ++i) chosen.push_back(all[(offset + i) % all.size()]);
    return chosen;
  }

  static Stream Open(Model* model, const SessionSpec& spec,
                     std::vector<const GoldenCase::Clause*> clauses) {
    auto session = model->Open(spec);
    EXPECT_TRUE(session.ok()) << session.status();
    return {*std::move(session), std::move(clauses), false, {}};
  }

  static void PushNext(Stream* stream) {
    if (!stream->clauses.empty()) {
      ASSERT_TRUE(stream->session->Push(PreparedOf(*stream->clauses.front())).ok());
      stream->clauses.erase(stream->clauses.begin());
    } else if (!stream->ended) {
      ASSERT_TRUE(stream->session->Push(EndOfInput{}).ok());
      stream->ended = true;
    }
  }

  static void PushAll(Stream* stream) {
    while (!stream->ended) PushNext(stream);
  }

  static void Collect(Stream* stream) {
    Output output = stream->session->Take();
    if (output.samples.empty()) return;
    EXPECT_EQ(output.start_sample, static_cast<int64_t>(stream->samples.size()));
    stream->samples.insert(stream->samples.end(), output.samples.begin(), output.samples.end());
  }

  // Steps that were submitted, as many as the model allows.
  struct UnderWay {
    // Waits for the oldest, which must have succeeded for all its sessions.
    void Wait(Model* model) {
      StepReport report;
      const auto [ticket, size] = steps.front();
      steps.pop_front();
      const absl::Status status = model->Wait(ticket, &report);
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_EQ(report.session_status, std::vector<absl::Status>(size, absl::OkStatus()));
    }
    std::deque<std::pair<Ticket, size_t>> steps;  // with the sessions in each
  };

  // Drives all streams to their end with random stages, batches, chunk sizes and late input.
  static void RunRandomly(Model* model, std::vector<Stream>* streams, uint32_t seed) {
    std::mt19937 random(seed);
    UnderWay under_way;
    auto all_done = [&] {
      return std::all_of(streams->begin(), streams->end(),
                         [](const Stream& s) { return s.session->work().done; });
    };
    while (!all_done() || !under_way.steps.empty()) {
      for (Stream& stream : *streams) {
        Collect(&stream);
        if (random() % 20 == 0 || !stream.session->work().any()) PushNext(&stream);
      }
      const Stage stage = std::array{Stage::kPrefill, Stage::kGenerate, Stage::kGenerate,
                                     Stage::kDecode}[random() % 4];
      std::vector<Session*> batch;
      for (Stream& stream : *streams) {
        if (CanRun(stream.session->work(), stage) && random() % 3 != 0)
          batch.push_back(stream.session.get());
      }
      std::shuffle(batch.begin(), batch.end(), random);
      const auto most = static_cast<size_t>(model->info().steps_under_way);
      if (batch.empty() ? !under_way.steps.empty() : under_way.steps.size() == most) {
        under_way.Wait(model);
      }
      if (batch.empty()) continue;
      const int frames = std::array{1, 4, 8, 16}[random() % 4];
      under_way.steps.emplace_back(model->Submit(stage, batch, frames), batch.size());
    }
  }

  std::vector<float> Alone(const SessionSpec& spec, std::vector<const GoldenCase::Clause*> clauses,
                           int decode_frames = 1) {
    auto model = NewModel();
    Stream stream = Open(model.get(), spec, std::move(clauses));
    PushAll(&stream);
    return Finish(model.get(), stream.session.get(), decode_frames);
  }

  static void ExpectSameBytes(const std::vector<float>& a, const std::vector<float>& b) {
    ASSERT_EQ(a.size(), b.size());
    EXPECT_EQ(0, std::memcmp(a.data(), b.data(), sizeof(float) * a.size()));
  }

  GoldenCase first_, second_;
};

TEST_P(InvarianceTest, ChunkSizeDoesNotChangeTheSamples) {
  auto expected = Alone(first_.spec(), Clauses(0, 3));
  for (int frames : {4, 16}) ExpectSameBytes(Alone(first_.spec(), Clauses(0, 3), frames), expected);
}

TEST_P(InvarianceTest, NeighboursDoNotChangeTheSamples) {
  std::vector<SessionSpec> specs;
  std::vector<std::vector<float>> expected;
  auto model = NewModel();
  std::vector<Stream> streams;
  for (int i = 0; i < 5; ++i) {
    specs.push_back({.voice = "", .seed = 11u * i + 1, .speaking_rate = 0.8 + 0.15 * i});
    expected.push_back(Alone(specs[i], Clauses(i, 1 + i % 2)));
    streams.push_back(Open(model.get(), specs[i], Clauses(i, 1 + i % 2)));
  }
  RunRandomly(model.get(), &streams, 1);
  for (int i = 0; i < 5; ++i) ExpectSameBytes(streams[i].samples, expected[i]);
}

TEST_P(InvarianceTest, AReusedSlotRemembersNothing) {
  auto expected = Alone(second_.spec(), Clauses(1, 2));
  auto model = NewModel({.slots = 1, .max_batch = 1});
  for (int round = 0; round < 2; ++round) {
    Stream before = Open(model.get(), first_.spec(), Clauses(round, 1));
    PushAll(&before);
    Finish(model.get(), before.session.get());
    before.session.reset();
    Stream stream = Open(model.get(), second_.spec(), Clauses(1, 2));
    PushAll(&stream);
    ExpectSameBytes(Finish(model.get(), stream.session.get()), expected);
  }
}

TEST_P(InvarianceTest, SeedAndRateChangeTheSamples) {
  auto base = Alone({.voice = "", .seed = 1}, Clauses(0, 1));
  auto seed = Alone({.voice = "", .seed = 2}, Clauses(0, 1));
  auto fast = Alone({.voice = "", .seed = 1, .speaking_rate = 1.4}, Clauses(0, 1));
  ASSERT_EQ(base.size(), seed.size());
  EXPECT_NE(base, seed);
  EXPECT_LT(fast.size(), base.size() * 0.85);
}

INSTANTIATE_TEST_SUITE_P(On, InvarianceTest, AllEngines(), NameOfEngine);

}  // namespace
}  // namespace firstbyte::aligned_mel
