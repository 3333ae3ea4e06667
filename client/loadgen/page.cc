#include "client/loadgen/page.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace firstbyte {

std::string HtmlReport(const nlohmann::json& report) {
  constexpr absl::string_view kMark = "/*REPORT*/null/*REPORT*/";
  // Names in the report are the user's: "</script>" must not end the script.
  const std::string json = absl::StrReplaceAll(
      report.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), {{"<", "\\u003c"}});
  return absl::StrReplaceAll(kPage, {{kMark, json}});
}

}  // namespace firstbyte
