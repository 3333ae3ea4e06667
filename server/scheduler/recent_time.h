// Whom a lane's recent time went to: tenants, and sessions that start. The policy decides by it
// where deadlines do not.
//
// Recent is what was spent within the last 200 ms of steps or so, older time counting ever less: a
// tenant is neither owed for having been away nor made to pay for what it used while nobody else
// wanted it. So there is no deficit to bound, as there would be in deficit round robin.
//
// Not thread-safe: a lane has its own.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace firstbyte {

class RecentTime {
 public:
  // A session came, and its tenant's index until the last session of that tenant has left.
  int Enter(const std::string& tenant);
  void Leave(int tenant);

  struct Share {
    int tenant = 0;
    bool starting = false;
  };
  // A step took so long, for these sessions in equal parts.
  void Spend(absl::Span<const Share> sessions, absl::Duration took);

  absl::Duration of(int tenant) const { return tenants_[tenant].recent; }
  // How much of the recent time went to sessions that start, 0 to 1.
  double start_up() const;

  size_t tenants() const { return tenants_.size(); }

 private:
  struct Tenant {
    std::string name;
    int sessions = 0;  // 0: the place is free
    absl::Duration recent;
  };
  std::vector<Tenant> tenants_;  // as many as there ever were at once
  absl::Duration all_, starting_;
};

}  // namespace firstbyte
