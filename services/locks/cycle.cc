#include "services/locks/cycle.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "services/locks/book.h"
#include "src/base/bounds.h"

namespace holdfast::locks {
namespace {

// Breadth first, so that the cycle is a shortest one. Many wait for the same lock, each for those
// before it: every holder and every place in a line is looked at once, whoever waits for it.
class Search {
 public:
  Search(const Tables& tables, const WaiterRow& want) : t_(tables), want_(want) {}

  std::vector<std::string> Run() {
    Expand(want_, std::numeric_limits<uint64_t>::max());
    for (size_t at = 0; at < reached_.size() && rows_left_ > 0; ++at) {
      const auto waits = t_.waiting.Get(reached_[at]);
      if (!waits) continue;
      const WaiterRow waiter = *t_.waiters.Get(waits->ticket);
      if (WaitsForWant(waiter)) return CycleFrom(waiter.owner);
      Expand(waiter, waits->ticket);
    }
    return {};
  }

 private:
  // How far those in the way of all who want one lock in one mode have been looked at.
  struct Seen {
    bool holders = false;
    uint64_t rank = 0;
    uint64_t ticket = 0;  // With the rank: the first place that was not.
  };

  // Somebody else's row; false: enough has been looked at.
  bool Spend() { return rows_left_ > 0 && rows_left_-- > 0; }

  // Whether the owner of `want` is in the way of one who waits: by what it holds, or because its
  // upgrade comes before those in line.
  bool WaitsForWant(const WaiterRow& waiter) {
    for (const std::string& name : waiter.names) {
      if (!Spend()) return false;
      const auto held = t_.Held(name, want_.owner);
      if (!held || t_.HoldsWellEnough(name, waiter)) continue;
      const auto at = std::lower_bound(want_.names.begin(), want_.names.end(), name);
      const bool upgrades =
          at != want_.names.end() && *at == name &&
          RankAt(want_, static_cast<size_t>(at - want_.names.begin())) == kUpgradeRank;
      if (upgrades || !Compatible(held->mode, waiter.mode)) return true;
    }
    return false;
  }

  // Reaches all who are in the way of the one who waits at `ticket`, lock by lock.
  void Expand(const WaiterRow& waiter, uint64_t ticket) {
    for (size_t i = 0; i < waiter.names.size(); ++i) {
      const std::string& name = waiter.names[i];
      if (!Spend()) return;
      if (t_.HoldsWellEnough(name, waiter)) continue;
      Seen& seen = seen_[{name, waiter.mode}];
      if (!std::exchange(seen.holders, true)) {
        t_.holders.Scan({name, ""}, [&](const HolderKey& key, const HolderRow& row) {
          if (std::get<0>(key) != name || Compatible(row.mode, waiter.mode)) return false;
          Reach(std::get<1>(key), waiter.owner);
          return Spend();
        });
      }
      const std::pair<uint64_t, uint64_t> place{RankAt(waiter, i), ticket};
      if (place <= std::pair(seen.rank, seen.ticket)) continue;
      t_.InTheWayOf(waiter.mode)
          .Scan({name, seen.rank, seen.ticket}, [&](const LineKey& key, const NoRow&) {
            if (std::get<0>(key) != name) return false;
            if (std::pair(std::get<1>(key), std::get<2>(key)) >= place) return false;
            Reach(t_.waiters.Get(std::get<2>(key))->owner, waiter.owner);
            return Spend();
          });
      std::tie(seen.rank, seen.ticket) = place;
    }
  }

  void Reach(const std::string& owner, const std::string& from) {
    if (owner == want_.owner || reached_.size() == bounds::kLockCycleOwnersMax) return;
    if (reached_from_.try_emplace(owner, from).second) reached_.push_back(owner);
  }

  std::vector<std::string> CycleFrom(const std::string& last) const {
    std::vector<std::string> cycle{want_.owner};
    for (std::string at = last; at != want_.owner; at = reached_from_.at(at)) cycle.push_back(at);
    cycle.push_back(want_.owner);
    std::reverse(cycle.begin(), cycle.end());
    return cycle;
  }

  const Tables& t_;
  const WaiterRow& want_;
  std::map<std::string, std::string> reached_from_;
  std::vector<std::string> reached_;
  std::map<std::pair<std::string, Mode>, Seen> seen_;
  size_t rows_left_ = bounds::kLockCycleRowsMax;
};

}  // namespace

std::vector<std::string> CycleOf(const Tables& tables, const WaiterRow& want) {
  return Search(tables, want).Run();
}

}  // namespace holdfast::locks
