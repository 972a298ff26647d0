// What a shop would state of checkouts: no order without its money, no money without its order, no
// message without its order, and none lost; that nothing was sold that was not there; and that a
// reservation lasts for as long as was promised.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "sim/promised.h"

namespace holdfast::sim {

class OrderPromises {
 public:
  // `exact`: as for LeasePromises.
  explicit OrderPromises(bool exact) : exact_(exact) {}

  // `log_us`: the time of the log from this entry on.
  void Applied(const Entry& entry, int64_t log_us);
  void Hear(const Told& told);
  // At the end; `ask` a node that has all of the log.
  void Check(const AskNode& ask) const;

 private:
  void CheckMoney(const std::string& id, const AskNode& ask) const;
  void CheckMessages(const AskNode& ask) const;
  void CheckStock(const AskNode& ask) const;
  void CheckTimes(const AskNode& ask) const;

  const bool exact_;
  std::set<std::string> checkouts_;      // Orders that checkouts, or lists like them, ask for.
  std::set<std::string> done_;           // Those that somebody was told to be done.
  std::set<std::string> pulled_;         // Whose message somebody got.
  std::map<int64_t, uint64_t> true_us_;  // Of entries, by the time of the log.
  std::map<std::string, uint64_t> reserved_until_us_;  // At least, as somebody was told.
};

}  // namespace holdfast::sim
