// What the library that fake_nvml.cc builds says, for tests to change: its symbol `fake_nvml`.
#pragma once

struct FakeNvml {
  // Results of the calls; 0 is success.
  int init = 0;
  int count = 0;
  int handle_of_gpu_1 = 0;
  int utilization = 0;
  int power_of_gpu_1 = 0;
  unsigned gpus = 2;

  int running = 0;  // initialised and not shut down
  int reads = 0;    // of the memory of GPU 0
};
