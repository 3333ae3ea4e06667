// `firstbyte admin` and `firstbyte top` against the admin port of a real server.
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/client/command.h"
#include "tests/rpc/fixture.h"

namespace firstbyte {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class AdminEndToEnd : public RpcTest {
 protected:
  void SetUp() override {
    Start({}, {.admin_listen = "127.0.0.1:0",
               .on_drain_asked = [this] { ++drains_; },
               .build = {.version = "1.2.3", .isa = "test"}});
  }
  CommandResult Run(std::vector<std::string> words) {
    words.insert(words.begin(), {FIRSTBYTE_PROGRAM, "admin"});
    words.insert(words.end(), {"--target", absl::StrCat("127.0.0.1:", host_->admin_port())});
    return Command(words).Wait();
  }

  int drains_ = 0;
};

TEST_F(AdminEndToEnd, TellsWhatTheServerIs) {
  const CommandResult info = Run({"info"});
  EXPECT_EQ(info.exit_code, 0) << info.err;
  EXPECT_THAT(info.out, HasSubstr("1.2.3    serving  20"));
  EXPECT_THAT(info.out, HasSubstr("cpu test"));
  EXPECT_THAT(Run({"models"}).out, HasSubstr("scripted  loaded"));
  const auto models = nlohmann::json::parse(Run({"models", "--json"}).out);
  EXPECT_EQ(models["models"][0]["name"], "scripted");
  EXPECT_EQ(models["models"][0]["state"], "MODEL_STATE_LOADED");
  EXPECT_EQ(nlohmann::json::parse(Run({"--json", "info"}).out)["version"], "1.2.3");
}

TEST_F(AdminEndToEnd, ChangesTheLogLevel) {
  EXPECT_EQ(Run({"log-level", "Warning"}).out, "warning, was error\n");
  EXPECT_EQ(SetLogLevel("error"), "warning");
  const CommandResult loud = Run({"log-level", "loud"});
  EXPECT_EQ(loud.exit_code, 2);
  EXPECT_EQ(loud.err, "firstbyte: 'loud' is not one of debug, info, warning, error\n");
}

TEST_F(AdminEndToEnd, Drains) {
  EXPECT_EQ(Run({"drain", "--within", "soon"}).exit_code, 2);
  EXPECT_EQ(Run({"drain", "--within", "2h"}).exit_code, 1);
  EXPECT_EQ(drains_, 0);
  EXPECT_EQ(Run({"drain", "--within", "10s"}).out, "draining; 0 streams still run\n");
  EXPECT_EQ(drains_, 1);
  const CommandResult again = Run({"drain"});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_THAT(again.err, HasSubstr("[ALREADY_DRAINING]"));
}

TEST_F(AdminEndToEnd, WritesATraceAndAFlight) {
  const std::string folder = testing::TempDir();
  const CommandResult trace = Run({"trace", "--duration", "10ms", "--out", folder + "trace.json"});
  EXPECT_EQ(trace.exit_code, 0) << trace.err;
  EXPECT_THAT(trace.err, HasSubstr("MB in " + folder + "trace.json"));
  EXPECT_TRUE(nlohmann::json::parse(std::ifstream(folder + "trace.json")).is_object());
  const CommandResult flight = Run({"flight", "--out", "-"});
  EXPECT_EQ(flight.exit_code, 0) << flight.err;
  EXPECT_THAT(flight.out, StartsWith("{\"dropped\":0,\"flight\":1"));
  EXPECT_EQ(Run({"trace", "--duration", "2m", "--out", folder + "long.json"}).exit_code, 1);
  EXPECT_FALSE(std::ifstream(folder + "long.json").good()) << "a file of nothing is left";
  EXPECT_EQ(Run({"flight", "--out", "/nowhere/x"}).exit_code, 1);
  EXPECT_EQ(Run({"trace", "--duration", "long", "--out", "-"}).exit_code, 2);
}

TEST_F(AdminEndToEnd, TopPrintsOnceWhereThereIsNoTerminal) {
  const std::string target = absl::StrCat("127.0.0.1:", host_->admin_port());
  const std::string program = FIRSTBYTE_PROGRAM;
  const CommandResult top = Command({program, "top", "--target", target}).Wait();
  EXPECT_EQ(top.exit_code, 0) << top.err;
  EXPECT_THAT(top.out, StartsWith("firstbyte 1.2.3 at " + target + "  serving"));
  EXPECT_THAT(top.out, HasSubstr("scripted  decode"));
  EXPECT_THAT(top.out, testing::Not(HasSubstr("\033")));
  const CommandResult json = Command({program, "top", "--json", "--target", target}).Wait();
  const auto numbers = nlohmann::json::parse(json.out);
  EXPECT_EQ(numbers["info"]["state"], "SERVER_STATE_SERVING");
  EXPECT_EQ(numbers["stats"]["lanes"][0]["slots_total"], 64);
  EXPECT_EQ(Command({program, "top", "--interval", "0s"}).Wait().exit_code, 2);
  const CommandResult nobody = Command({program, "top", "--target", "127.0.0.1:1"}).Wait();
  EXPECT_EQ(nobody.exit_code, 1);
  EXPECT_THAT(nobody.err, HasSubstr("nothing answers at 127.0.0.1:1"));
}

TEST_F(AdminEndToEnd, UnloadsAModelAndLoadsItAgain) {
  EXPECT_EQ(Run({"unload", "scripted", "--within", "soon"}).exit_code, 2);
  EXPECT_EQ(Run({"unload", "scripted", "--within", "1s"}).out, "scripted is unloaded\n");
  EXPECT_THAT(Run({"models"}).out, HasSubstr("scripted  unloaded"));
  EXPECT_EQ(Run({"load", "scripted"}).out, "scripted is loaded\n");
  EXPECT_THAT(Run({"models"}).out, HasSubstr("scripted  loaded"));
  for (const char* verb : {"load", "unload"}) {
    const CommandResult unknown = Run({verb, "nobody"});
    EXPECT_EQ(unknown.exit_code, 1);
    EXPECT_THAT(unknown.err, HasSubstr("[MODEL_NOT_FOUND]"));
  }
}

TEST_F(AdminEndToEnd, SaysWhoDoesNotAnswer) {
  const CommandResult wrong_port =
      Command({FIRSTBYTE_PROGRAM, "admin", "info", "--target", target()}).Wait();
  EXPECT_EQ(wrong_port.exit_code, 1);
  EXPECT_THAT(wrong_port.err, HasSubstr("--admin-listen"));
  EXPECT_EQ(Command({FIRSTBYTE_PROGRAM, "admin"}).Wait().exit_code, 2);
}

}  // namespace
}  // namespace firstbyte
