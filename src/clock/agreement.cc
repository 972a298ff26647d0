#include "src/clock/agreement.h"

#include <algorithm>
#include <tuple>

namespace holdfast::clock {

std::optional<Interval> Agree(const std::vector<Interval>& claims, size_t needed) {
  struct Edge {
    int64_t at_us;
    bool ends;  // Behind a beginning at the same place: both ends belong to an interval.
    bool operator<(const Edge& other) const {
      return std::tie(at_us, ends) < std::tie(other.at_us, other.ends);
    }
  };
  if (needed == 0) return std::nullopt;
  std::vector<Edge> edges;
  edges.reserve(2 * claims.size());
  for (const Interval& claim : claims) {
    edges.push_back({claim.earliest_us, false});
    edges.push_back({claim.latest_us, true});
  }
  std::sort(edges.begin(), edges.end());
  std::optional<Interval> agreed;
  size_t depth = 0;  // How many claims hold the place just behind an edge.
  for (const Edge& edge : edges) {
    if (edge.ends) {
      if (depth-- >= needed) agreed->latest_us = edge.at_us;
    } else if (++depth >= needed && !agreed) {
      agreed = Interval{edge.at_us, edge.at_us};
    }
  }
  return agreed;
}

}  // namespace holdfast::clock
