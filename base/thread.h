// Names and priorities of threads.
#pragma once

#include <string>

namespace firstbyte {

// Names the calling thread as `top -H` and gdb show it (15 characters are kept).
void NameThisThread(const std::string& name);

// Lowers the calling thread's priority a little (nice +`nice`), so that model steps never delay
// a 30 us network reply. Returns false where the system refuses; harmless then.
bool LowerThisThreadsPriority(int nice);

}  // namespace firstbyte
