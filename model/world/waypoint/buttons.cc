#include "model/world/waypoint/buttons.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace firstbyte::waypoint {
namespace {

const std::map<int, const char*>& NamedKeys() {
  static const auto* const names = new std::map<int, const char*>{
      {0x01, "MOUSE_LEFT"},    {0x02, "MOUSE_RIGHT"}, {0x04, "MOUSE_MIDDLE"}, {0x05, "MOUSE_BACK"},
      {0x06, "MOUSE_FORWARD"}, {0x08, "BACKSPACE"},   {0x09, "TAB"},          {0x0D, "ENTER"},
      {0x10, "SHIFT"},         {0x11, "CTRL"},        {0x12, "ALT"},          {0x14, "CAPS_LOCK"},
      {0x1B, "ESCAPE"},        {0x20, "SPACE"},       {0x21, "PAGE_UP"},      {0x22, "PAGE_DOWN"},
      {0x23, "END"},           {0x24, "HOME"},        {0x25, "LEFT"},         {0x26, "UP"},
      {0x27, "RIGHT"},         {0x28, "DOWN"},        {0x2D, "INSERT"},       {0x2E, "DELETE"},
      {0xA0, "LEFT_SHIFT"},    {0xA1, "RIGHT_SHIFT"}, {0xA2, "LEFT_CTRL"},    {0xA3, "RIGHT_CTRL"},
      {0xA4, "LEFT_ALT"},      {0xA5, "RIGHT_ALT"}};
  return *names;
}

std::string NameOf(int code) {
  if ((code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z')) {
    return std::string(1, static_cast<char>(code));
  }
  if (code >= 0x60 && code <= 0x69) return absl::StrCat("NUMPAD_", code - 0x60);
  if (code >= 0x70 && code <= 0x87) return absl::StrCat("F", code - 0x6F);
  auto named = NamedKeys().find(code);
  return named != NamedKeys().end() ? named->second : absl::StrFormat("VK_%02X", code);
}

}  // namespace

std::vector<std::string> ButtonNames(int count) {
  std::vector<std::string> names;
  for (int code = 0; code < count; ++code) names.push_back(NameOf(code));
  return names;
}

}  // namespace firstbyte::waypoint
