// A walk as one picture.
#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/play/film_kinds.h"
#include "client/play/scale.h"
#include "codec/image.h"

namespace firstbyte {
namespace {

constexpr int kTiles = 48;
constexpr int kTilesInARow = 8;
constexpr int kSmallTile = 128, kLargeTile = 256;  // pixels wide, about
constexpr int kGap = 2;

// Never holds more than twice the tiles it shows: when it would, it forgets every other frame.
class StripFilm : public Film {
 public:
  explicit StripFilm(std::string path) : path_(std::move(path)) {}

  absl::Status Start(const FilmFormat& format) override {
    enlarge_ = std::max(1, kSmallTile / format.width);
    reduce_ = std::max(1, (format.width + kLargeTile - 1) / kLargeTile);
    return absl::OkStatus();
  }

  absl::Status AddFrame(const RgbImage& frame) override {
    if (frames_++ % stride_ != 0) return absl::OkStatus();
    tiles_.push_back(reduce_ > 1 ? Reduce(frame, reduce_) : frame);
    if (tiles_.size() < size_t{2} * kTiles) return absl::OkStatus();
    for (size_t i = 0; 2 * i < tiles_.size(); ++i) std::swap(tiles_[i], tiles_[2 * i]);
    tiles_.resize(kTiles);
    stride_ *= 2;
    return absl::OkStatus();
  }

  absl::Status AddSound(absl::string_view) override { return absl::OkStatus(); }

  absl::Status Close() override {
    if (tiles_.empty()) return absl::OkStatus();
    RgbImage strip = Compose();
    tiles_.clear();
    std::string png;
    auto status = EncodeImage(strip.data, strip.width, strip.height, ImageFormat::kPng, 0, &png);
    if (!status.ok()) return status;
    std::FILE* file = std::fopen(path_.c_str(), "wbe");
    bool written = file != nullptr && std::fwrite(png.data(), 1, png.size(), file) == png.size();
    if (file != nullptr && std::fclose(file) == 0 && written) return absl::OkStatus();
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path_));
  }

 private:
  RgbImage Compose() const {
    const int count = std::min<int>(kTiles, static_cast<int>(tiles_.size()));
    const int columns = std::min(count, kTilesInARow);
    const int rows = (count + columns - 1) / columns;
    const int width = tiles_[0].width * enlarge_, height = tiles_[0].height * enlarge_;
    RgbImage strip{columns * (width + kGap) - kGap, rows * (height + kGap) - kGap, {}};
    strip.data.resize(size_t{3} * strip.width * strip.height);
    for (int i = 0; i < count; ++i) {
      const RgbImage tile = Enlarge(tiles_[i * tiles_.size() / count], enlarge_);
      const int left = i % columns * (width + kGap), top = i / columns * (height + kGap);
      for (int y = 0; y < height; ++y) {
        std::copy_n(&tile.data[size_t{3} * y * width], 3 * width,
                    &strip.data[size_t{3} * ((top + y) * size_t{1} * strip.width + left)]);
      }
    }
    return strip;
  }

  const std::string path_;
  int enlarge_ = 1, reduce_ = 1;
  std::vector<RgbImage> tiles_;
  int64_t frames_ = 0, stride_ = 1;
};

}  // namespace

std::unique_ptr<Film> NewStripFilm(std::string path) {
  return std::make_unique<StripFilm>(std::move(path));
}

}  // namespace firstbyte
