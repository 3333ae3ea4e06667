// A server whose models can be held up and made to fail while they load.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/rpc/world_fixture.h"

namespace firstbyte {

// Places in the ledger: the lazy ones come after those that are resident.
enum { kResident = 0, kVoice = 1, kWorld = 2 };

// Loads that can be held up and made to fail.
class Loads {
 public:
  explicit Loads(std::function<std::unique_ptr<Model>()> make) : make_(std::move(make)) {}

  LazyModel Listed() {
    ModelInfo info = make_()->info();
    info.version = "";
    return {info, Source()};
  }
  ModelSource Source() {
    return {.open = [this] { return Load(); }, .architecture = "scripted", .weight_bytes = 1234};
  }
  void Hold() { held_ = true; }
  void LetGo() { held_ = false; }
  std::atomic<bool> fails = false;
  std::atomic<int> begun = 0;

 private:
  absl::StatusOr<std::vector<std::unique_ptr<Model>>> Load() {
    ++begun;
    while (held_) std::this_thread::yield();
    if (fails) return absl::InvalidArgumentError("/a/private/path: damaged");
    std::vector<std::unique_ptr<Model>> copies;
    copies.push_back(make_());
    return copies;
  }

  const std::function<std::unique_ptr<Model>()> make_;
  std::atomic<bool> held_ = false;
};

struct Spoken {
  grpc::Status status;
  v1::SynthesisStarted started;
  std::string audio;
  double model_load = 0;  // seconds, by Timing
};

// A server with the voice "scripted" resident at first, the voice "late" and "scripted-world" lazy.
class LazyModelTest : public WorldTest {
 protected:
  void TearDown() override {
    voice_.LetGo();
    world_.LetGo();
  }

  void Start(HostOptions options = {}) {
    options.metrics_listen = "127.0.0.1:0";
    auto host = Host::Listen(std::move(options));
    ASSERT_TRUE(host.ok()) << host.status();
    server_.host = *std::move(host);
    std::vector<std::vector<std::unique_ptr<Model>>> lanes(1);
    lanes[0].push_back(MakeScriptedModel());
    std::vector<LazyModel> lazy;
    lazy.push_back(voice_.Listed());
    lazy.push_back(world_.Listed());
    absl::Status status =
        server_.host->Serve(std::move(lanes), std::move(lazy), {resident_.Source()});
    ASSERT_TRUE(status.ok()) << status;
    Connect(&server_);
  }

  Spoken Speak(const std::string& model, absl::Duration deadline = absl::InfiniteDuration()) {
    Spoken spoken;
    grpc::ClientContext context;
    if (deadline != absl::InfiniteDuration()) {
      context.set_deadline(absl::ToChronoTime(absl::Now() + deadline));
    }
    auto stream = server_.speech->Synthesize(&context);
    stream->Write(Request("config { model: '" + model + "' sampling { seed: 1 } }"));
    stream->Write(Text("Hello there. And more."));
    stream->WritesDone();
    for (v1::SynthesizeResponse response; stream->Read(&response);) {
      if (response.has_started()) spoken.started = response.started();
      spoken.audio += response.audio().data();
      const auto& load = response.summary().timing().model_load_duration();
      spoken.model_load += static_cast<double>(load.seconds()) + 1e-9 * load.nanos();
    }
    spoken.status = stream->Finish();
    return spoken;
  }
  std::future<Spoken> SpeakMeanwhile(absl::Duration deadline = absl::InfiniteDuration()) {
    return std::async(std::launch::async, [this, deadline] { return Speak("late", deadline); });
  }

  int Seats(int model) { return server_.host->engine().admission().usage(model).used; }
  void WaitForSeats(int model, int count) {
    while (Seats(model) != count) std::this_thread::yield();
  }
  double LoadSum(const std::string& method, const std::string& model) {
    return *Value(MetricsPage(*server_.host), "firstbyte_request_model_load_seconds_sum{method=\"" +
                                                  method + "\",model=\"" + model + "\"}");
  }

  // Copies of "late" that exist.
  int64_t Living() const { return life_.use_count() - 1; }

  // Before the server, which loads until it is gone.
  const std::shared_ptr<int> life_ = std::make_shared<int>();
  Loads voice_{[this] {
    return MakeScriptedModel({.name = "late",
                              .slots = 4,
                              .samples_per_frame = frame_,
                              .on_step = [life = life_](Stage, int) { return absl::OkStatus(); }});
  }};
  Loads world_{[] { return MakeScriptedWorld(); }};
  Loads resident_{[] { return MakeScriptedModel(); }};  // again
  std::atomic<int> frame_ = 640;
  Server server_;
};

}  // namespace firstbyte
