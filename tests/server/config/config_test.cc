#include "server/config/config.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/config/fields.h"
#include "server/config/models_dir.h"

namespace firstbyte {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string YamlError(const std::string& text) {
  Config config;
  return std::string(ApplyYaml(text, "f.yaml", &config).message());
}

absl::StatusOr<Launch> Parse(std::vector<const char*> args) {
  args.insert(args.begin(), "firstbyted");
  return ParseCommandLine(args.size(), args.data());
}
std::string FlagError(std::vector<const char*> args) {
  return std::string(Parse(std::move(args)).status().message());
}

// A folder that goes away with the test.
struct TempDir {
  std::filesystem::path path;
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "firstbyteXXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~TempDir() { std::filesystem::remove_all(path); }
  std::string Write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path / name).parent_path());
    std::ofstream(path / name) << text;
    return (path / name).string();
  }
};

TEST(Config, NoFlagsMeanTheDocumentedDefaults) {
  absl::StatusOr<Launch> launch = Parse({});
  ASSERT_TRUE(launch.ok()) << launch.status();
  EXPECT_EQ(launch->config.listen, "127.0.0.1:50051");
  EXPECT_EQ(launch->config.metrics_listen, "127.0.0.1:9464");
  EXPECT_EQ(launch->config.admin_listen, "127.0.0.1:50052");
  EXPECT_THAT(launch->config.models, IsEmpty());
  EXPECT_EQ(launch->answer, "");
}

TEST(Config, YamlSetsEveryKindOfField) {
  Config config;
  const absl::Status status =
      ApplyYaml("listen: 0.0.0.0:1\nlanes: 3\nmax_lead: 1500ms\nmodels: [a, b]\n", "f", &config);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(config.listen, "0.0.0.0:1");
  EXPECT_EQ(config.lanes, 3);
  EXPECT_EQ(config.max_lead, absl::Milliseconds(1500));
  EXPECT_THAT(config.models, ElementsAre("a", "b"));
}

TEST(Config, UnknownKeyIsNamedWithItsLineAndTheNearestOne) {
  EXPECT_EQ(YamlError("lanes: 2\n\nmax_laed: 4s\n"),
            "f.yaml:3: unknown key 'max_laed'; did you mean 'max_lead'?");
  EXPECT_EQ(YamlError("zebra_crossing: 1"), "f.yaml:1: unknown key 'zebra_crossing'");
}

TEST(Config, YamlErrorsNameTheLine) {
  EXPECT_THAT(YamlError("lanes: -1"),
              AllOf(HasSubstr("f.yaml:1: lanes: '-1'"), HasSubstr("from 0 to 64")));
  EXPECT_THAT(YamlError("a: 1\nb: [unclosed"), HasSubstr("f.yaml:"));
  EXPECT_THAT(YamlError("lanes: 1\nlanes: 2"), HasSubstr("f.yaml:2: key 'lanes' is repeated"));
  EXPECT_THAT(YamlError("just words"), HasSubstr("key: value"));
  EXPECT_THAT(YamlError("lanes: {a: 1}"), HasSubstr("expected a value"));
  EXPECT_THAT(YamlError("models: [{a: 1}]"), HasSubstr("list of plain values"));
  EXPECT_THAT(YamlError("? [a]\n: 1"), HasSubstr("f.yaml:1"));
  EXPECT_EQ(YamlError("# nothing\n"), "");
}

