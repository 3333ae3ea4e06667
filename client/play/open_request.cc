#include "client/play/open_request.h"

#include <fstream>
#include <optional>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "client/utf8.h"
#include "codec/image.h"

namespace firstbyte {
namespace {

absl::Status Usage(absl::string_view message) { return absl::InvalidArgumentError(message); }

std::optional<v1::Pacing> PacingOf(const std::string& name, bool by_hand) {
  if (name.empty()) return by_hand ? v1::PACING_REALTIME : v1::PACING_LOCKSTEP;
  if (name == "realtime") return v1::PACING_REALTIME;
  if (name == "lockstep") return v1::PACING_LOCKSTEP;
  if (name == "free") return v1::PACING_FREE_RUN;
  return std::nullopt;
}

std::optional<v1::VideoFormat> VideoOf(const std::string& name, bool by_hand) {
  if (name.empty()) return by_hand ? v1::VIDEO_FORMAT_JPEG : v1::VIDEO_FORMAT_RAW_RGB;
  if (name == "raw") return v1::VIDEO_FORMAT_RAW_RGB;
  if (name == "jpeg") return v1::VIDEO_FORMAT_JPEG;
  if (name == "png") return v1::VIDEO_FORMAT_PNG;
  return std::nullopt;
}

absl::Status SetImage(const std::string& path, v1::CreateOrigin* create) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Usage(absl::StrCat("cannot read ", path));
  std::ostringstream bytes;
  bytes << file.rdbuf();
  create->set_initial_image(bytes.str());
  auto format = SniffImageFormat(create->initial_image());
  if (!format) return Usage(absl::StrCat(path, " is neither a JPEG nor a PNG"));
  create->set_initial_image_format(*format == ImageFormat::kPng ? v1::VIDEO_FORMAT_PNG
                                                                : v1::VIDEO_FORMAT_JPEG);
  return absl::OkStatus();
}

// Whether the world that is going to be played has sound.
absl::StatusOr<bool> HasSound(const std::string& model, WorldClient* client) {
  auto worlds = client->ListWorlds();
  if (!worlds.ok()) return worlds.status();
  for (const v1::World& world : worlds->worlds()) {
    if (model.empty() ? world.is_default() : world.model() == model) {
      return world.audio_sample_rate_hertz() > 0;
    }
  }
  return false;  // opening it says what is wrong
}

absl::Status SetResume(const PlayOptions& options, WorldClient* client, v1::OpenWorld* open) {
  auto& resume = *open->mutable_resume();
  resume.set_session_id(options.resume);
  resume.set_token(options.token);
  auto session = client->GetSession(options.resume);
  if (!session.ok()) return session.status();
  open->set_model(session->model());
  resume.set_last_block_received(options.last_block.value_or(session->next_block() - 1));
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPlayOptions(const PlayOptions& options) {
  const bool by_hand = options.script.empty();
  if (!PacingOf(options.pacing, by_hand)) {
    return Usage(
        absl::StrCat("--pacing ", options.pacing, ": realtime, lockstep and free are known"));
  }
  if (!VideoOf(options.video, by_hand)) {
    return Usage(absl::StrCat("--video ", options.video, ": raw, jpeg and png are known"));
  }
  if (!options.colours.empty() && options.colours != "auto" && options.colours != "truecolor" &&
      options.colours != "256") {
    return Usage(absl::StrCat("--colors ", options.colours, ": auto, truecolor and 256 are known"));
  }
  if (!options.resume.empty() && options.token.empty()) {
    return Usage("--resume needs the --token that the session was left with");
  }
  const bool create = options.seed || !options.prompt.empty() || !options.image.empty();
  const bool resume = !options.resume.empty(), snapshot = !options.snapshot.empty();
  if (int{create} + int{resume} + int{snapshot} > 1) {
    return Usage("a session is new (--seed, --prompt, --image), resumed or from a snapshot");
  }
  if (!IsUtf8(options.prompt)) return Usage("the prompt is not UTF-8");
  return absl::OkStatus();
}

absl::StatusOr<v1::OpenWorld> MakeOpenRequest(const PlayOptions& options, WorldClient* client) {
  const bool by_hand = options.script.empty();
  v1::OpenWorld open;
  open.set_model(options.model);
  open.set_pacing(*PacingOf(options.pacing, by_hand));
  open.set_target_fps(static_cast<float>(options.fps));
  open.mutable_video()->set_format(*VideoOf(options.video, by_hand));
  open.mutable_video()->set_quality(options.quality);
  absl::Status status;
  if (!options.resume.empty()) {
    status = SetResume(options, client, &open);
  } else if (!options.snapshot.empty()) {
    open.mutable_snapshot()->set_snapshot_id(options.snapshot);
  } else {
    auto& create = *open.mutable_create();
    if (options.seed) create.set_seed(*options.seed);
    create.set_prompt(options.prompt);
    if (!options.image.empty()) status = SetImage(options.image, &create);
  }
  if (!status.ok()) return status;
  auto sound = HasSound(open.model(), client);
  if (!sound.ok()) return sound.status();
  if (*sound) open.mutable_audio()->set_encoding(v1::AUDIO_ENCODING_PCM16);
  return open;
}

}  // namespace firstbyte
