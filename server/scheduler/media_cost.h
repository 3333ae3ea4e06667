// What the encoders of a stream's media take. They run on threads that have no core of their own:
// what they take, the lanes lack.
#pragma once

#include "base/clock.h"
#include "codec/audio_encoder.h"
#include "codec/image.h"
#include "model/model.h"

namespace firstbyte {

// Of one model: shares of a core, for media at the model's own pace. Zero for samples and pixels
// that are sent as they are, and for what was not measured.
class MediaCosts {
 public:
  // Encodes `media`, which the model made, in each way that takes time; each with its default
  // quality. The least of several attempts counts.
  static MediaCosts Measure(const ModelInfo& info, const Output& media, const Clock& clock);

  double Of(const AudioFormat& format) const;
  double Of(ImageFormat format) const;

 private:
  double opus_ = 0, jpeg_ = 0, png_ = 0;
};

}  // namespace firstbyte
