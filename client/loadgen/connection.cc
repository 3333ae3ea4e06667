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

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

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
    if (!channel->WaitForConnected(absl::ToChronoTime(absl::Now() + kConnectTimeout))) {
      return absl::UnavailableError(
          absl::StrCat("nothing answers at ", options.target, options.tls ? " over TLS" : ""));
    }
    connections->channels_.push_back(std::move(channel));
  }
  return connections;
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
