#include "client/play/show.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "codec/image.h"

namespace firstbyte {
namespace {

// Pictures of a server that the user chose: bounds against accidents only.
constexpr ImageLimits kLimits = {.max_bytes = 256 << 20, .max_side = 16384, .max_pixels = 1 << 26};

ImageFormat FormatOf(v1::VideoFormat format) {
  if (format == v1::VIDEO_FORMAT_RAW_RGB) return ImageFormat::kRawRgb;
  return format == v1::VIDEO_FORMAT_PNG ? ImageFormat::kPng : ImageFormat::kJpeg;
}

void Keep(absl::Status next, absl::Status* first) {
  if (first->ok()) *first = std::move(next);
}

}  // namespace

Show::Show(std::vector<std::unique_ptr<Film>> films, std::unique_ptr<AudioSink> player,
           PlayFigures* figures)
    : films_(std::move(films)), player_(std::move(player)), figures_(figures) {}

absl::Status Show::Take(const v1::StepWorldResponse& response) {
  if (response.has_opened()) return Open(response.opened());
  if (response.has_block()) return AddBlock(response.block());
  if (response.has_audio()) return AddSound(response.audio());
  if (response.has_snapshot()) snapshots_.push_back(response.snapshot());
  if (response.has_notice()) figures_->Skipped(response.notice().skipped_block_count());
  if (response.has_summary()) {
    summary_ = response.summary();
    has_summary_ = true;
    figures_->Skipped(summary_.skipped_block_count());
  }
  return absl::OkStatus();
}

absl::Status Show::Open(const v1::WorldOpened& opened) {
  opened_ = opened;
  if (std::exchange(started_, true)) return absl::OkStatus();  // a resumed one goes on
  FilmFormat format{opened.width(), opened.height(), opened.fps(), 0};
  if (opened.has_audio_format()) {
    format.sample_rate_hertz = opened.audio_format().sample_rate_hertz();
    auto decoder = ChunkDecoder::Create(opened.audio_format());
    if (!decoder.ok()) return decoder.status();
    decoder_ = *std::move(decoder);
    if (player_ != nullptr && !player_->Start(opened.audio_format()).ok()) player_ = nullptr;
  }
  absl::Status status;
  for (const auto& film : films_) Keep(film->Start(format), &status);
  return status;
}

absl::Status Show::AddBlock(const v1::Block& block) {
  figures_->Received(block, Clock::Steady().Now());
  last_block_ = block.index();
  absl::Status status;
  for (const v1::Frame& frame : block.frames()) {
    auto image = DecodeImage(frame.data(), FormatOf(opened_.video_format()), kLimits,
                             opened_.width(), opened_.height());
    if (!image.ok()) return image.status();
    frame_ = *std::move(image);
    for (const auto& film : films_) Keep(film->AddFrame(frame_), &status);
  }
  return status;
}

absl::Status Show::AddSound(const v1::AudioChunk& chunk) {
  if (decoder_ == nullptr) return absl::OkStatus();
  auto pcm16 = decoder_->Pcm16(chunk);
  if (!pcm16.ok()) return pcm16.status();
  if (player_ != nullptr && !player_->Write(chunk).ok()) player_ = nullptr;
  absl::Status status;
  for (const auto& film : films_) Keep(film->AddSound(*pcm16), &status);
  return status;
}

absl::Status Show::Close(bool abruptly) {
  if (player_ != nullptr && !abruptly) player_->Close().IgnoreError();
  player_ = nullptr;
  absl::Status status;
  for (const auto& film : films_) Keep(film->Close(), &status);
  return status;
}

}  // namespace firstbyte
