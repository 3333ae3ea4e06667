// One self-contained HTML page with the plots of a run.
#pragma once

#include <string>

#include "nlohmann/json.hpp"

namespace firstbyte {

// page.html, where a report belongs between two marks.
extern const char kPage[];

// `report` as report_json.h makes it: of one load or of a sweep. The page loads nothing.
std::string HtmlReport(const nlohmann::json& report);

}  // namespace firstbyte
