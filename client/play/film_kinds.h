// The kinds of Film that NewFilm() chooses from (client/play/film.h).
#pragma once

#include <memory>
#include <string>

#include "client/play/film.h"

namespace firstbyte {

std::unique_ptr<Film> NewStripFilm(std::string path);
std::unique_ptr<Film> NewAviFilm(std::string path);
// Through a temporary .avi beside `path`. `ffmpeg`: its path.
std::unique_ptr<Film> NewEncodedFilm(std::string path, std::string ffmpeg);

}  // namespace firstbyte
