// What a shop would state of checkouts: no order without its money, no money without its order, no
// message without its order, and none lost; and that nothing was sold that was not there.
#pragma once

#include <set>
#include <string>

#include "sim/promised.h"

namespace holdfast::sim {

class OrderPromises {
 public:
  void Applied(const Entry& entry);
  void Hear(const Told& told);
  // At the end; `ask` a node that has all of the log.
  void Check(const AskNode& ask) const;

 private:
  void CheckMoney(const std::string& id, const AskNode& ask) const;
  void CheckMessages(const AskNode& ask) const;
  void CheckStock(const AskNode& ask) const;

  std::set<std::string> checkouts_;  // Orders that checkouts, or lists like them, ask for.
  std::set<std::string> done_;       // Those that somebody was told to be done.
  std::set<std::string> pulled_;     // Whose message somebody got.
};

}  // namespace holdfast::sim
