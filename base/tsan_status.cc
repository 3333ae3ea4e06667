// Only in ThreadSanitizer's build. Debian's libabsl_status is not instrumented: the last reference
// to a status is given back inside it, unseen, and every status that crosses threads would look
// like a race. This definition takes the library's place and is instrumented.
#include "absl/status/status.h"

namespace absl {
ABSL_NAMESPACE_BEGIN

void Status::UnrefNonInlined(uintptr_t rep) {
  status_internal::StatusRep* status = RepToPointer(rep);
  if (status->ref.fetch_sub(1, std::memory_order_acq_rel) == 1) delete status;
}

ABSL_NAMESPACE_END
}  // namespace absl
