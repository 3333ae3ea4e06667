// What each stage of the embedded voice costs on one core, beside the same networks in eager
// LibTorch in the same run.
#pragma once

#include <string>

#include "bench/roofline.h"
#include "model/kernels/kernels.h"
#include "nlohmann/json.hpp"

namespace firstbyte {

// Prints tables and returns their numbers. Every number is the fastest of several repetitions of
// the thread's processor time; only the front end, which has a thread of its own, is on the wall
// clock. Ends the program when `folder` is not a voice.
nlohmann::json MeasureVoice(const std::string& folder, const kernels::KernelTable& kernels,
                            const Roofs& roofs);

}  // namespace firstbyte
