// Names, priorities and turns of threads.
#pragma once

#include <string>

#include "absl/time/time.h"

namespace firstbyte {

// Names the calling thread as `top -H` and gdb show it (15 characters are kept).
void NameThisThread(const std::string& name);

// Lowers the calling thread's priority a little (nice +`nice`), so that model steps never delay
// a 30 us network reply. Returns false where the system refuses; harmless then.
bool LowerThisThreadsPriority(int nice);

// How long the calling thread, and those it starts from now on, mean to run at a time; zero: as
// long as is usual. Who asks for short turns (0.1 ms at least) waits less for each and gets no more
// time in all. Linux heeds it from 6.12 on. Returns false where the system refuses; harmless then.
bool SetThisThreadsTurn(absl::Duration turn);

}  // namespace firstbyte
