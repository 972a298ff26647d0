// What sessions and locks promise: one holder at a time, tokens that only grow, locks that stay as
// long as their session and go with it, and leases that are never shorter than promised, in true
// time, with the time in which nobody led on top (docs/decisions/0020-leases.md).
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "services/locks/locks.pb.h"
#include "sim/promised.h"

namespace holdfast::sim {

class LeasePromises {
 public:
  // `exact`: a leader's clock runs as the true time does, however far it is off.
  explicit LeasePromises(bool exact) : exact_(exact) {}

  void Applied(const Entry& entry, const AskNode& ask);
  void Hear(const Told& told);
  // At the end.
  void Check() const;

 private:
  using Hold = std::pair<std::string, std::string>;  // (lock, owner)
  struct Promise {
    std::string what;
    LogIndex since;
    uint64_t began_us = 0;
    uint64_t ttl_us = 0;
    uint64_t token = 0;  // Of a lock, where it is known.
  };
  struct End {
    LogIndex at;
    uint64_t token = 0;
    uint64_t true_us = 0;
    bool ran_out = false;
  };
  void Stretch(const Entry& entry);
  void LookAtSessions(const Entry& entry, const AskNode& ask);
  void LookAtHolders(const Entry& entry, const AskNode& ask);
  void CheckPromise(const Promise& promise, const std::vector<End>& ends,
                    const std::vector<LogIndex>& changed) const;
  // For how long nobody led between the two entries, at least.
  uint64_t LeaderlessUs(LogIndex after, LogIndex to) const;

  const bool exact_;
  uint64_t last_command_us_ = 0;
  bool new_leader_ = false;                               // Since then.
  std::vector<std::pair<LogIndex, uint64_t>> stretches_;  // Without a leader, before an entry.

  std::set<uint64_t> sessions_;  // After the last entry.
  uint64_t last_session_ = 0;
  std::map<uint64_t, std::vector<End>> session_ends_;
  std::map<uint64_t, std::vector<Promise>> session_promises_;

  std::map<Hold, locks::Holder> holders_;  // After the last entry.
  uint64_t last_token_ = 0;
  std::map<Hold, std::vector<End>> hold_ends_;
  std::map<Hold, std::vector<LogIndex>> extended_;
  std::map<Hold, std::vector<Promise>> hold_promises_;
};

}  // namespace holdfast::sim
