// SIGTERM and SIGINT as something to wait for.
#pragma once

namespace firstbyte {

// Make it before any thread: threads inherit that the signals are held back.
class StopSignal {
 public:
  StopSignal();

  // Returns the number of the first signal. From then on another one ends the process at once, as
  // it does by default: for the operator who will not wait for a drain.
  int Wait();

  // What a signal from outside does. Any thread.
  static void Raise();
};

}  // namespace firstbyte
