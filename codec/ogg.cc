#include "codec/ogg.h"

#include <utility>

#include <ogg/ogg.h>

namespace firstbyte {
namespace {

constexpr int kPacketsPerPage = 50;  // one second of 20 ms frames

void AppendLittleEndian(uint32_t value, int bytes, std::string* out) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

std::string OpusHead(const OggOpusMuxer::Options& options) {
  std::string head = "OpusHead";
  AppendLittleEndian(1, 1, &head);  // version
  AppendLittleEndian(1, 1, &head);  // channels
  AppendLittleEndian(options.pre_skip, 2, &head);
  AppendLittleEndian(options.input_rate_hertz, 4, &head);
  AppendLittleEndian(0, 2, &head);  // gain
  AppendLittleEndian(0, 1, &head);  // mapping family: mono or stereo
  return head;
}

std::string OpusTags() {
  constexpr absl::string_view kVendor = "firstbyte";
  std::string tags = "OpusTags";
  AppendLittleEndian(kVendor.size(), 4, &tags);
  tags.append(kVendor.data(), kVendor.size());
  AppendLittleEndian(0, 4, &tags);  // no comments
  return tags;
}

}  // namespace

struct OggOpusMuxer::Stream {
  ogg_stream_state state;
  int64_t packet_number = 0;

  void Put(std::string* bytes, int64_t granule, bool last) {
    ogg_packet packet = {};
    packet.packet = reinterpret_cast<unsigned char*>(bytes->data());
    packet.bytes = static_cast<long>(bytes->size());  // NOLINT(google-runtime-int): libogg's type
    packet.b_o_s = packet_number == 0;
    packet.e_o_s = last;
    packet.granulepos = granule;
    packet.packetno = packet_number++;
    ogg_stream_packetin(&state, &packet);  // copies
  }
};

OggOpusMuxer::OggOpusMuxer(const Options& options) : stream_(new Stream), options_(options) {
  ogg_stream_init(&stream_->state, static_cast<int>(options.serial));
}

OggOpusMuxer::~OggOpusMuxer() {
  ogg_stream_clear(&stream_->state);
  delete stream_;
}

std::string OggOpusMuxer::Headers() {
  // Each header has a page of its own: RFC 7845 section 3.
  std::string head = OpusHead(options_), tags = OpusTags();
  stream_->Put(&head, 0, false);
  std::string bytes = Pages(/*flush=*/true);
  stream_->Put(&tags, 0, false);
  return bytes + Pages(/*flush=*/true);
}

std::string OggOpusMuxer::Add(absl::string_view packet, int duration) {
  std::string page;
  if (!held_.empty()) {
    PutHeld(granule_, /*last=*/false);
    page = Pages(/*flush=*/packets_in_page_ == kPacketsPerPage);
  }
  held_ = std::string(packet);
  granule_ += duration;
  return page;
}

std::string OggOpusMuxer::Finish(int64_t total) {
  if (held_.empty()) return "";
  PutHeld(options_.pre_skip + total, /*last=*/true);
  return Pages(/*flush=*/true);
}

void OggOpusMuxer::PutHeld(int64_t granule, bool last) {
  stream_->Put(&held_, granule, last);
  held_.clear();
  ++packets_in_page_;
}

std::string OggOpusMuxer::Pages(bool flush) {
  std::string bytes;
  ogg_page page;
  while (flush ? ogg_stream_flush(&stream_->state, &page)
               : ogg_stream_pageout(&stream_->state, &page)) {
    bytes.append(reinterpret_cast<char*>(page.header), page.header_len);
    bytes.append(reinterpret_cast<char*>(page.body), page.body_len);
    packets_in_page_ = 0;
  }
  return bytes;
}

}  // namespace firstbyte
