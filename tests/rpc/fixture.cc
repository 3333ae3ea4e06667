#include "tests/rpc/fixture.h"

#include <unistd.h>

#include <filesystem>
#include <set>
#include <sstream>

#include <arpa/inet.h>
#include <sys/socket.h>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "codec/pcm.h"
#include "google/protobuf/text_format.h"
#include "google/rpc/status.pb.h"

namespace firstbyte {
namespace {

template <typename Detail>
Detail FindDetail(const grpc::Status& status) {
  google::rpc::Status rich;
  EXPECT_TRUE(rich.ParseFromString(status.error_details()));
  Detail detail;
  for (const auto& any : rich.details()) {
    if (any.Is<Detail>()) any.UnpackTo(&detail);
  }
  return detail;
}

std::map<std::string, std::string> Trailers(const grpc::ClientContext& context) {
  std::map<std::string, std::string> trailers;
  for (const auto& [key, value] : context.GetServerTrailingMetadata()) {
    trailers[std::string(key.data(), key.size())] = std::string(value.data(), value.size());
  }
  return trailers;
}

int OpenFds() {
  auto fds = std::filesystem::directory_iterator("/proc/self/fd");
  return static_cast<int>(std::distance(begin(fds), end(fds)));
}

}  // namespace

std::string Heard::audio() const {
  std::string all;
  for (const auto& response : responses) all += response.audio().data();
  return all;
}

std::vector<std::string> Heard::packets() const {
  std::vector<std::string> all;
  for (const auto& response : responses) {
    for (const std::string& packet : response.audio().packets()) all.push_back(packet);
  }
  return all;
}

google::rpc::ErrorInfo ErrorInfoOf(const grpc::Status& status) {
  return FindDetail<google::rpc::ErrorInfo>(status);
}
google::rpc::BadRequest BadRequestOf(const grpc::Status& status) {
  return FindDetail<google::rpc::BadRequest>(status);
}
google::rpc::RetryInfo RetryInfoOf(const grpc::Status& status) {
  return FindDetail<google::rpc::RetryInfo>(status);
}

std::string MetricsPage(const Host& host) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(host.metrics_port())};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
  EXPECT_EQ(write(fd, request.data(), request.size()), static_cast<ssize_t>(request.size()));
  std::string reply;
  char buffer[4096];
  for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) reply.append(buffer, n);
  close(fd);
  return reply;
}

std::optional<double> Value(const std::string& page, const std::string& series) {
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(series + " ", 0) == 0) return std::stod(line.substr(series.size()));
  }
  return std::nullopt;
}

v1::SynthesizeRequest Request(const std::string& text_format) {
  v1::SynthesizeRequest request;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text_format, &request)) << text_format;
  return request;
}

v1::SynthesizeRequest Text(std::string content) {
  v1::SynthesizeRequest request;
  request.mutable_text()->set_content(std::move(content));
  return request;
}

RpcTest::RpcTest() {
  EXPECT_TRUE(ConfigureLog(LogFormat::kText, "error").ok());  // a line a request is noise here
}

void RpcTest::Start(const ScriptedOptions& model, HostOptions options, bool serve) {
  auto host = Host::Listen(std::move(options));
  ASSERT_TRUE(host.ok()) << host.status();
  host_ = *std::move(host);
  if (serve) Serve(model);
  channel_ = NewChannel();
  stub_ = v1::SpeechService::NewStub(channel_);
  if (!serve) return;
  Synthesize({Request("config {}"), Text("Warm up.")});  // opens every descriptor that stays open
  fds_ = OpenFds();
}

void RpcTest::Serve(const ScriptedOptions& model) {
  std::vector<std::vector<std::unique_ptr<Model>>> lanes(1);
  lanes[0].push_back(MakeScriptedModel(model));
  auto again = [model]() -> absl::StatusOr<std::vector<std::unique_ptr<Model>>> {
    std::vector<std::unique_ptr<Model>> copies;
    copies.push_back(MakeScriptedModel(model));
    return copies;
  };
  absl::Status status = host_->Serve(std::move(lanes), {}, {{again, "scripted"}});
  ASSERT_TRUE(status.ok()) << status;
}

void RpcTest::TearDown() { host_.reset(); }

std::string RpcTest::target() const { return absl::StrCat("127.0.0.1:", host_->port()); }

std::shared_ptr<grpc::Channel> RpcTest::NewChannel() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(target(), grpc::InsecureChannelCredentials(), arguments);
}

grpc::Status RpcTest::OpenStream::Finish() {
  stream->WritesDone();
  v1::SynthesizeResponse response;
  while (stream->Read(&response)) {
  }
  return stream->Finish();
}

std::unique_ptr<RpcTest::OpenStream> RpcTest::Open(const std::string& tenant) {
  auto open = std::make_unique<OpenStream>();
  if (!tenant.empty()) open->context.AddMetadata("x-tenant", tenant);
  open->stream = stub_->Synthesize(&open->context);
  open->stream->Write(Request("config {}"));
  open->stream->Write(Text("One sentence. An"));
  v1::SynthesizeResponse response;
  while (open->stream->Read(&response) && !response.has_audio()) {
  }
  EXPECT_TRUE(response.has_audio());
  return open;
}

Heard RpcTest::Synthesize(const std::vector<v1::SynthesizeRequest>& requests) {
  Heard heard;
  grpc::ClientContext context;
  auto stream = stub_->Synthesize(&context);
  for (const auto& request : requests) {
    if (!stream->Write(request)) break;  // refused meanwhile
  }
  stream->WritesDone();
  for (v1::SynthesizeResponse response; stream->Read(&response);)
    heard.responses.push_back(response);
  heard.status = stream->Finish();
  heard.trailers = Trailers(context);
  return heard;
}

Heard RpcTest::SynthesizeOnce(const std::string& text_format) {
  v1::SynthesizeOnceRequest request;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text_format, &request)) << text_format;
  Heard heard;
  grpc::ClientContext context;
  auto stream = stub_->SynthesizeOnce(&context, request);
  for (v1::SynthesizeOnceResponse response; stream->Read(&response);) {
    // The same messages under the same numbers: that is part of the contract.
    EXPECT_TRUE(heard.responses.emplace_back().ParseFromString(response.SerializeAsString()));
  }
  heard.status = stream->Finish();
  heard.trailers = Trailers(context);
  return heard;
}

void RpcTest::ExpectUnharmed() {
  host_->live_calls().WaitUntilNone();
  EXPECT_EQ(host_->engine().admission().usage(0).used, 0);
  // A connection that broke may be closed a little after its streams: the requests are the wait.
  for (int i = 0; i < 1000 && (i == 0 || (fds_ > 0 && OpenFds() > fds_)); ++i) {
    Heard next = Synthesize({Request("config { sampling { seed: 3 } }"), Text("Still here.")});
    ASSERT_TRUE(next.status.ok()) << next.status.error_message();
    ASSERT_EQ(next.audio(), Pcm("Stillhere", 3));
  }
  EXPECT_TRUE(fds_ == 0 || OpenFds() <= fds_) << OpenFds() << " open, were " << fds_;
}

std::string RpcTest::Pcm(const std::string& letters, uint64_t seed) {
  std::string bytes;
  AppendPcm16(ScriptedSamples(letters, seed), &bytes);
  return bytes;
}

}  // namespace firstbyte
