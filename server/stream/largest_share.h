// Who has to give way when room runs out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>

namespace firstbyte {

// Among `items`, oldest first: the oldest of the tenant that holds the most bytes, so that nobody
// pushes out another's. `items` is not empty; tenant_of and bytes_of take one of them.
template <typename Items, typename TenantOf, typename BytesOf>
auto OldestOfLargestShare(Items& items, TenantOf tenant_of, BytesOf bytes_of) {
  std::map<std::string, int64_t> shares;
  for (const auto& item : items) shares[tenant_of(item)] += bytes_of(item);
  int64_t most = 0;
  for (const auto& [tenant, bytes] : shares) most = std::max(most, bytes);
  auto oldest = items.begin();
  while (shares[tenant_of(*oldest)] < most) ++oldest;
  return oldest;
}

}  // namespace firstbyte
