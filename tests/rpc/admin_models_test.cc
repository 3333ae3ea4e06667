// LoadModel and UnloadModel, beside streams.
#include <future>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "firstbyte/v1/admin.grpc.pb.h"
#include "gmock/gmock.h"
#include "tests/rpc/lazy_fixture.h"

namespace firstbyte {
namespace {

using grpc::StatusCode;

class AdminModelsTest : public LazyModelTest {
 protected:
  void SetUp() override {
    Start({.admin_listen = "127.0.0.1:0"});
    admin_ = AdminOf(*server_.host);
  }

  static std::unique_ptr<v1::AdminService::Stub> AdminOf(const Host& host) {
    const std::string target = absl::StrCat("127.0.0.1:", host.admin_port());
    return v1::AdminService::NewStub(
        grpc::CreateChannel(target, grpc::InsecureChannelCredentials()));
  }

  // One call, from another thread if need be.
  struct Asked {
    grpc::ClientContext context;
    v1::LoadModelResponse loaded;
    grpc::Status status;
  };
  std::future<std::unique_ptr<Asked>> LoadMeanwhile(const std::string& name) {
    return std::async(std::launch::async, [this, name] { return Load(name); });
  }
  std::unique_ptr<Asked> Load(const std::string& name) {
    auto asked = std::make_unique<Asked>();
    v1::LoadModelRequest request;
    request.set_name(name);
    asked->status = admin_->LoadModel(&asked->context, request, &asked->loaded);
    return asked;
  }
  grpc::Status Unload(const std::string& name, std::optional<int64_t> seconds = {},
                      grpc::ClientContext* context = nullptr) {
    grpc::ClientContext own;
    v1::UnloadModelRequest request;
    request.set_name(name);
    if (seconds) request.mutable_drain_duration()->set_seconds(*seconds);
    v1::UnloadModelResponse response;
    return admin_->UnloadModel(context != nullptr ? context : &own, request, &response);
  }
  std::future<grpc::Status> UnloadMeanwhile(const std::string& name,
                                            std::optional<int64_t> seconds = {},
                                            grpc::ClientContext* context = nullptr) {
    return std::async(std::launch::async, [=, this] { return Unload(name, seconds, context); });
  }

  v1::Model Listed(const std::string& name) {
    grpc::ClientContext context;
    v1::ListModelsResponse models;
    EXPECT_TRUE(admin_->ListModels(&context, {}, &models).ok());
    for (const v1::Model& model : models.models()) {
      if (model.name() == name) return model;
    }
    ADD_FAILURE() << name;
    return {};
  }
  void WaitFor(const std::string& name, v1::ModelState state) {
    while (Listed(name).state() != state) std::this_thread::yield();
  }
  std::optional<double> Resident(const std::string& name) {
    return Value(MetricsPage(*server_.host),
                 absl::StrCat("firstbyte_model_resident{model=\"", name, "\"}"));
  }

  // A voice that has been told that it started, and says nothing.
  struct Talk {
    explicit Talk(v1::SpeechService::Stub* stub) : stream(stub->Synthesize(&context)) {
      stream->Write(Request("config { model: 'late' }"));
      EXPECT_TRUE(stream->Read(&response)) << "started";
    }
    grpc::Status Finish() {
      stream->Write(Text("That is all."));
      stream->WritesDone();
      while (stream->Read(&response)) {
      }
      return stream->Finish();
    }
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<v1::SynthesizeRequest, v1::SynthesizeResponse>> stream;
    v1::SynthesizeResponse response;
  };

