// AdminService on its port, beside a server that serves.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "firstbyte/v1/admin.grpc.pb.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "server/scheduler/replay.h"
#include "tests/rpc/fixture.h"

namespace firstbyte {
namespace {

using grpc::StatusCode;
using testing::ElementsAre;
using testing::HasSubstr;

class AdminTest : public RpcTest {
 protected:
  void StartWithAdmin(HostOptions options = {}, bool serve = true, ScriptedOptions model = {}) {
    options.admin_listen = "127.0.0.1:0";
    options.build = {.version = "1.2.3", .isa = "test"};
    Start(std::move(model), std::move(options), serve);
    const std::string target = absl::StrCat("127.0.0.1:", host_->admin_port());
    admin_ =
        v1::AdminService::NewStub(grpc::CreateChannel(target, grpc::InsecureChannelCredentials()));
  }

  v1::GetServerInfoResponse Info() {
    grpc::ClientContext context;
    v1::GetServerInfoResponse info;
    EXPECT_TRUE(admin_->GetServerInfo(&context, {}, &info).ok());
    return info;
  }
  v1::GetStatsResponse Stats() {
    grpc::ClientContext context;
    v1::GetStatsResponse stats;
    EXPECT_TRUE(admin_->GetStats(&context, {}, &stats).ok());
    return stats;
  }
  grpc::Status Drain(const v1::DrainRequest& request, v1::DrainResponse* response) {
    grpc::ClientContext context;
    return admin_->Drain(&context, request, response);
  }
  grpc::Status SetLevel(v1::LogLevel level, v1::SetLogLevelResponse* response) {
    grpc::ClientContext context;
    v1::SetLogLevelRequest request;
    request.set_level(level);
    return admin_->SetLogLevel(&context, request, response);
  }

