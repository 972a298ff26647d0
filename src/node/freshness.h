#pragma once

#include <cstdint>

#include "src/base/ids.h"

namespace holdfast::node {

// How old the state here is. What was heard of the log's end tells it only once everything that was
// committed then is applied here; so a word is kept until it is reached, and then replaced.
class Freshness {
 public:
  // At `at_ms` the entries up to `commit` were known to be committed; those up to `applied` are
  // applied here. A word that comes while another waits to be reached is dropped.
  void Heard(LogIndex applied, LogIndex commit, uint64_t at_ms) {
    if (applied < commit_) return;
    reached_ms_ = heard_ms_;
    heard_ms_ = at_ms;
    commit_ = commit;
  }

  // The last moment at which nothing that was committed is known to have been missing here. 0:
  // none.
  uint64_t ContactMs(LogIndex applied) const { return applied < commit_ ? reached_ms_ : heard_ms_; }

 private:
  LogIndex commit_;
  uint64_t heard_ms_ = 0;    // When that was heard.
  uint64_t reached_ms_ = 0;  // Of the word before, which was reached.
};

}  // namespace holdfast::node
