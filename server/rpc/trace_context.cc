#include "server/rpc/trace_context.h"

#include <algorithm>

namespace firstbyte {
namespace {

bool IsHex(absl::string_view text) {  // lower case, as the standard asks
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsId(absl::string_view text) {
  return IsHex(text) && text.find_first_not_of('0') != absl::string_view::npos;
}

}  // namespace

bool IsTraceparent(absl::string_view text) {
  return text.size() == 55 && text.substr(0, 3) == "00-" && IsId(text.substr(3, 32)) &&
         text[35] == '-' && IsId(text.substr(36, 16)) && text[52] == '-' && IsHex(text.substr(53));
}

std::string TraceparentOf(const grpc::CallbackServerContext& context) {
  const auto sent = context.client_metadata().find("traceparent");
  if (sent == context.client_metadata().end()) return "";
  const absl::string_view text(sent->second.data(), sent->second.size());
  return IsTraceparent(text) ? std::string(text) : "";
}

}  // namespace firstbyte