  std::unique_ptr<v1::AdminService::Stub> admin_;
};

TEST_F(AdminTest, SaysWhatServesAndInWhichState) {
  StartWithAdmin({}, /*serve=*/false);
  EXPECT_EQ(Info().state(), v1::SERVER_STATE_STARTING);
  EXPECT_EQ(Info().lanes_size(), 0);
  Serve();
  const v1::GetServerInfoResponse info = Info();
  EXPECT_EQ(info.state(), v1::SERVER_STATE_SERVING);
  EXPECT_EQ(info.version(), "1.2.3");
  EXPECT_THAT(info.lanes(), ElementsAre("cpu test"));
  EXPECT_GT(info.start_time().seconds(), 1'600'000'000);
  host_->Drain(absl::ZeroDuration(), absl::Seconds(10));
  EXPECT_EQ(Info().state(), v1::SERVER_STATE_DRAINING) << "the port outlives the drain";
}

TEST_F(AdminTest, WhatNeedsModelsIsRefusedWhileTheyLoad) {
  StartWithAdmin({}, /*serve=*/false);
  grpc::ClientContext stats_context, models_context, load_context, unload_context;
  v1::GetStatsResponse stats;
  v1::ListModelsResponse models;
  v1::LoadModelResponse loaded;
  v1::UnloadModelResponse unloaded;
  for (const grpc::Status& status : {admin_->GetStats(&stats_context, {}, &stats),
                                     admin_->ListModels(&models_context, {}, &models),
                                     admin_->LoadModel(&load_context, {}, &loaded),
                                     admin_->UnloadModel(&unload_context, {}, &unloaded)}) {
    EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
    EXPECT_EQ(ErrorInfoOf(status).reason(), "STARTING");
  }
}

TEST_F(AdminTest, ListsTheModels) {
  StartWithAdmin();
  grpc::ClientContext context;
  v1::ListModelsResponse models;
  ASSERT_TRUE(admin_->ListModels(&context, {}, &models).ok());
  ASSERT_EQ(models.models_size(), 1);
  EXPECT_EQ(models.models(0).name(), "scripted");
  EXPECT_EQ(models.models(0).state(), v1::MODEL_STATE_LOADED);
}

TEST_F(AdminTest, StatsShowAStreamFromItsBeginningToItsEnd) {
  StartWithAdmin();
  grpc::ClientContext context;
  auto stream = stub_->Synthesize(&context);
  v1::SynthesizeResponse response;
  stream->Write(Request(R"(config { request_id: "watched" })"));
  ASSERT_TRUE(stream->Read(&response));  // started
  v1::GetStatsResponse stats = Stats();
  ASSERT_EQ(stats.streams_size(), 1);
  EXPECT_EQ(stats.streams(0).request_id(), "watched");
  EXPECT_EQ(stats.streams(0).method(), "Synthesize");
  EXPECT_EQ(stats.streams(0).model(), "scripted");
  EXPECT_EQ(stats.streams(0).lane(), 0);
  EXPECT_EQ(stats.streams(0).state(), v1::STREAM_STATE_WAITING);
  ASSERT_EQ(stats.lanes_size(), 1);
  EXPECT_EQ(stats.lanes(0).session_count(), 1);
  EXPECT_EQ(stats.lanes(0).slots_used(), 1);
  EXPECT_EQ(stats.lanes(0).slots_total(), 64);
  EXPECT_EQ(stats.lanes(0).models(0).model(), "scripted");

  stream->Write(Text(std::string(400, 'a') + ". "));  // 16 s, of which 4 are made
  stream->Write(Text("b"));
  while (Stats().streams(0).state() != v1::STREAM_STATE_PAUSED) {
    ASSERT_TRUE(stream->Read(&response));
  }
  stats = Stats();
  EXPECT_GE(stats.streams(0).lead_duration().seconds(), 2);
  EXPECT_GE(stats.streams(0).audio_duration().seconds(), 3);
  std::vector<std::string> stages;
  for (const v1::StageStats& stage : stats.lanes(0).stages()) {
    stages.push_back(stage.stage());
    EXPECT_GT(stage.step_rate(), 0) << stage.stage();
    EXPECT_GE(stage.mean_batch_size(), 1) << stage.stage();
    EXPECT_GE(stage.max_step_duration().nanos(), stage.mean_step_duration().nanos());
  }
  EXPECT_THAT(stages, ElementsAre("prefill", "generate", "decode"));
  EXPECT_TRUE(stats.lanes(0).has_idle_duration());
  context.TryCancel();
  stream->Finish();
  host_->live_calls().WaitUntilNone();
  EXPECT_EQ(Stats().streams_size(), 0);
  admin_.reset();  // its connection came after the descriptors were counted
  ExpectUnharmed();
}

TEST_F(AdminTest, DrainTellsTheOwnerOnce) {
  int asked = 0;
  StartWithAdmin({.on_drain_asked = [&asked] { ++asked; }});
  grpc::ClientContext context;
  auto stream = stub_->Synthesize(&context);
  stream->Write(Request("config {}"));
  v1::SynthesizeResponse response;
  ASSERT_TRUE(stream->Read(&response));
  v1::DrainRequest request;
  v1::DrainResponse drain;
  for (int64_t seconds : {-1, 3601}) {
    request.mutable_drain_duration()->set_seconds(seconds);
    const grpc::Status status = Drain(request, &drain);
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(ErrorInfoOf(status).reason(), "OUT_OF_RANGE");
    EXPECT_EQ(ErrorInfoOf(status).metadata().at("field"), "drain_duration");
  }
  EXPECT_EQ(asked, 0);
  request.mutable_drain_duration()->set_seconds(0);
  ASSERT_TRUE(Drain(request, &drain).ok());
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(drain.session_count(), 1);
  const grpc::Status again = Drain({}, &drain);
  EXPECT_EQ(again.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ErrorInfoOf(again).reason(), "ALREADY_DRAINING");
  EXPECT_EQ(asked, 1);
  host_->Drain(absl::ZeroDuration(), absl::Hours(1));  // what was asked for wins: at once
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::UNAVAILABLE);
}

TEST_F(AdminTest, AHostThatNobodyCanEndSaysSo) {
  StartWithAdmin();
  v1::DrainResponse drain;
  const grpc::Status status = Drain({}, &drain);
  EXPECT_EQ(status.error_code(), StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "NOT_SUPPORTED");
}

TEST_F(AdminTest, LogLevelChangesAndSaysWhatItWas) {
  StartWithAdmin();
  v1::SetLogLevelResponse response;
  EXPECT_TRUE(SetLevel(v1::LOG_LEVEL_WARNING, &response).ok());
  EXPECT_EQ(response.previous_level(), v1::LOG_LEVEL_ERROR);  // the fixture's
  EXPECT_TRUE(SetLevel(v1::LOG_LEVEL_ERROR, &response).ok());
  EXPECT_EQ(response.previous_level(), v1::LOG_LEVEL_WARNING);
  for (int level : {0, 9, -1}) {
    const grpc::Status status = SetLevel(static_cast<v1::LogLevel>(level), &response);
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT) << level;
    EXPECT_EQ(ErrorInfoOf(status).metadata().at("field"), "level");
  }
  EXPECT_EQ(SetLogLevel("error"), "error");
}

// The whole file, or why there is none.
template <typename Response>
grpc::Status ReadAll(std::unique_ptr<grpc::ClientReader<Response>> reader, std::string* file) {
  for (Response response; reader->Read(&response);) {
    EXPECT_LE(response.data().size(), 1u << 20);
    *file += response.data();
  }
  return reader->Finish();
}

TEST_F(AdminTest, ATraceShowsStepsThatNestAndWrites) {
  StartWithAdmin();
  grpc::ClientContext context;
  v1::CaptureTraceRequest request;
  request.mutable_capture_duration()->set_seconds(1);
  auto reader = admin_->CaptureTrace(&context, request);
  // Speaks until the capture is over: whenever it began, there is something to see.
  std::string file;
  grpc::Status status;
  std::atomic<bool> over = false;
  std::thread reading([&] {
    status = ReadAll(std::move(reader), &file);
    over = true;
  });
  while (!over) Synthesize({Request("config {}"), Text("Something to see.")});
  reading.join();
  ASSERT_TRUE(status.ok()) << status.error_message();
  const nlohmann::json trace = nlohmann::json::parse(file);
  std::set<std::string> names, threads;
  std::map<int, std::vector<std::pair<double, double>>> spans;  // by thread
  for (const auto& event : trace["traceEvents"]) {
    if (event["name"] == "thread_name") threads.insert(event["args"]["name"]);
    names.insert(event["name"]);
    if (event["ph"] != "X") continue;
    const double begin = event["ts"];
    spans[event["tid"]].emplace_back(begin, begin + event["dur"].get<double>());
    if (event["name"] == "generate") {
      EXPECT_EQ(event["args"]["of"], "scripted");
      EXPECT_GE(event["args"]["batch"], 1);
    }
  }
  EXPECT_THAT(names, testing::IsSupersetOf({"round", "choose", "prefill", "generate", "decode",
                                            "publish", "wait", "front_end", "encode", "write"}));
  EXPECT_THAT(threads, testing::IsSupersetOf({"lane", "front_end"}));
  for (auto& [thread, all] : spans) {
    // Outer ones first; then each either lies within the one before it or begins after its end.
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first < b.first : a.second > b.second;
    });
    std::vector<double> ends;
    for (const auto& [begin, end] : all) {
      while (!ends.empty() && ends.back() <= begin) ends.pop_back();
      if (!ends.empty()) {
        EXPECT_LE(end, ends.back()) << thread;
      }
      ends.push_back(end);
    }
  }
}

