// What a reader of a journal would state: nothing that was acknowledged is lost, and nothing is
// there twice; what is read in the order of its numbers is in the order of its corrected times but
// for what is flagged as late; and whatever is told with a bound did happen within it, truly.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "sim/promised.h"

namespace holdfast::sim {

class JournalPromises {
 public:
  // `true_clocks`: the nodes' clocks say the true time.
  explicit JournalPromises(bool true_clocks) : true_clocks_(true_clocks) {}

  void Hear(const Told& told);
  // At the end; `ask` a node that has all of the log.
  void Check(const AskNode& ask) const;

 private:
  void CheckTruth(const std::string& source, const std::string& body, int64_t corrected_us,
                  uint64_t error_us) const;

  const bool true_clocks_;
  // Of the journal that keeps all: (source, sequence) -> body.
  std::map<std::pair<std::string, uint64_t>, std::string> acknowledged_;
};

}  // namespace holdfast::sim
