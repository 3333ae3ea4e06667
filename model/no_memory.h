// Failed allocations as statuses.
#pragma once

#include <exception>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace firstbyte {

// Calls f(), which returns a Status or StatusOr. An allocation that fails in it is an exception,
// LibTorch's or the library's: kResourceExhausted (NO_MEMORY), `what` in front.
template <typename F>
std::invoke_result_t<F> OrNoMemory(absl::string_view what, F f) {
  try {
    return f();
  } catch (const std::exception& e) {
    return Error(absl::StatusCode::kResourceExhausted, "NO_MEMORY",
                 absl::StrCat(what, ": ", e.what()));
  }
}

}  // namespace firstbyte
