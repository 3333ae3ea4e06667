// Tables for people: columns aligned with spaces.
#pragma once

#include <string>
#include <vector>

#include "google/protobuf/timestamp.pb.h"

namespace firstbyte {

// One line a row, ending in a newline. The first row is the heading; all have as many cells.
std::string Table(const std::vector<std::vector<std::string>>& rows);

// "1.5 MB".
std::string Megabytes(int64_t bytes);

// "2026-11-21 15:20:03", local time; "-" when not set.
std::string LocalTime(const google::protobuf::Timestamp& time);

}  // namespace firstbyte
