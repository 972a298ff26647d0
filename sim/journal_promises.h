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
  void Hear(const Told& told);
  // At the end; `ask` a node that has all of the log. `log_time_is_true`: all of it was stamped
  // with the true time, so that is what times are corrected to.
  void Check(const AskNode& ask, bool log_time_is_true) const;

 private:
  static void CheckTruth(const std::string& source, const std::string& body, int64_t corrected_us,
                         uint64_t error_us);

  // Of the journal that keeps all: (source, sequence) -> body.
  std::map<std::pair<std::string, uint64_t>, std::string> acknowledged_;
};

}  // namespace holdfast::sim
