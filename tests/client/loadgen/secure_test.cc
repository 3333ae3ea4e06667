// The `loadgen` program against a server with TLS, and one that wants a token.
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/command.h"
#include "tests/fake/certificate.h"
#include "tests/fake/fake_speech_service.h"

namespace firstbyte {
namespace {

using ::testing::HasSubstr;

constexpr char kName[] = "voices.test";

std::string File(const std::string& name, const std::string& text) {
  std::string path = testing::TempDir() + name;
  std::ofstream(path) << text;
  return path;
}

class SecureTest : public testing::Test {
 protected:
  // Of a server with TLS; clients need a certificate, too, if `mutual`.
  void Serve(bool mutual = false) {
    grpc::SslServerCredentialsOptions options(
        mutual ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
               : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
    options.pem_key_cert_pairs.push_back({server_pem_.key_pem, server_pem_.certificate_pem});
    options.pem_root_certs = client_pem_.certificate_pem;
    server_ = std::make_unique<FakeSpeechServer>(grpc::SslServerCredentials(options));
  }

  CommandResult Run(std::vector<std::string> words) {
    words.insert(words.begin(),
                 {LOADGEN_PROGRAM, "--target", server_->target(), "--concurrency", "1",
                  "--duration", "100", "--calls", "3", "--warmup", "0", "--ttfb-target", "10m"});
    return Command(words).Wait();
  }

  const Certificate server_pem_ = MakeCertificate(kName), client_pem_ = MakeCertificate("client");
  const std::string ca_ = File("server.pem", server_pem_.certificate_pem);
  const std::string other_ca_ = File("other.pem", client_pem_.certificate_pem);
  std::unique_ptr<FakeSpeechServer> server_;
};

TEST_F(SecureTest, SpeaksWithAServerWhoseAuthorityItTrusts) {
  Serve();
  CommandResult result = Run({"--tls-ca", ca_, "--tls-server-name", kName, "--channels", "2"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  EXPECT_THAT(result.out, HasSubstr("calls      3, 0 failed"));
}

TEST_F(SecureTest, AnotherAuthorityIsNotTrusted) {
  Serve();
  CommandResult result = Run({"--tls-ca", other_ca_, "--tls-server-name", kName});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err,
            "loadgen: the certificate of " + server_->target() +
                " is not of an authority that is trusted here (--tls-ca names others)\n");
}

TEST_F(SecureTest, ACertificateOfAnotherNameIsNotTrusted) {
  Serve();
  CommandResult result = Run({"--tls-ca", ca_});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "loadgen: the certificate of " + server_->target() +
                            " is of another name (--tls-server-name)\n");
}

TEST_F(SecureTest, PlainTextAgainstTlsIsSaid) {
  Serve();
  CommandResult result = Run({});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err,
            "loadgen: nothing answers at " + server_->target() + "; does it want TLS? (--tls)\n");
}

TEST_F(SecureTest, TlsAgainstPlainTextIsSaid) {
  server_ = std::make_unique<FakeSpeechServer>();
  CommandResult result = Run({"--tls"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "loadgen: " + server_->target() +
                            " does not speak TLS (without --tls it may answer)\n");
}

TEST_F(SecureTest, AServerThatWantsACertificateGetsOne) {
  Serve(/*mutual=*/true);
  std::vector<std::string> words = {"--tls-ca", ca_, "--tls-server-name", kName};
  CommandResult without = Run(words);
  EXPECT_EQ(without.exit_code, 1);
  EXPECT_EQ(without.err, "loadgen: nothing answers at " + server_->target() +
                             "; does it want a certificate of ours? (--tls-cert)\n");
  words.insert(words.end(),
               {"--tls-cert", other_ca_, "--tls-key", File("client.key", client_pem_.key_pem)});
  CommandResult with = Run(words);
  EXPECT_EQ(with.exit_code, 0) << with.err;
}

TEST_F(SecureTest, ATokenIsSentWithEachCallAndARefusedOneIsSaid) {
  Serve();
  server_->service().RequireToken("secret");
  const std::vector<std::string> tls = {"--tls-ca", ca_, "--tls-server-name", kName};
  const auto with = [&](std::vector<std::string> words) {
    words.insert(words.end(), tls.begin(), tls.end());
    return Run(words);
  };
  EXPECT_EQ(with({"--token", "secret"}).exit_code, 0);
  CommandResult wrong = with({"--token", "guess"});
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_EQ(wrong.err,
            "loadgen: " + server_->target() + " refuses the token: this token is unknown\n");
  CommandResult none = with({});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_EQ(none.err,
            "loadgen: " + server_->target() + " wants a token (--token): this token is unknown\n");
}

}  // namespace
}  // namespace firstbyte
