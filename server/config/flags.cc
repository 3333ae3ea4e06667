#include <cstdlib>
#include <fstream>
#include <sstream>

#include "CLI/CLI.hpp"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/config/config.h"
#include "server/config/fields.h"
#include "server/config/version.h"

namespace firstbyte {
namespace {

constexpr char kExamples[] = R"(Examples:
  firstbyted                                   every embedded model on 127.0.0.1:50051
  firstbyted --listen 0.0.0.0:50051 --lanes 2  to other machines, two model threads
  firstbyted --models aligned-mel-en           one model of the folder
  firstbyted --config server.yaml --print-config
Keys of the file are the flags with underscores: max_lead: 2s)";

// What the flags said; options must outlive CLI::App::parse.
struct Flags {
  CLI::App app{"firstbyted: streams neural speech over gRPC.", "firstbyted"};
  std::vector<std::string> values;  // parallel to ConfigFields()
  std::vector<CLI::Option*> options;
  std::string config_file;
  bool print_config = false;

  Flags() : values(ConfigFields().size()) {
    const Config defaults;
    app.set_version_flag("--version", std::string("firstbyted ") + kVersion);
    app.add_option("--config", config_file, "YAML file of settings");
    for (size_t i = 0; i < values.size(); ++i) {
      const ConfigField& field = ConfigFields()[i];
      const std::string value = FieldText(field, defaults);
      options.push_back(app.add_option(
          FlagName(field), values[i],
          absl::StrCat(field.help, value.empty() ? "" : absl::StrCat(" [", value, "]"))));
    }
    app.add_flag("--print-config", print_config, "Print the settings in force and exit");
    app.footer(kExamples);
    app.allow_extras();  // so that an unknown flag can be told with the nearest known one
  }

  std::vector<std::string> names() const {
    std::vector<std::string> names = {"--config", "--print-config", "--help", "--version"};
    for (const ConfigField& field : ConfigFields()) names.push_back(FlagName(field));
    return names;
  }
};

absl::Status Unexpected(const Flags& flags) {
  const std::vector<std::string> extras = flags.app.remaining();
  std::string word = extras.front();
  for (const std::string& extra : extras) {
    if (absl::StartsWith(extra, "-")) {
      word = extra.substr(0, extra.find('='));
      break;
    }
  }
  const std::string nearest = Nearest(word, flags.names());
  return absl::InvalidArgumentError(absl::StrCat(
      "unexpected argument '", word, "'",
      nearest.empty() ? "; see --help" : absl::StrCat("; did you mean ", nearest, "?")));
}

absl::Status ApplyFile(const std::string& path, Config* config) {
  std::ifstream in(path);
  std::stringstream text;
  if (!(text << in.rdbuf())) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read the file '", path, "' of --config"));
  }
  return ApplyYaml(text.str(), path, config);
}

constexpr size_t kMinSecretBytes = 16;

absl::StatusOr<std::string> TokenSecret(const Config& config) {
  std::string secret;
  if (!config.token_secret_file.empty()) {
    std::ifstream in(config.token_secret_file);
    std::stringstream text;
    if (!(text << in.rdbuf())) {
      return absl::InvalidArgumentError(absl::StrCat(
          "cannot read the file '", config.token_secret_file, "' of --token-secret-file"));
    }
    secret = text.str();
  } else if (const char* value = std::getenv("FIRSTBYTE_TOKEN_SECRET")) {
    secret = value;
  } else {
    return "";
  }
  absl::StripTrailingAsciiWhitespace(&secret);
  if (secret.size() >= kMinSecretBytes) return secret;
  return absl::InvalidArgumentError(
      absl::StrCat("the token secret must have at least ", kMinSecretBytes, " bytes"));
}

absl::Status ApplyFlags(const Flags& flags, Config* config) {
  for (size_t i = 0; i < flags.options.size(); ++i) {
    if (flags.options[i]->count() == 0) continue;
    const ConfigField& field = ConfigFields()[i];
    absl::Status status = SetField(field, flags.values[i], config);
    if (!status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(FlagName(field), ": ", status.message()));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Launch> ParseCommandLine(int argc, const char* const* argv) {
  Flags flags;
  Launch launch;
  try {
    flags.app.parse(argc, argv);
  } catch (const CLI::Success& e) {  // --help, --version
    std::ostringstream out;
    flags.app.exit(e, out, out);
    launch.answer = std::string(absl::StripTrailingAsciiWhitespace(out.str()));
    return launch;
  } catch (const CLI::ParseError& e) {
    return absl::InvalidArgumentError(e.what());
  }
  if (flags.app.remaining_size() > 0) return Unexpected(flags);
  absl::Status status;
  if (!flags.config_file.empty()) status.Update(ApplyFile(flags.config_file, &launch.config));
  if (const char* dir = std::getenv("FIRSTBYTE_MODELS_DIR")) launch.config.models_dir = dir;
  status.Update(ApplyFlags(flags, &launch.config));
  if (!status.ok()) return status;
  absl::StatusOr<std::string> secret = TokenSecret(launch.config);
  if (!secret.ok()) return secret.status();
  launch.config.token_secret = *std::move(secret);
  if (flags.print_config)
    launch.answer = std::string(absl::StripTrailingAsciiWhitespace(ToYaml(launch.config)));
  return launch;
}

}  // namespace firstbyte