  std::unique_ptr<v1::AdminService::Stub> admin_;
};

void ExpectError(const grpc::Status& status, StatusCode code, const std::string& reason) {
  EXPECT_EQ(status.error_code(), code) << status.error_message();
  EXPECT_EQ(ErrorInfoOf(status).reason(), reason);
}

TEST_F(AdminModelsTest, AModelIsLoadedBeforeAnybodyNeedsIt) {
  v1::Model model = Listed("late");
  EXPECT_EQ(model.state(), v1::MODEL_STATE_UNLOADED);
  EXPECT_EQ(model.architecture(), "scripted");
  EXPECT_EQ(model.weight_bytes(), 1234);
  EXPECT_EQ(model.digest(), "");
  const auto loaded = Load("late");
  ASSERT_TRUE(loaded->status.ok()) << loaded->status.error_message();
  model = loaded->loaded.model();
  EXPECT_EQ(model.name(), "late");
  EXPECT_EQ(model.state(), v1::MODEL_STATE_LOADED);
  EXPECT_NE(model.digest(), "");
  EXPECT_EQ(model.SerializeAsString(), Listed("late").SerializeAsString());
  EXPECT_EQ(Resident("late"), 1);
  EXPECT_EQ(Speak("late").model_load, 0);
  EXPECT_TRUE(Load("late")->status.ok()) << "again";
  EXPECT_TRUE(Load("scripted")->status.ok()) << "resident from the start";
  EXPECT_EQ(voice_.begun + resident_.begun, 1);
}

TEST_F(AdminModelsTest, ALoadAnswersWhenTheModelServesAndOneWhoGivesUpDoesNotStopIt) {
  voice_.Hold();
  auto first = LoadMeanwhile("late");
  WaitFor("late", v1::MODEL_STATE_LOADING);
  Asked hasty;
  hasty.context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Milliseconds(50)));
  v1::LoadModelRequest request;
  request.set_name("late");
  EXPECT_EQ(admin_->LoadModel(&hasty.context, request, &hasty.loaded).error_code(),
            StatusCode::DEADLINE_EXCEEDED);
  ExpectError(Unload("late"), StatusCode::FAILED_PRECONDITION, "MODEL_LOADING");
  EXPECT_EQ(first.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  voice_.LetGo();
  EXPECT_TRUE(first.get()->status.ok());
  EXPECT_EQ(Listed("late").state(), v1::MODEL_STATE_LOADED);
  EXPECT_EQ(voice_.begun, 1);
}

TEST_F(AdminModelsTest, ALoadThatFailsSaysSoAndTheListSaysWhy) {
  voice_.fails = true;
  ExpectError(Load("late")->status, StatusCode::UNAVAILABLE, "MODEL_LOAD_FAILED");
  EXPECT_EQ(Listed("late").state(), v1::MODEL_STATE_FAILED);
  EXPECT_THAT(Listed("late").message(), testing::HasSubstr("damaged"));
  voice_.fails = false;
  EXPECT_TRUE(Load("late")->status.ok());
  EXPECT_EQ(Listed("late").message(), "");
}

TEST_F(AdminModelsTest, WhatItDoesNotKnowIsNotFound) {
  for (const grpc::Status& status : {Load("nobody")->status, Unload("nobody"), Load("")->status}) {
    ExpectError(status, StatusCode::NOT_FOUND, "MODEL_NOT_FOUND");
    EXPECT_EQ(ErrorInfoOf(status).metadata().at("field"), "name");
  }
  for (int64_t seconds : {-1, 3601}) {
    const grpc::Status status = Unload("late", seconds);
    ExpectError(status, StatusCode::INVALID_ARGUMENT, "OUT_OF_RANGE");
    EXPECT_EQ(ErrorInfoOf(status).metadata().at("field"), "drain_duration");
  }
}

TEST_F(AdminModelsTest, AnUnloadedModelIsGoneUntilSomebodyNeedsIt) {
  EXPECT_TRUE(Unload("late").ok()) << "it was never there";
  const Spoken before = Speak("late");
  EXPECT_EQ(Living(), 1);
  EXPECT_TRUE(Unload("late").ok());
  EXPECT_EQ(Living(), 0);
  EXPECT_EQ(Listed("late").state(), v1::MODEL_STATE_UNLOADED);
  EXPECT_EQ(Resident("late"), 0);
  EXPECT_TRUE(Unload("late").ok()) << "again";
  const Spoken after = Speak("late");
  EXPECT_TRUE(after.status.ok()) << after.status.error_message();
  EXPECT_GT(after.model_load, 0);
  EXPECT_EQ(after.audio, before.audio);
  EXPECT_EQ(Resident("late"), 1);
}

TEST_F(AdminModelsTest, OneThatWasResidentFromTheStartIsLoadedAgain) {
  EXPECT_TRUE(Unload("scripted").ok());
  EXPECT_EQ(Listed("scripted").state(), v1::MODEL_STATE_UNLOADED);
  const Spoken spoken = Speak("");
  EXPECT_TRUE(spoken.status.ok()) << spoken.status.error_message();
  EXPECT_EQ(spoken.started.model(), "scripted") << "still the default";
  EXPECT_GT(spoken.model_load, 0);
}

TEST_F(AdminModelsTest, AnUnloadLetsStreamsFinishAndRefusesNewOnes) {
  Talk talk(server_.speech.get());
  auto unloading = UnloadMeanwhile("late");
  WaitFor("late", v1::MODEL_STATE_UNLOADING);
  ExpectError(Speak("late").status, StatusCode::UNAVAILABLE, "MODEL_UNLOADING");
  const std::string rejected =
      R"(firstbyte_requests_rejected_total{method="Synthesize",reason="MODEL_UNLOADING"})";
  EXPECT_EQ(Value(MetricsPage(*server_.host), rejected), 1);
  ExpectError(Unload("late"), StatusCode::FAILED_PRECONDITION, "MODEL_UNLOADING");
  EXPECT_TRUE(Speak("scripted").status.ok());
  EXPECT_EQ(unloading.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  EXPECT_TRUE(talk.Finish().ok());
  EXPECT_TRUE(unloading.get().ok());
  EXPECT_EQ(Living(), 0);
  EXPECT_TRUE(Speak("late").status.ok());
}

TEST_F(AdminModelsTest, AnUnloadThatIsInAHurryEndsVoicesAndParksWorlds) {
  Talk talk(server_.speech.get());
  ASSERT_TRUE(Unload("late", 0).ok());
  ExpectError(talk.Finish(), StatusCode::UNAVAILABLE, "MODEL_UNLOADED");
  EXPECT_EQ(Living(), 0);

  Player player(server_.stub.get());
  player.Send(OpenNew(1));
  player.Play({"W"});
  ASSERT_TRUE(Unload("scripted-world", 0).ok());
  ExpectError(player.Finish(), StatusCode::UNAVAILABLE, "MODEL_UNLOADED");
  EXPECT_TRUE(server_.host->worlds().WaitUntilParked(absl::Seconds(30)));
  EXPECT_EQ(Seats(kWorld), 0);
  EXPECT_EQ(Listed("scripted-world").state(), v1::MODEL_STATE_UNLOADED);
  Player again(server_.stub.get());
  again.Send(Resume(player.opened(), 0));
  again.Play({"A"}, 2);
  ExpectBlocks(again, 1, {Frames(1, {"W", "A"}).at(1)});
  EXPECT_EQ(world_.begun, 2);
}

TEST_F(AdminModelsTest, WhoGivesUpAnUnloadKeepsTheModel) {
  Talk talk(server_.speech.get());
  grpc::ClientContext context;
  auto unloading = UnloadMeanwhile("late", 3600, &context);
  WaitFor("late", v1::MODEL_STATE_UNLOADING);
  context.TryCancel();
  EXPECT_EQ(unloading.get().error_code(), StatusCode::CANCELLED);
  WaitFor("late", v1::MODEL_STATE_LOADED);
  EXPECT_EQ(Speak("late").model_load, 0);
  EXPECT_TRUE(talk.Finish().ok());
}

TEST_F(AdminModelsTest, ALoadKeepsAModelThatIsBeingUnloaded) {
  Talk talk(server_.speech.get());
  auto unloading = UnloadMeanwhile("late");
  WaitFor("late", v1::MODEL_STATE_UNLOADING);
  EXPECT_EQ(Load("late")->loaded.model().state(), v1::MODEL_STATE_LOADED);
  ExpectError(unloading.get(), StatusCode::ABORTED, "MODEL_KEPT");
  EXPECT_TRUE(talk.Finish().ok());
  EXPECT_EQ(voice_.begun, 1);
}

TEST_F(AdminModelsTest, NeitherHoldsUpTheEndOfTheServer) {
  Player player(server_.stub.get());
  player.Send(OpenNew(1));
  player.Play({"W"});
  voice_.Hold();
  auto loading = LoadMeanwhile("late");
  WaitFor("late", v1::MODEL_STATE_LOADING);
  auto unloading = UnloadMeanwhile("scripted-world", 3600);
  WaitFor("scripted-world", v1::MODEL_STATE_UNLOADING);
  // With time for the player to be told: without any, gRPC may cut the stream off before.
  std::thread end([this] {
    server_.host->Drain(absl::ZeroDuration(), absl::Seconds(4));
    server_.host.reset();
  });
  EXPECT_FALSE(loading.get()->status.ok());
  EXPECT_FALSE(unloading.get().ok());
  voice_.LetGo();  // an engine waits for the load that is under way
  end.join();
  player.Finish();
  EXPECT_EQ(player.last().summary().end_reason(), v1::WORLD_END_REASON_DRAINED);
}

TEST_F(AdminModelsTest, WhatCouldNotComeBackStays) {
  Server other = WorldTest::Start({}, {.admin_listen = "127.0.0.1:0"});
  admin_ = AdminOf(*other.host);
  ExpectError(Unload("scripted"), StatusCode::FAILED_PRECONDITION, "MODEL_STAYS");
  EXPECT_EQ(Listed("scripted").state(), v1::MODEL_STATE_LOADED);
}

}  // namespace
}  // namespace firstbyte
