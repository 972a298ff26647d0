// The locks in the plainest words: a list of holders and a list of waiters, looked through from the
// beginning for everything. Without sessions and expiry.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "services/locks/locks.pb.h"

namespace holdfast::locks {

class Model {
 public:
  AcquireOutcome::Code Acquire(const AcquireRequest& request) {
    Wait want;
    want.owner = request.owner();
    want.mode = request.mode() == shared ? shared : exclusive;
    want.names.insert(request.names().begin(), request.names().end());
    if (!request.name().empty()) want.names.insert(request.name());
    for (const Wait& wait : line_) {
      if (wait.owner != want.owner) continue;
      return wait.names == want.names && wait.mode == want.mode ? AcquireOutcome::waiting
                                                                : AcquireOutcome::owner_is_waiting;
    }
    if (InTheWay(want, line_.size()).empty()) {
      Grant(want);
      return AcquireOutcome::granted;
    }
    if (request.wait_ms() == 0) return AcquireOutcome::lock_held;
    // As if it were in line: does somebody who is in the way wait for it, over whatever corners?
    for (const std::string& name : want.names) {
      if (HoldsShared(name, want.owner) && want.mode == exclusive) want.upgrades.insert(name);
    }
    line_.push_back(want);
    if (Reaches(want.owner, want.owner)) {
      line_.pop_back();
      return AcquireOutcome::deadlock;
    }
    return AcquireOutcome::waiting;
  }

  ReleaseOutcome::Code Release(const ReleaseRequest& request) {
    bool left = false;
    for (size_t i = 0; i < line_.size(); ++i) {
      if (line_[i].owner != request.owner() || !line_[i].names.contains(request.name())) continue;
      line_.erase(line_.begin() + static_cast<ptrdiff_t>(i));
      left = true;
      break;
    }
    ReleaseOutcome::Code outcome = left ? ReleaseOutcome::left_line : ReleaseOutcome::not_held;
    const auto held = holds_.find({request.name(), request.owner()});
    if (held != holds_.end()) {
      outcome = --held->second.depth == 0 ? ReleaseOutcome::released : ReleaseOutcome::still_held;
      if (held->second.depth == 0) holds_.erase(held);
    }
    GrantWhoCan();
    return outcome;
  }

  std::set<std::pair<std::string, std::string>> Held() const {
    std::set<std::pair<std::string, std::string>> held;
    for (const auto& [key, hold] : holds_) held.insert(key);
    return held;
  }

 private:
  struct Hold {
    Mode mode = unspecified;
    uint32_t depth = 0;
  };
  struct Wait {
    std::string owner;
    Mode mode = unspecified;
    std::set<std::string> names;
    std::set<std::string> upgrades;
  };

  bool HoldsShared(const std::string& name, const std::string& owner) const {
    const auto held = holds_.find({name, owner});
    return held != holds_.end() && held->second.mode == shared;
  }

  // Owners in the way of `want`, which stands at `place` in the line or would.
  std::set<std::string> InTheWay(const Wait& want, size_t place) const {
    std::set<std::string> owners;
    for (const std::string& name : want.names) {
      const auto own = holds_.find({name, want.owner});
      if (own != holds_.end() && (own->second.mode == exclusive || want.mode == shared)) continue;
      const bool upgrade = own != holds_.end();
      for (const auto& [key, hold] : holds_) {
        if (key.first == name && key.second != want.owner &&
            (hold.mode == exclusive || want.mode == exclusive)) {
          owners.insert(key.second);
        }
      }
      for (size_t i = 0; i < line_.size(); ++i) {
        const Wait& other = line_[i];
        const bool first = other.upgrades.contains(name) == upgrade ? i < place : !upgrade;
        if (first && i != place && other.owner != want.owner && other.names.contains(name) &&
            (other.mode == exclusive || want.mode == exclusive)) {
          owners.insert(other.owner);
        }
      }
    }
    return owners;
  }

  bool Reaches(const std::string& from, const std::string& to) const {
    std::set<std::string> seen;
    std::vector<std::string> next{from};
    while (!next.empty()) {
      const std::string at = next.back();
      next.pop_back();
      for (size_t i = 0; i < line_.size(); ++i) {
        if (line_[i].owner != at) continue;
        for (const std::string& owner : InTheWay(line_[i], i)) {
          if (owner == to) return true;
          if (seen.insert(owner).second) next.push_back(owner);
        }
      }
    }
    return false;
  }

  void Grant(const Wait& want) {
    for (const std::string& name : want.names) {
      Hold& hold = holds_[{name, want.owner}];
      if (hold.depth++ == 0 || want.mode == exclusive) hold.mode = want.mode;
    }
  }

  void GrantWhoCan() {
    for (size_t i = 0; i < line_.size();) {
      if (InTheWay(line_[i], i).empty()) {
        const Wait granted = line_[i];
        line_.erase(line_.begin() + static_cast<ptrdiff_t>(i));
        Grant(granted);
        i = 0;
      } else {
        ++i;
      }
    }
  }

  std::map<std::pair<std::string, std::string>, Hold> holds_;  // By (lock, owner).
  std::vector<Wait> line_;                                     // In the order of coming.
};

}  // namespace holdfast::locks
