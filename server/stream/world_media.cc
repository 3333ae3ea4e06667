#include "server/stream/world_media.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace firstbyte {

absl::StatusOr<std::unique_ptr<WorldMedia>> WorldMedia::Create(const ModelInfo& info,
                                                               const OpenWorld& open) {
  if (open.video == ImageFormat::kJpeg && (open.jpeg_quality < 1 || open.jpeg_quality > 100)) {
    return Invalid("OUT_OF_RANGE", "quality must be from 1 to 100, or 0 for the default",
                   "open.video.quality");
  }
  std::unique_ptr<WorldMedia> media(new WorldMedia(info, open));
  const WorldInfo& world = *info.world;
  media->cheap_ = open.video == ImageFormat::kRawRgb;
  media->max_block_bytes_ =
      world.frames_per_block * MaxEncodedImageBytes(open.video, world.width, world.height);
  if (open.audio) {
    if (absl::Status status = media->SetAudio(); !status.ok()) return status;
  }
  return media;
}

absl::Status WorldMedia::SetAudio() {
  if (info_.sample_rate_hertz == 0) {
    return Invalid("NO_SOUND", "this world makes no sound", "open.audio");
  }
  AudioFormat& format = *format_.audio;
  if (format.sample_rate_hertz == 0) format.sample_rate_hertz = info_.sample_rate_hertz;
  if (format.sample_rate_hertz != info_.sample_rate_hertz) {
    return Error(absl::StatusCode::kUnimplemented, "NOT_SUPPORTED",
                 absl::StrCat("this world is served at ", info_.sample_rate_hertz,
                              " Hz only; leave sample_rate_hertz at 0"),
                 "open.audio.sample_rate_hertz");
  }
  auto encoder = NewAudioEncoder(format);
  if (!encoder.ok()) {
    const absl::Status& status = encoder.status();
    return Error(status.code(), DetailOf(status).reason, status.message(), "open.audio.encoding");
  }
  encoder_ = *std::move(encoder);
  cheap_ = cheap_ && format.encoding != AudioEncoding::kOpus;
  max_block_bytes_ +=
      MaxEncodedBytes(format, int64_t{info_.world->frames_per_block} * info_.samples_per_frame);
  return absl::OkStatus();
}

double WorldMedia::EncodingCost(const MediaCosts& costs) const {
  return costs.Of(format_.video) + (format_.audio ? costs.Of(*format_.audio) : 0);
}

void WorldMedia::Describe(WorldOpened* opened) const {
  opened->video = format_.video;
  opened->audio = format_.audio;
  if (!encoder_) return;
  opened->container_header = encoder_->header();
  opened->opus_pre_skip = encoder_->pre_skip();
}

absl::StatusOr<WorldMedia::Coded> WorldMedia::Encode(const SavedBlock& block) {
  const WorldInfo& world = *info_.world;
  Coded coded{.block = {.index = block.output.block,
                        .presentation_offset = block.presentation_offset,
                        .applied_action_sequence = block.applied_action_sequence,
                        .client_time = block.client_time}};
  const size_t frame_bytes = size_t{3} * world.width * world.height;
  const absl::Span<const uint8_t> pixels = block.output.frames;
  for (size_t at = 0; at + frame_bytes <= pixels.size(); at += frame_bytes) {
    std::string frame;
    absl::Status status = EncodeImage(pixels.subspan(at, frame_bytes), world.width, world.height,
                                      format_.video, format_.jpeg_quality, &frame);
    if (!status.ok()) return status;
    coded.block_bytes += static_cast<int64_t>(frame.size());
    coded.block.frames.push_back(std::move(frame));
  }
  if (encoder_) {
    const double begin = absl::ToDoubleSeconds(block.presentation_offset) * info_.sample_rate_hertz;
    media_clock_ = std::llround(begin) - appended_;
    appended_ += static_cast<int64_t>(block.output.samples.size());
    coded.audio = Audio(encoder_->Append(block.output.samples));
  }
  return coded;
}

std::optional<SpeechAudio> WorldMedia::Finish() {
  if (!encoder_) return std::nullopt;
  return Audio(encoder_->Finish());
}

std::optional<SpeechAudio> WorldMedia::Audio(EncodedAudio audio) {
  if (audio.empty()) return std::nullopt;
  SpeechAudio message{.sequence = sequence_++,
                      .audio = std::move(audio),
                      .start_sample = media_clock_ + sent_,
                      .sample_rate_hertz = info_.sample_rate_hertz};
  sent_ += message.audio.samples;
  return message;
}

}  // namespace firstbyte
