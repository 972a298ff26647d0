// Recomputes a ledger from its journal, apart from the service's own code: every balance from
// nothing but the entries, compared with what the accounts claim. Grows with the accounts and the
// open holds, not with the journal. One thread.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "services/ledger/ledger.pb.h"
#include "src/cli/text.h"

namespace holdfast::ledger {

class Replay {
 public:
  struct Currency {
    uint64_t accounts = 0;
    uint64_t entries = 0;
    cli::Wide debits = 0;   // Out of the accounts of this currency ...
    cli::Wide credits = 0;  // ... and into them.
    cli::Wide sum = 0;      // Of their balances after the last entry.
    cli::Wide pending_in = 0;
    cli::Wide pending_out = 0;
  };

  // First every account, as the service lists it ...
  void List(const Account& account);
  // ... then the journal in order. Entries beyond last_needed() may speak of accounts that were
  // opened after the listing, so they are not asked for.
  void Apply(const Transfer& entry);
  // ... then what can be said at the end only.
  void Finish();

  uint64_t last_needed() const { return last_needed_; }
  uint64_t last_applied() const { return last_applied_; }
  uint64_t accounts() const { return accounts_.size(); }
  uint64_t compared() const { return compared_; }

  // Everything that is not as it should be: a count, and the first ones in words.
  uint64_t differences() const { return differences_; }
  const std::vector<std::string>& shown() const { return shown_; }
  // After Finish.
  const std::map<std::string, Currency>& currencies() const { return currencies_; }

 private:
  struct State {
    cli::Wide balance = 0;
    cli::Wide pending_in = 0;
    cli::Wide pending_out = 0;
    // As listed.
    std::string currency;
    int64_t listed_balance = 0;
    int64_t listed_pending_in = 0;
    int64_t listed_pending_out = 0;
    uint64_t last_sequence = 0;
    bool compared = false;
  };
  struct Hold {
    std::string from;
    std::string to;
    int64_t amount = 0;
  };

  void Differ(std::string what);
  State* Find(const Transfer& entry, const std::string& id);
  // Whether the entry is one that a ledger can write.
  bool CheckShape(const Transfer& entry);
  void CheckHold(const Transfer& entry);
  void Move(const Transfer& entry, State& from, State& to);
  void CompareIfDue(const Transfer& entry, const std::string& id, State& state);

  std::map<std::string, State> accounts_;  // Walked at the end: in the same order every time.
  absl::flat_hash_map<std::string, Hold> holds_;  // Those that are open.
  std::map<std::string, Currency> currencies_;
  uint64_t last_needed_ = 0;
  uint64_t last_applied_ = 0;
  uint64_t compared_ = 0;
  uint64_t differences_ = 0;
  std::vector<std::string> shown_;
};

}  // namespace holdfast::ledger
