// Ogg-Opus (RFC 7845): Opus packets in the container that `.opus` files use.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace firstbyte {

// Turns packets of one mono stream into bytes to be written in order. The newest packet is held
// back, because only the last one may carry the end mark. One thread.
class OggOpusMuxer {
 public:
  struct Options {
    int input_rate_hertz = 16000;  // told to players for information; decoding is at 48 kHz
    int pre_skip = 0;              // samples at 48 kHz
    uint32_t serial = 1;           // of the logical stream; any number
  };
  explicit OggOpusMuxer(const Options& options);
  ~OggOpusMuxer();
  OggOpusMuxer(const OggOpusMuxer&) = delete;
  OggOpusMuxer& operator=(const OggOpusMuxer&) = delete;

  // The two header pages; write them first.
  std::string Headers();
  // `duration` in samples at 48 kHz (960 for 20 ms). Returns a page about once a second of audio,
  // else nothing.
  std::string Add(absl::string_view packet, int duration);
  // The last page. `total` = audible samples at 48 kHz, without pre-skip and padding: players cut
  // there exactly.
  std::string Finish(int64_t total);

 private:
  void PutHeld(int64_t granule, bool last);
  std::string Pages(bool flush);

  struct Stream;  // libogg's state
  Stream* const stream_;
  const Options options_;
  std::string held_;
  int64_t granule_ = 0;  // samples at 48 kHz, pre-skip included, up to the end of held_
  int packets_in_page_ = 0;
};

}  // namespace firstbyte
