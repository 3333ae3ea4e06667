#include "server/scheduler/recent_time.h"

#include <algorithm>
#include <cmath>

namespace firstbyte {
namespace {

constexpr absl::Duration kRecent = absl::Milliseconds(200);

}  // namespace

int RecentTime::Enter(const std::string& tenant) {
  auto place = std::find_if(tenants_.begin(), tenants_.end(), [&](const Tenant& known) {
    return known.sessions > 0 && known.name == tenant;
  });
  if (place == tenants_.end()) {
    place = std::find_if(tenants_.begin(), tenants_.end(),
                         [](const Tenant& known) { return known.sessions == 0; });
    if (place == tenants_.end()) place = tenants_.emplace(tenants_.end());
    *place = {.name = tenant};
  }
  ++place->sessions;
  return static_cast<int>(place - tenants_.begin());
}

void RecentTime::Leave(int tenant) { --tenants_[tenant].sessions; }

void RecentTime::Spend(absl::Span<const Share> sessions, absl::Duration took) {
  const double kept = std::exp(-absl::FDivDuration(took, kRecent));
  for (Tenant& tenant : tenants_) tenant.recent *= kept;
  all_ = all_ * kept + took;
  starting_ *= kept;
  const absl::Duration each = took / static_cast<int64_t>(sessions.size());
  for (const Share& session : sessions) {
    tenants_[session.tenant].recent += each;
    if (session.starting) starting_ += each;
  }
}

double RecentTime::start_up() const {
  return all_ > absl::ZeroDuration() ? absl::FDivDuration(starting_, all_) : 0;
}

}  // namespace firstbyte
