// Names of the buttons that a checkpoint numbers: Windows virtual-key codes.
#pragma once

#include <string>
#include <vector>

namespace firstbyte::waypoint {

// Of codes 0 .. count - 1, count <= 256, in the order of the codes: "W" is 0x57. A code without a
// name of its own is "VK_" and two hexadecimal digits. All are different.
std::vector<std::string> ButtonNames(int count);

}  // namespace firstbyte::waypoint