struct BadValue {
  const char* flag;
  const char* value;
};
class ConfigRange : public testing::TestWithParam<BadValue> {};
TEST_P(ConfigRange, IsCheckedAndNamesTheFlag) {
  EXPECT_THAT(FlagError({GetParam().flag, GetParam().value}),
              AllOf(HasSubstr(std::string(GetParam().flag) + ": '"), HasSubstr(GetParam().value)));
}
INSTANTIATE_TEST_SUITE_P(
    All, ConfigRange,
    testing::Values(BadValue{"--lanes", "65"}, BadValue{"--lanes", "two"},
                    BadValue{"--max-lead", "0s"}, BadValue{"--max-lead", "4"},
                    BadValue{"--max-lead", "inf"}, BadValue{"--listen", "nonsense"},
                    BadValue{"--listen", "localhost:70000"}, BadValue{"--listen", "off"},
                    BadValue{"--listen", ":1"}, BadValue{"--metrics-listen", "on"},
                    BadValue{"--admin-listen", "50052"}, BadValue{"--device", "abacus"},
                    BadValue{"--device", "cuda:"}, BadValue{"--device", "cuda:-1"},
                    BadValue{"--device", "cuda:01"}, BadValue{"--device", "cuda:99999999999"},
                    BadValue{"--device", "cuda:0,"}, BadValue{"--dtype", "fp8"},
                    BadValue{"--mode", "graphs"}, BadValue{"--log-format", "xml"},
                    BadValue{"--max-batch", "99999999999"}));

TEST(Config, AddressesThatAreFine) {
  for (const char* address : {"localhost:0", "[::]:50051", "unix:/tmp/x.sock"}) {
    EXPECT_TRUE(Parse({"--listen", address}).ok()) << address;
  }
  EXPECT_TRUE(Parse({"--metrics-listen", "off"}).ok());
  EXPECT_TRUE(Parse({"--admin-listen", "off"}).ok());
  EXPECT_TRUE(Parse({"--admin-listen", ""}).ok());
}

TEST(Config, DevicesThatAreFine) {
  for (const char* device : {"cpu", "cuda", "cuda:0", "cuda:12", "cuda:1,0"}) {
    EXPECT_EQ(Parse({"--device", device})->config.device, device);
  }
  EXPECT_THAT(*GpusOf("cpu"), IsEmpty());
  EXPECT_THAT(*GpusOf("cuda"), ElementsAre(0));
  EXPECT_THAT(*GpusOf("cuda:12"), ElementsAre(12));
  EXPECT_THAT(*GpusOf("cuda:1,0"), ElementsAre(1, 0));
  EXPECT_EQ(GpusOf("cuda:x"), std::nullopt);
  Config config;
  ASSERT_TRUE(ApplyYaml("device: cuda:1\ndtype: tf32\nmode: eager", "f", &config).ok());
  EXPECT_EQ(config.dtype, "tf32");
  EXPECT_EQ(config.mode, "eager");
}

TEST(Config, TheTokenSecretComesFromAFileOrTheEnvironmentAndIsNeverShown) {
  TempDir dir;
  const std::string file = dir.Write("secret", "from a file, long enough\n");
  const std::string flag = "--token-secret-file=" + file;
  EXPECT_EQ(Parse({})->config.token_secret, "");
  EXPECT_EQ(Parse({flag.c_str()})->config.token_secret, "from a file, long enough");
  EXPECT_THAT(Parse({flag.c_str(), "--print-config"})->answer,
              testing::Not(HasSubstr("long enough")));
  setenv("FIRSTBYTE_TOKEN_SECRET", "from the environment", 1);
  EXPECT_EQ(Parse({})->config.token_secret, "from the environment");
  EXPECT_EQ(Parse({flag.c_str()})->config.token_secret, "from a file, long enough");
  setenv("FIRSTBYTE_TOKEN_SECRET", "short", 1);
  EXPECT_THAT(FlagError({}), HasSubstr("at least 16 bytes"));
  unsetenv("FIRSTBYTE_TOKEN_SECRET");
  EXPECT_THAT(FlagError({"--token-secret-file=/nowhere"}), HasSubstr("/nowhere"));
}

