// Exit codes of `firstbyte`, listed in its --help.
#pragma once

namespace firstbyte {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;  // the server refused or failed, a file could not be written
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;

}  // namespace firstbyte
