#include "tests/fake/fake_world_service.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <grpcpp/server_builder.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "codec/image.h"
#include "tests/fake/refuse.h"

namespace firstbyte {
namespace {

using Stream = grpc::ServerReaderWriter<v1::StepWorldResponse, v1::StepWorldRequest>;

constexpr int64_t kFragileBlock = 2;
constexpr size_t kMaxPiece = 1 << 20;

grpc::Status NotFound(const std::string& what, const std::string& name) {
  return Refuse(grpc::StatusCode::NOT_FOUND, absl::StrCat(what, "_NOT_FOUND"),
                absl::StrCat("there is no '", name, "'"));
}

void SetOffset(int64_t block, google::protobuf::Duration* offset) {
  offset->set_seconds(block / FakeWorldService::kFps);
  offset->set_nanos(static_cast<int>(block % FakeWorldService::kFps) *
                    (1'000'000'000 / FakeWorldService::kFps));
}

void SetVocabulary(v1::ActionVocabulary* vocabulary) {
  for (const char* key : {"forward", "back", "turn_left", "turn_right"}) vocabulary->add_keys(key);
  vocabulary->set_pointer(true);
}

std::string Picture(std::array<uint8_t, 3> colour, v1::VideoFormat wanted) {
  std::vector<uint8_t> rgb;
  for (int i = 0; i < FakeWorldService::kWidth * FakeWorldService::kHeight; ++i) {
    rgb.insert(rgb.end(), colour.begin(), colour.end());
  }
  ImageFormat format = ImageFormat::kJpeg;
  if (wanted == v1::VIDEO_FORMAT_RAW_RGB) format = ImageFormat::kRawRgb;
  if (wanted == v1::VIDEO_FORMAT_PNG) format = ImageFormat::kPng;
  std::string bytes;
  EncodeImage(rgb, FakeWorldService::kWidth, FakeWorldService::kHeight, format, 100, &bytes)
      .IgnoreError();
  return bytes;
}

v1::WorldSnapshot Describe(const std::string& id, const std::string& bytes) {
  v1::WorldSnapshot snapshot;
  snapshot.set_snapshot_id(id);
  int64_t block = 0;
  if (!absl::SimpleAtoi(bytes.substr(0, bytes.find(' ')), &block)) block = -1;
  snapshot.set_block(block);
  snapshot.set_size_bytes(static_cast<int64_t>(bytes.size()));
  snapshot.set_sha256(std::string(32, 'd'));
  return snapshot;
}

// One call: reads a message, then makes what can be made.
class Play {
 public:
  Play(Stream* stream, const v1::OpenWorld& open, FakeWorldService::State* state)
      : stream_(stream), open_(open), state_(state) {}

  void SendOpened(const std::string& session_id) {
    v1::StepWorldResponse response;
    auto& opened = *response.mutable_opened();
    opened.set_session_id(session_id);
    opened.set_token(state_->token);
    opened.set_model("fake");
    opened.set_seed(open_.create().has_seed() ? open_.create().seed() : 7);
    opened.set_width(FakeWorldService::kWidth);
    opened.set_height(FakeWorldService::kHeight);
    opened.set_fps(FakeWorldService::kFps);
    opened.set_frames_per_block(1);
    opened.set_next_block(state_->next_block);
    opened.set_last_action_sequence(state_->last_sequence);
    SetVocabulary(opened.mutable_action_vocabulary());
    opened.set_video_format(open_.video().format() == v1::VIDEO_FORMAT_UNSPECIFIED
                                ? v1::VIDEO_FORMAT_JPEG
                                : open_.video().format());
    if (open_.has_audio()) {
      opened.mutable_audio_format()->set_encoding(v1::AUDIO_ENCODING_PCM16);
      opened.mutable_audio_format()->set_sample_rate_hertz(FakeWorldService::kSampleRate);
      opened.mutable_audio_format()->set_channel_count(1);
    }
    stream_->Write(response);
    for (const v1::StepWorldResponse& unsent : std::exchange(state_->unsent, {})) {
      stream_->Write(unsent);
    }
  }

  // False: that was the end.
  bool Take(const v1::StepWorldRequest& request) {
    if (request.has_prompt()) state_->prompt = request.prompt().text();
    if (request.has_credit()) credit_ += request.credit().blocks();
    if (request.has_actions()) {
      newest_ = request.actions();
      state_->last_sequence = newest_.sequence();
    }
    if (request.has_control()) paused_ = request.control().kind() == v1::CONTROL_KIND_PAUSE;
    const bool lockstep =
        open_.pacing() == v1::PACING_LOCKSTEP || open_.pacing() == v1::PACING_UNSPECIFIED;
    int blocks = paused_ ? 0 : std::exchange(credit_, 0);
    if (lockstep) blocks = request.has_actions() ? std::max(1, request.actions().repeat()) : 0;
    for (int i = 0; i < blocks; ++i) {
      if (!MakeBlock()) return false;
    }
    return request.control().kind() != v1::CONTROL_KIND_CLOSE;
  }

  void SendSummary() {
    v1::StepWorldResponse response;
    response.mutable_summary()->set_end_reason(v1::WORLD_END_REASON_CLOSED);
    response.mutable_summary()->set_block_count(blocks_);
    stream_->Write(response);
  }

  bool broke() const { return broke_; }

 private:
  bool MakeBlock() {
    const int64_t index = state_->next_block++;
    v1::StepWorldResponse response;
    auto& block = *response.mutable_block();
    block.set_index(index);
    SetOffset(index, block.mutable_presentation_offset());
    block.set_applied_action_sequence(newest_.sequence());
    if (newest_.has_client_time()) *block.mutable_client_time() = newest_.client_time();
    block.add_frames()->set_data(
        Picture(FakeWorldService::Colour(index, newest_, state_->prompt), open_.video().format()));
    broke_ = open_.model() == "fragile" && index == kFragileBlock;
    Deliver(response);
    if (open_.has_audio()) Deliver(Sound(index));
    ++blocks_;
    return !broke_;
  }

  void Deliver(const v1::StepWorldResponse& response) {
    if (broke_) {
      state_->unsent.push_back(response);
    } else {
      stream_->Write(response);
    }
  }

  static v1::StepWorldResponse Sound(int64_t index) {
    v1::StepWorldResponse response;
    auto& audio = *response.mutable_audio();
    audio.set_sequence(index);
    audio.set_data(std::string(2 * FakeWorldService::kSamplesPerBlock, static_cast<char>(index)));
    SetOffset(index, audio.mutable_start_offset());
    SetOffset(1, audio.mutable_duration());
    return response;
  }

  Stream* const stream_;
  const v1::OpenWorld& open_;
  FakeWorldService::State* const state_;
  v1::Actions newest_;
  int credit_ = 4;
  bool paused_ = false, broke_ = false;
  int64_t blocks_ = 0;
};

}  // namespace

std::array<uint8_t, 3> FakeWorldService::Colour(int64_t block, const v1::Actions& actions,
                                                const std::string& prompt) {
  size_t keys = 0;
  for (const std::string& key : actions.keys()) keys += key.size();
  return {static_cast<uint8_t>(block), static_cast<uint8_t>(keys),
          static_cast<uint8_t>(prompt.size())};
}

// Takes the session out of the map, which then nobody else can resume.
grpc::Status FakeWorldService::Begin(const v1::OpenWorld& open, std::string* session_id,
                                     State* state) {
  const std::string& model = open.model();
  if (model == "full") {
    return Refuse(grpc::StatusCode::RESOURCE_EXHAUSTED, "NO_SLOT", "all slots are taken",
                  absl::Milliseconds(250));
  }
  if (!model.empty() && model != "fake" && model != "fragile" && model != "hopeless")
    return NotFound("MODEL", model);
  MutexLock lock(&mu_);
  if (open.has_resume()) {
    auto found = sessions_.find(open.resume().session_id());
    if (found == sessions_.end()) return NotFound("SESSION", open.resume().session_id());
    if (found->second.token != open.resume().token()) {
      return Refuse(grpc::StatusCode::PERMISSION_DENIED, "TOKEN_INVALID", "that is not its token");
    }
    *session_id = found->first;
    *state = std::move(found->second);
    sessions_.erase(found);
  } else {
    *session_id = absl::StrCat("w-", ++session_count_);
    state->prompt = open.create().prompt();
  }
  if (open.has_snapshot()) {
    auto found = snapshots_.find(open.snapshot().snapshot_id());
    if (found == snapshots_.end()) return NotFound("SNAPSHOT", open.snapshot().snapshot_id());
    std::pair<std::string, std::string> saved =
        absl::StrSplit(found->second, absl::MaxSplits(' ', 1));
    if (!absl::SimpleAtoi(saved.first, &state->next_block))
      return NotFound("SNAPSHOT", saved.first);
    state->prompt = saved.second;
  }
  state->token = absl::StrCat("t-", ++token_count_);
  return grpc::Status::OK;
}

grpc::Status FakeWorldService::StepWorld(grpc::ServerContext* context, Stream* stream) {
  v1::StepWorldRequest request;
  if (!stream->Read(&request) || !request.has_open()) {
    return Refuse(grpc::StatusCode::INVALID_ARGUMENT, "OPEN_MISSING", "the first message opens");
  }
  const v1::OpenWorld open = request.open();
  Note(request);
  std::string session_id;
  State state;
  if (auto status = Begin(open, &session_id, &state); !status.ok()) return status;
  Play play(stream, open, &state);
  play.SendOpened(session_id);
  bool going = open.model() != "hopeless";
  while (going && stream->Read(&request)) {
    Note(request);
    going = play.Take(request);
    if (request.control().kind() == v1::CONTROL_KIND_SNAPSHOT) SendSnapshot(state, stream);
  }
  if (!play.broke() && !context->IsCancelled() && open.model() != "hopeless") {
    play.SendSummary();
    return grpc::Status::OK;
  }
  MutexLock lock(&mu_);
  sessions_[session_id] = std::move(state);
  return {grpc::StatusCode::UNAVAILABLE, "the connection broke"};
}

void FakeWorldService::Note(const v1::StepWorldRequest& request) {
  MutexLock lock(&mu_);
  requests_.push_back(request);
}

void FakeWorldService::SendSnapshot(const State& state, Stream* stream) {
  v1::StepWorldResponse response;
  {
    MutexLock lock(&mu_);
    std::string id = absl::StrCat("s-", state.next_block);
    snapshots_[id] = absl::StrCat(state.next_block, " ", state.prompt);
    *response.mutable_snapshot() = Describe(id, snapshots_[id]);
  }
  stream->Write(response);
}

grpc::Status FakeWorldService::ListWorlds(grpc::ServerContext*, const v1::ListWorldsRequest*,
                                          v1::ListWorldsResponse* response) {
  for (const char* name : {"fake", "fragile", "full"}) {
    auto& world = *response->add_worlds();
    world.set_model(name);
    world.set_description("plain colours for tests");
    world.set_width(kWidth);
    world.set_height(kHeight);
    world.set_fps(kFps);
    world.set_frames_per_block(1);
    SetVocabulary(world.mutable_action_vocabulary());
    world.set_audio_sample_rate_hertz(kSampleRate);
    world.set_state_bytes(1 << 20);
    world.set_is_default(world.model() == "fake");
  }
  return grpc::Status::OK;
}

grpc::Status FakeWorldService::GetSession(grpc::ServerContext*,
                                          const v1::GetSessionRequest* request,
                                          v1::GetSessionResponse* response) {
  MutexLock lock(&mu_);
  auto found = sessions_.find(request->session_id());
  if (found == sessions_.end()) return NotFound("SESSION", request->session_id());
  auto& session = *response->mutable_session();
  session.set_session_id(found->first);
  session.set_model("fake");
  session.set_state(v1::SESSION_STATE_PARKED);
  session.set_next_block(found->second.next_block);
  session.set_state_bytes(1 << 20);
  session.mutable_open_time()->set_seconds(1'700'000'000);
  session.mutable_expire_time()->set_seconds(1'700'000'600);
  return grpc::Status::OK;
}

// One session a page, to try the client's loop.
grpc::Status FakeWorldService::ListSessions(grpc::ServerContext* context,
                                            const v1::ListSessionsRequest* request,
                                            v1::ListSessionsResponse* response) {
  v1::GetSessionRequest get;
  {
    MutexLock lock(&mu_);
    auto first = sessions_.upper_bound(request->page_token());
    if (first == sessions_.end()) return grpc::Status::OK;
    get.set_session_id(first->first);
    if (std::next(first) != sessions_.end()) response->set_next_page_token(first->first);
  }
  v1::GetSessionResponse got;
  auto status = GetSession(context, &get, &got);
  *response->add_sessions() = got.session();
  return status;
}

grpc::Status FakeWorldService::DeleteSession(grpc::ServerContext*,
                                             const v1::DeleteSessionRequest* request,
                                             v1::DeleteSessionResponse*) {
  MutexLock lock(&mu_);
  if (sessions_.erase(request->session_id()) > 0) return grpc::Status::OK;
  return NotFound("SESSION", request->session_id());
}

grpc::Status FakeWorldService::ExportSnapshot(
    grpc::ServerContext*, const v1::ExportSnapshotRequest* request,
    grpc::ServerWriter<v1::ExportSnapshotResponse>* writer) {
  MutexLock lock(&mu_);
  auto found = snapshots_.find(request->snapshot_id());
  if (found == snapshots_.end()) return NotFound("SNAPSHOT", request->snapshot_id());
  v1::ExportSnapshotResponse response;
  *response.mutable_snapshot() = Describe(found->first, found->second);
  writer->Write(response);
  for (size_t at = 0; at < found->second.size(); ++at) {  // a byte a message: order matters
    response.set_data(found->second.substr(at, 1));
    writer->Write(response);
  }
  return grpc::Status::OK;
}

grpc::Status FakeWorldService::ImportSnapshot(grpc::ServerContext*,
                                              grpc::ServerReader<v1::ImportSnapshotRequest>* reader,
                                              v1::ImportSnapshotResponse* response) {
  v1::ImportSnapshotRequest request;
  v1::WorldSnapshot said;
  std::string bytes;
  while (reader->Read(&request)) {
    if (request.has_snapshot()) said = request.snapshot();
    if (request.data().size() > kMaxPiece) {
      return Refuse(grpc::StatusCode::INVALID_ARGUMENT, "PIECE_TOO_LARGE", "at most 1 MiB");
    }
    bytes += request.data();
  }
  if (said.size_bytes() != static_cast<int64_t>(bytes.size()) || said.sha256().size() != 32) {
    return Refuse(grpc::StatusCode::DATA_LOSS, "SNAPSHOT_CORRUPTED", "the digest does not match");
  }
  MutexLock lock(&mu_);
  std::string id = absl::StrCat("s-imported-", snapshots_.size());
  snapshots_[id] = bytes;
  *response->mutable_snapshot() = Describe(id, bytes);
  return grpc::Status::OK;
}

std::vector<v1::StepWorldRequest> FakeWorldService::requests() const {
  MutexLock lock(&mu_);
  return requests_;
}

FakeWorldServer::FakeWorldServer() {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service_);
  server_ = builder.BuildAndStart();
  target_ = absl::StrCat("127.0.0.1:", port);
}

FakeWorldServer::~FakeWorldServer() { server_->Shutdown(std::chrono::system_clock::now()); }

}  // namespace firstbyte