TEST_F(AdminTest, OneTraceAtATimeAndACancelledOneEnds) {
  StartWithAdmin();
  v1::CaptureTraceRequest minute;
  minute.mutable_capture_duration()->set_seconds(60);
  std::optional<grpc::ClientContext> begun;
  std::future<grpc::Status> first;
  auto begin = [&] {
    begun.emplace();
    first = std::async(std::launch::async, [&] {
      std::string nothing;
      return ReadAll(admin_->CaptureTrace(&*begun, minute), &nothing);
    });
  };
  begin();
  grpc::Status second;
  do {  // until the first has arrived
    // It was refused itself, since a brief one was running.
    if (first.wait_for(std::chrono::seconds(0)) == std::future_status::ready) begin();
    grpc::ClientContext context;
    v1::CaptureTraceRequest brief;
    brief.mutable_capture_duration()->set_nanos(1'000'000);
    std::string file;
    second = ReadAll(admin_->CaptureTrace(&context, brief), &file);
  } while (second.ok());
  EXPECT_EQ(second.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ErrorInfoOf(second).reason(), "CAPTURE_RUNNING");
  begun->TryCancel();
  EXPECT_EQ(first.get().error_code(), StatusCode::CANCELLED);
  grpc::Status third;
  do {  // until the server has heard of the cancel
    grpc::ClientContext context;
    v1::CaptureTraceRequest brief;
    brief.mutable_capture_duration()->set_nanos(1'000'000);
    std::string file;
    third = ReadAll(admin_->CaptureTrace(&context, brief), &file);
  } while (third.error_code() == StatusCode::FAILED_PRECONDITION);
  EXPECT_TRUE(third.ok()) << third.error_message();
}

