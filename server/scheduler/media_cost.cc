#include "server/scheduler/media_cost.h"

#include <algorithm>
#include <memory>
#include <string>

namespace firstbyte {
namespace {

constexpr int kAttempts = 3;
constexpr int64_t kMostSamples = 8000;  // enough for a mean, and three milliseconds of start-up

// What `encode` takes of the time that its media lasts.
template <typename Encode>
double Share(const Clock& clock, absl::Duration media, Encode encode) {
  if (media <= absl::ZeroDuration()) return 0;
  absl::Duration least = absl::InfiniteDuration();
  for (int i = 0; i < kAttempts; ++i) {
    const absl::Time begin = clock.Now();
    encode();
    least = std::min(least, clock.Now() - begin);
  }
  return absl::FDivDuration(least, media);
}

double OpusShare(int sample_rate_hertz, absl::Span<const float> samples, const Clock& clock) {
  const AudioFormat format{.encoding = AudioEncoding::kOpus,
                           .sample_rate_hertz = sample_rate_hertz};
  if (!NewAudioEncoder(format).ok()) return 0;  // not a rate of Opus
  const absl::Duration media =
      absl::Seconds(1) * static_cast<int64_t>(samples.size()) / sample_rate_hertz;
  return Share(clock, media, [&] { (*NewAudioEncoder(format))->Append(samples); });
}

double PictureShare(const WorldInfo& world, absl::Span<const uint8_t> frames, ImageFormat format,
                    const Clock& clock) {
  const size_t bytes = size_t{3} * world.width * world.height;
  const absl::Duration media = absl::Seconds(frames.size() / bytes / world.frames_per_second);
  return Share(clock, media, [&] {
    std::string coded;
    for (size_t at = 0; at + bytes <= frames.size(); at += bytes) {
      EncodeImage(frames.subspan(at, bytes), world.width, world.height, format, kDefaultJpegQuality,
                  &coded)
          .IgnoreError();  // only for sizes that do not hold together
    }
  });
}

}  // namespace

MediaCosts MediaCosts::Measure(const ModelInfo& info, const Output& media, const Clock& clock) {
  MediaCosts costs;
  const absl::Span<const float> samples = media.samples;
  if (!samples.empty()) {
    costs.opus_ = OpusShare(info.sample_rate_hertz, samples.subspan(0, kMostSamples), clock);
  }
  if (info.world) {
    costs.jpeg_ = PictureShare(*info.world, media.frames, ImageFormat::kJpeg, clock);
    costs.png_ = PictureShare(*info.world, media.frames, ImageFormat::kPng, clock);
  }
  return costs;
}

double MediaCosts::Of(const AudioFormat& format) const {
  return format.encoding == AudioEncoding::kOpus ? opus_ : 0;
}

double MediaCosts::Of(ImageFormat format) const {
  switch (format) {
    case ImageFormat::kRawRgb:
      return 0;
    case ImageFormat::kJpeg:
      return jpeg_;
    case ImageFormat::kPng:
      return png_;
  }
  return 0;
}

}  // namespace firstbyte
