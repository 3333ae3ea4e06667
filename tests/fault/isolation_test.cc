// One session's misfortune, and what the others feel of it: nothing.
#include <atomic>
#include <thread>

#include "tests/fault/step_gate.h"
#include "tests/rpc/fixture.h"

namespace firstbyte {
namespace {

using grpc::StatusCode;

class IsolationTest : public RpcTest {
 protected:
  // Neighbours that speak while `misfortune` happens; each gets exactly what it gets alone.
  void ExpectNeighboursUnharmed(const std::function<void()>& misfortune) {
    std::vector<std::thread> neighbours;
    for (int seed = 1; seed <= 4; ++seed) {
      neighbours.emplace_back([this, seed] {
        for (int i = 0; i < 5; ++i) {
          Heard heard =
              Synthesize({Request("config { sampling { seed: " + std::to_string(seed) + " } }"),
                          Text("The neighbour speaks on and on.")});
          EXPECT_TRUE(heard.status.ok()) << heard.status.error_message();
          EXPECT_TRUE(heard.audio() == Pcm("Theneighbourspeaksonandon", seed));
        }
      });
    }
    misfortune();
    for (std::thread& neighbour : neighbours) neighbour.join();
    ExpectUnharmed();
  }

  // What models use; the server is gone before these are.
  FakeClock clock_;
  std::atomic<bool> fail_ = false;  // not while the server warms up
  std::atomic<int> steps_ = 0;
};

TEST_F(IsolationTest, ASessionThatFails) {
  Start({.poison_letter = '7'});
  ExpectNeighboursUnharmed([this] {
    for (int i = 0; i < 5; ++i) {
      Heard heard = Synthesize({Request("config {}"), Text("Agent 7.")});
      EXPECT_EQ(heard.status.error_code(), StatusCode::INTERNAL);
      EXPECT_EQ(ErrorInfoOf(heard.status).reason(), "SCRIPTED_FAILURE");
    }
  });
}

TEST_F(IsolationTest, AStepThatFindsNoMemory) {
  Start({.on_step = [this](Stage, int batch) {
    return fail_ && batch > 1 && ++steps_ % 7 == 0
               ? absl::ResourceExhaustedError("no memory for the batch")
               : absl::OkStatus();
  }});
  fail_ = true;
  ExpectNeighboursUnharmed([] {});
}

TEST_F(IsolationTest, AStepThatFindsNoMemoryEvenForOneEndsThatOne) {
  Start({.on_step = [this](Stage, int) {
    return fail_.exchange(false) ? absl::ResourceExhaustedError("no memory") : absl::OkStatus();
  }});
  fail_ = true;
  Heard heard = Synthesize({Request("config {}"), Text("Hello.")});
  EXPECT_EQ(heard.status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ErrorInfoOf(heard.status).reason(), "NO_MEMORY");
  ExpectUnharmed();
}

// The scripted model, of whose sessions some find no memory.
class Scarce : public Model {
 public:
  explicit Scarce(std::atomic<bool>* fail) : fail_(fail), model_(MakeScriptedModel()) {}

  const ModelInfo& info() const override { return model_->info(); }
  absl::StatusOr<std::unique_ptr<Prepared>> Prepare(const RawInput& input) const override {
    return model_->Prepare(input);
  }
  absl::StatusOr<std::unique_ptr<Session>> Open(const SessionSpec& spec) override {
    if (fail_->exchange(false)) return absl::ResourceExhaustedError("no memory for a session");
    return model_->Open(spec);
  }
  Ticket Submit(Stage stage, absl::Span<Session* const> batch, int frames) override {
    return model_->Submit(stage, batch, frames);
  }
  absl::Status Wait(Ticket ticket, StepReport* report) override {
    return model_->Wait(ticket, report);
  }

 private:
  std::atomic<bool>* const fail_;
  const std::unique_ptr<Model> model_;
};

TEST_F(IsolationTest, ASessionThatFindsNoMemory) {
  Start({}, {}, /*serve=*/false);
  std::vector<std::vector<std::unique_ptr<Model>>> lanes(1);
  lanes[0].push_back(std::make_unique<Scarce>(&fail_));
  ASSERT_TRUE(host_->Serve(std::move(lanes)).ok());
  fail_ = true;
  Heard heard = Synthesize({Request("config {}"), Text("Hello.")});
  EXPECT_EQ(heard.status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  ExpectNeighboursUnharmed([] {});
}

TEST_F(IsolationTest, AStepThatTakesLongAndAClockThatJumps) {
  HostOptions options;
  options.lane.clock = &clock_;
  options.lane.idle_timeout = absl::InfiniteDuration();
  options.admission = {.max_load = 0, .max_ttfb = absl::ZeroDuration()};
  Start({.on_step =
             [this](Stage, int) {
               if (++steps_ % 50 == 0) clock_.Advance(absl::Hours(1));
               return absl::OkStatus();
             }},
        std::move(options));
  ExpectNeighboursUnharmed([] {});
}

}  // namespace
}  // namespace firstbyte
