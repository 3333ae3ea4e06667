#include "client/loadgen/connection.h"

#include <fcntl.h>
#include <netdb.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <utility>

#include <grpcpp/create_channel.h>
#include <grpcpp/create_channel_posix.h>
#include <sys/socket.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "firstbyte/v1/speech.grpc.pb.h"

namespace firstbyte {
namespace {

constexpr absl::Duration kConnectTimeout = absl::Seconds(5);

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return absl::InvalidArgumentError(absl::StrCat("cannot read ", path));
  return text.str();
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(
    const ConnectionOptions& options) {
  if (!options.tls) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions ssl;
  const std::pair<const std::string*, std::string*> files[] = {
      {&options.ca_file, &ssl.pem_root_certs},
      {&options.cert_file, &ssl.pem_cert_chain},
      {&options.key_file, &ssl.pem_private_key}};
  for (const auto& [path, pem] : files) {
    auto text = ReadFile(*path);
    if (!text.ok()) return text.status();
    *pem = *std::move(text);
  }
  return grpc::SslCredentials(ssl);
}

// Somebody took the connection and gave it up.
bool HungUp(const std::string& grpc_says) {
  for (const char* other : {"refused", "Deadline", "timed out", "unreachable", "No route"}) {
    if (absl::StrContains(grpc_says, other)) return false;
  }
  return true;
}

// gRPC's own words are a chain of wrapped errors, of which one matters.
absl::Status NotConnected(const ConnectionOptions& options, const std::string& grpc_says) {
  std::string why = absl::StrCat("nothing answers at ", options.target);
  if (absl::StrContains(grpc_says, "certificate verify failed")) {
    why = absl::StrCat("the certificate of ", options.target,
                       " is not of an authority that is trusted here (--tls-ca names others)");
  } else if (absl::StrContains(grpc_says, "Hostname Verification Check failed") ||
             absl::StrContains(grpc_says, "is not in peer certificate")) {
    why = absl::StrCat("the certificate of ", options.target,
                       " is of another name (--tls-server-name)");
  } else if (absl::StrContains(grpc_says, "wrong version number")) {
    why = absl::StrCat(options.target, " does not speak TLS (without --tls it may answer)");
  } else if (absl::StrContains(grpc_says, "andshake failed")) {
    why = absl::StrCat(options.target, " refuses the TLS handshake: ", grpc_says);
  } else if (absl::StrContains(grpc_says, "DNS resolution failed")) {
    why = absl::StrCat("cannot resolve ", options.target);
  } else if (HungUp(grpc_says)) {
    absl::StrAppend(&why, options.tls ? "; does it want a certificate of ours? (--tls-cert)"
                                      : "; does it want TLS? (--tls)");
  } else {
    absl::StrAppend(&why, "; is firstbyted running there, its models loaded? (--target HOST:PORT)");
  }
  return absl::UnavailableError(why);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Connections>> Connections::Open(const ConnectionOptions& options) {
  auto credentials = Credentials(options);
  if (!credentials.ok()) return credentials.status();
  std::unique_ptr<Connections> connections(new Connections(options));
  for (int i = 0; i < options.channels; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt("firstbyte.loadgen.channel", i);  // else gRPC shares one connection
    if (!options.server_name.empty()) arguments.SetSslTargetNameOverride(options.server_name);
    auto channel = grpc::CreateCustomChannel(options.target, *credentials, arguments);
    connections->channels_.push_back(std::move(channel));
    if (auto status = connections->Connect(i); !status.ok()) return status;
  }
  return connections;
}

absl::Status Connections::Connect(int index) const {
  const std::shared_ptr<grpc::Channel>& channel = channels_[index];
  const auto deadline = absl::ToChronoTime(absl::Now() + kConnectTimeout);
  auto state = channel->GetState(/*try_to_connect=*/true);
  while (state != GRPC_CHANNEL_READY && state != GRPC_CHANNEL_TRANSIENT_FAILURE &&
         channel->WaitForStateChange(state, deadline)) {
    state = channel->GetState(true);
  }
  if (state == GRPC_CHANNEL_READY && index > 0) return absl::OkStatus();
  grpc::ClientContext context;  // whatever it answers, we know that we are let in, or why not
  Authorise(&context);
  context.set_deadline(absl::ToChronoTime(absl::Now() + kConnectTimeout));
  v1::ListVoicesResponse voices;
  const grpc::Status status =
      v1::SpeechService::NewStub(channel)->ListVoices(&context, v1::ListVoicesRequest(), &voices);
  if (state != GRPC_CHANNEL_READY) return NotConnected(options_, status.error_message());
  if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED ||
      status.error_code() == grpc::StatusCode::PERMISSION_DENIED) {
    return absl::Status(
        static_cast<absl::StatusCode>(status.error_code()),
        absl::StrCat(options_.target,
                     options_.token.empty() ? " wants a token (--token): " : " refuses the token: ",
                     status.error_message()));
  }
  return absl::OkStatus();
}

void Connections::Authorise(grpc::ClientContext* context) const {
  if (!options_.token.empty()) {
    context->AddMetadata("authorization", absl::StrCat("Bearer ", options_.token));
  }
}

absl::StatusOr<std::unique_ptr<FragileConnection>> FragileConnection::Open(
    const std::string& target) {
  const size_t colon = target.rfind(':');
  if (colon == std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(target, " is not host:port"));
  }
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(target.substr(0, colon).c_str(), target.substr(colon + 1).c_str(), &hints,
                  &found) != 0) {
    return absl::UnavailableError(absl::StrCat("cannot resolve ", target));
  }
  std::unique_ptr<FragileConnection> connection(new FragileConnection);
  connection->fd_ = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int failed = connect(connection->fd_, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  if (failed != 0) {
    absl::Status status = absl::ErrnoToStatus(errno, absl::StrCat("cannot reach ", target));
    return status;
  }
  fcntl(connection->fd_, F_SETFL, fcntl(connection->fd_, F_GETFL) | O_NONBLOCK);
  const int grpcs = fcntl(connection->fd_, F_DUPFD_CLOEXEC, 0);
  connection->channel_ = grpc::CreateCustomInsecureChannelFromFd(target, grpcs, {});
  return connection;
}

FragileConnection::~FragileConnection() {
  if (fd_ >= 0) close(fd_);
}

void FragileConnection::Cut() {
  shutdown(fd_, SHUT_RDWR);
  close(std::exchange(fd_, -1));
}

}  // namespace firstbyte
