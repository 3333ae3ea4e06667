// `firstbyte voices`: the voices of a server as a table.
#pragma once

#include <string>

#include "firstbyte/v1/speech.pb.h"

namespace firstbyte {

// One line a voice, columns aligned, ending in a newline; "*" marks the default.
std::string VoiceTable(const v1::ListVoicesResponse& voices);

// Prints the table to stdout; returns the exit code.
int Voices(const std::string& target);

}  // namespace firstbyte
