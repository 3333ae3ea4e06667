// SIGTERM and SIGINT, and the server's own wish to stop, as something to wait for.
#pragma once

namespace firstbyte {

// Make it before any thread: threads inherit that the signals are held back.
class StopSignal {
 public:
  StopSignal();

  // Returns the number of the first signal; SIGUSR1 for Raise(). From then on another one from
  // outside ends the process at once, as it does by default: for the operator who will not wait for
  // a drain.
  int Wait();

  // The server wants to stop by itself. Nothing happens when it does so already. Any thread.
  static void Raise();
};

}  // namespace firstbyte