TEST(Config, FlagOverridesEnvironmentOverridesFile) {
  TempDir dir;
  const std::string file = dir.Write("c.yaml", "lanes: 2\nmax_batch: 7\nmodels_dir: from_file\n");
  setenv("FIRSTBYTE_MODELS_DIR", "from_environment", 1);
  absl::StatusOr<Launch> launch = Parse({"--config", file.c_str(), "--lanes=3"});
  absl::StatusOr<Launch> flag = Parse({"--models-dir", "from_flag"});
  unsetenv("FIRSTBYTE_MODELS_DIR");
  ASSERT_TRUE(launch.ok()) << launch.status();
  EXPECT_EQ(launch->config.lanes, 3);
  EXPECT_EQ(launch->config.max_batch, 7);
  EXPECT_EQ(launch->config.models_dir, "from_environment");
  EXPECT_EQ(flag->config.models_dir, "from_flag");
}

TEST(Config, BadCommandLinesAreExplained) {
  EXPECT_EQ(FlagError({"--lane", "3"}), "unexpected argument '--lane'; did you mean --lanes?");
  EXPECT_EQ(FlagError({"--max_lead=3s"}),
            "unexpected argument '--max_lead'; did you mean --max-lead?");
  EXPECT_THAT(FlagError({"speak"}), HasSubstr("unexpected argument 'speak'"));
  EXPECT_THAT(FlagError({"--config", "/no/such.yaml"}), HasSubstr("/no/such.yaml"));
  EXPECT_THAT(FlagError({"--config", "/"}), HasSubstr("cannot read"));
  EXPECT_THAT(FlagError({"--lanes"}), HasSubstr("--lanes"));
}

TEST(Config, HelpNamesEveryFlagWithItsDefault) {
  const std::string help = Parse({"--help"})->answer;
  for (const ConfigField& field : ConfigFields()) {
    EXPECT_THAT(help, HasSubstr(FlagName(field)));
    EXPECT_THAT(help, HasSubstr(FieldText(field, Config())));
  }
  EXPECT_THAT(help, HasSubstr("Examples:"));
  EXPECT_THAT(Parse({"--version"})->answer, HasSubstr("firstbyted 0."));
}

TEST(Config, PrintedConfigReadsBackTheSame) {
  const std::string yaml =
      Parse({"--models", "a,b", "--max-lead", "1.5s", "--print-config"})->answer;
  Config config;
  ASSERT_TRUE(ApplyYaml(yaml, "printed", &config).ok()) << yaml;
  EXPECT_EQ(ToYaml(config), yaml + "\n");
  EXPECT_THAT(config.models, ElementsAre("a", "b"));
}

TEST(ModelsDir, IsFoundBesideAnInstalledBinaryAndInTheSourceTree) {
  TempDir dir;
  const std::string installed = dir.Write("usr/bin/firstbyted", "");
  dir.Write("usr/share/firstbyte/models/m/config.json", "{}");
  const std::string built = dir.Write("tree/build/release/server/firstbyted", "");
  dir.Write("tree/models/m/config.json", "{}");
  EXPECT_FALSE(FindModelsDir(built).ok());  // some folder called models, but not of our tree
  dir.Write("tree/CMakePresets.json", "{}");
  EXPECT_EQ(FindModelsDir(built).value(), (dir.path / "tree/models").string());
  EXPECT_EQ(FindModelsDir(installed).value(), (dir.path / "usr/share/firstbyte/models").string());
  EXPECT_THAT(std::string(FindModelsDir("/nowhere/bin/x").status().message()),
              HasSubstr("--models-dir"));
}

TEST(ModelsDir, ListsFoldersWithAConfigAndWeightsInOrder) {
  TempDir dir;
  for (const std::string config : {"b/config.json", "a/config.yaml", "untrained/config.json"}) {
    dir.Write(config, "");
  }
  for (const std::string folder : {"a", "b", "c"}) dir.Write(folder + "/model.safetensors", "");
  dir.Write("config.json", "");
  EXPECT_THAT(*ListModelFolders(dir.path.string()), ElementsAre("a", "b"));
  EXPECT_FALSE(ListModelFolders("/no/such/dir").ok());
}

}  // namespace
}  // namespace firstbyte