TEST_F(AdminTest, ATraceHasALength) {
  StartWithAdmin();
  for (int64_t nanos : {-1L, 0L, 61'000'000'000L}) {
    grpc::ClientContext context;
    v1::CaptureTraceRequest request;
    request.mutable_capture_duration()->set_seconds(nanos / 1'000'000'000);
    request.mutable_capture_duration()->set_nanos(nanos % 1'000'000'000);
    std::string file;
    const grpc::Status status = ReadAll(admin_->CaptureTrace(&context, request), &file);
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT) << nanos;
    EXPECT_EQ(ErrorInfoOf(status).metadata().at("field"), "capture_duration");
  }
}

TEST_F(AdminTest, ATraceThatRunsDoesNotHoldUpTheEnd) {
  StartWithAdmin();
  grpc::ClientContext context;
  v1::CaptureTraceRequest request;
  request.mutable_capture_duration()->set_seconds(60);
  auto reader = admin_->CaptureTrace(&context, request);
  EXPECT_EQ(Info().state(), v1::SERVER_STATE_SERVING);
  host_.reset();
  EXPECT_FALSE(reader->Finish().ok());
}

TEST_F(AdminTest, ADumpOfTheFlightRecorderReplaysToTheSameBytes) {
  StartWithAdmin({.flight = {.inputs = true}});
  Heard heard = Synthesize({Request("config { sampling { seed: 5 } }"), Text("Once more.")});
  ASSERT_TRUE(heard.status.ok());
  host_->live_calls().WaitUntilNone();
  grpc::ClientContext context;
  std::string file;
  ASSERT_TRUE(ReadAll(admin_->DumpFlight(&context, {}), &file).ok());
  auto logs = ParseFlightLogs(file);
  ASSERT_TRUE(logs.ok()) << logs.status();
  std::vector<std::unique_ptr<Model>> models;
  models.push_back(MakeScriptedModel());
  auto sessions = Replay(logs->at(0), models);
  ASSERT_TRUE(sessions.ok()) << sessions.status();
  ASSERT_EQ(sessions->size(), 2u);  // the fixture's and this one
  EXPECT_EQ(sessions->back().result, ReplayedSession::Result::kSame) << sessions->back().why;
  EXPECT_EQ(sessions->back().media_bytes, 8 * 640 * 4);  // "Oncemore" as samples
}

TEST_F(AdminTest, ADumpHoldsNothingThatWasSaidUnlessAskedFor) {
  StartWithAdmin();
  Synthesize({Request("config {}"), Text("Secret words.")});
  grpc::ClientContext context;
  std::string file;
  ASSERT_TRUE(ReadAll(admin_->DumpFlight(&context, {}), &file).ok());
  EXPECT_THAT(file, HasSubstr("generate"));
  EXPECT_THAT(file, testing::Not(HasSubstr("Secret")));
}

TEST_F(AdminTest, WithoutARecorderThereIsNoDump) {
  StartWithAdmin({.flight = {.max_bytes = 0}});
  grpc::ClientContext context;
  std::string file;
  const grpc::Status status = ReadAll(admin_->DumpFlight(&context, {}), &file);
  EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "NOT_RECORDING");
}

TEST_F(AdminTest, ALostDeviceLeavesItsFlightBehind) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "flights";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  std::atomic<int> letters = 0;
  StartWithAdmin({.flight_dir = folder.string()}, /*serve=*/true,
                 {.on_step = [&letters](Stage, int) {
                   return letters > 0 ? absl::InternalError("gone") : absl::OkStatus();
                 }});
  letters = 1;
  EXPECT_EQ(Synthesize({Request("config {}"), Text("Last words.")}).status.error_code(),
            StatusCode::UNAVAILABLE);
  host_.reset();  // the lane is over
  const std::filesystem::directory_iterator files(folder);
  ASSERT_NE(files, std::filesystem::directory_iterator());
  EXPECT_EQ(std::filesystem::status(files->path()).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  std::stringstream text;
  text << std::ifstream(files->path()).rdbuf();
  EXPECT_THAT(text.str(), HasSubstr("\"ok\":false"));
  EXPECT_TRUE(ParseFlightLogs(text.str()).ok());
}

TEST_F(AdminTest, ThePortsAnswerForTheirOwnServicesOnly) {
  StartWithAdmin();
  grpc::ClientContext admin_context, speech_context;
  v1::GetServerInfoResponse info;
  const grpc::Status admin =
      v1::AdminService::NewStub(channel_)->GetServerInfo(&admin_context, {}, &info);
  EXPECT_EQ(admin.error_code(), StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(admin.error_message(), HasSubstr("--admin-listen"));
  const std::string target = absl::StrCat("127.0.0.1:", host_->admin_port());
  v1::ListVoicesResponse voices;
  const grpc::Status speech =
      v1::SpeechService::NewStub(grpc::CreateChannel(target, grpc::InsecureChannelCredentials()))
          ->ListVoices(&speech_context, {}, &voices);
  EXPECT_EQ(speech.error_code(), StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(ErrorInfoOf(speech).reason(), "UNKNOWN_METHOD");
}

TEST_F(AdminTest, ATakenPortIsExplained) {
  StartWithAdmin();
  const std::string taken = absl::StrCat("127.0.0.1:", host_->admin_port());
  auto second = Host::Listen({.admin_listen = taken});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().message(),
            absl::StrCat("cannot listen on ", taken,
                         ": the port is in use by another process "
                         "(--admin-listen: another address, port 0 or off)"));
  for (const char* none : {"", "off"}) {
    auto without = Host::Listen({.admin_listen = none});
    ASSERT_TRUE(without.ok()) << without.status();
    EXPECT_EQ((*without)->admin_port(), 0);
  }
}

}  // namespace
}  // namespace firstbyte
