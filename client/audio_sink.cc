#include "client/audio_sink.h"

#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/chunk_decoder.h"
#include "codec/ogg.h"
#include "codec/wav.h"

namespace firstbyte {
namespace {

absl::Status WriteAll(const std::string& bytes, std::FILE* file, const std::string& path) {
  // Flushed at once: whoever reads the pipe wants to hear it now.
  if (std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size() && std::fflush(file) == 0) {
    return absl::OkStatus();
  }
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
}

class WavFileSink : public AudioSink {
 public:
  explicit WavFileSink(std::string path) : path_(std::move(path)) {}

  absl::Status Start(const v1::AudioFormat& format) override {
    auto decoder = ChunkDecoder::Create(format);
    if (!decoder.ok()) return decoder.status();
    decoder_ = *std::move(decoder);
    auto file = WavFile::Create(path_, format.sample_rate_hertz(), format.channel_count());
    if (!file.ok()) return file.status();
    file_ = *std::move(file);
    return absl::OkStatus();
  }
  absl::Status Write(const v1::AudioChunk& chunk) override {
    auto pcm16 = decoder_->Pcm16(chunk);
    return pcm16.ok() ? file_->Write(*pcm16) : pcm16.status();
  }
  absl::Status Close() override { return file_ ? file_->Close() : absl::OkStatus(); }

 private:
  const std::string path_;
  std::unique_ptr<ChunkDecoder> decoder_;
  std::unique_ptr<WavFile> file_;
};

class OggFileSink : public AudioSink {
 public:
  explicit OggFileSink(std::string path) : path_(std::move(path)) {}
  ~OggFileSink() override { Close().IgnoreError(); }

  absl::Status Start(const v1::AudioFormat& format) override {
    if (format.encoding() != v1::AUDIO_ENCODING_OPUS) {
      return absl::InvalidArgumentError("an Opus file needs an Opus stream (--encoding opus)");
    }
    file_ = path_ == "-" ? stdout : std::fopen(path_.c_str(), "wb");
    if (file_ == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path_));
    muxer_ = std::make_unique<OggOpusMuxer>(
        OggOpusMuxer::Options{.input_rate_hertz = format.sample_rate_hertz(),
                              .pre_skip = format.opus_pre_skip_samples()});
    return WriteAll(muxer_->Headers(), file_, path_);
  }
  absl::Status Write(const v1::AudioChunk& chunk) override {
    std::string pages;
    for (const std::string& packet : chunk.packets()) {
      pages += muxer_->Add(packet, OpusPacketSamples(packet));
    }
    total_ = EndSample(chunk, 48000);
    return WriteAll(pages, file_, path_);
  }
  absl::Status Close() override {
    if (file_ == nullptr) return absl::OkStatus();
    absl::Status status = WriteAll(muxer_->Finish(total_), file_, path_);
    std::FILE* file = std::exchange(file_, nullptr);
    if (file != stdout) std::fclose(file);
    return status;
  }

 private:
  const std::string path_;
  std::FILE* file_ = nullptr;  // owned unless stdout
  std::unique_ptr<OggOpusMuxer> muxer_;
  int64_t total_ = 0;  // samples at 48 kHz
};

class StdoutSink : public AudioSink {
 public:
  absl::Status Start(const v1::AudioFormat& format) override {
    return WriteAll(format.container_header(), stdout, "standard output");
  }
  absl::Status Write(const v1::AudioChunk& chunk) override {
    return WriteAll(chunk.data(), stdout, "standard output");
  }
  absl::Status Close() override { return absl::OkStatus(); }
};

}  // namespace

std::unique_ptr<AudioSink> NewWavFileSink(std::string path) {
  return std::make_unique<WavFileSink>(std::move(path));
}
std::unique_ptr<AudioSink> NewOggFileSink(std::string path) {
  return std::make_unique<OggFileSink>(std::move(path));
}
std::unique_ptr<AudioSink> NewStdoutSink() { return std::make_unique<StdoutSink>(); }

}  // namespace firstbyte
