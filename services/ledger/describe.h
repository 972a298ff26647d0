// Rows as the messages that callers see.
#pragma once

#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "services/ledger/ledger.pb.h"
#include "services/ledger/tables.h"
#include "src/base/ids.h"

namespace holdfast::ledger {

// balance + overdraft - pending_out, or the nearest that 64 bits hold.
int64_t Available(const AccountRow& row);

// Where an account stands, as replies say it.
struct Standing {
  int64_t balance = 0;
  int64_t available = 0;
  int64_t pending_in = 0;
  int64_t pending_out = 0;
};
Standing StandingOf(const AccountRow& row);

// Without the account's name.
void FillBalance(const Standing& standing, Balance* balance);

void FillAccount(const std::string& id, const AccountRow& row, const ProfileRow& profile,
                 Account* account);

// Who an account number stands for; remembers, so that a page asks once for each account. Under
// the store's lock, shared or not.
class Parties {
 public:
  struct Party {
    std::string id;
    std::string currency;
  };
  explicit Parties(const Tables& tables) : tables_(tables) {}
  const Party& Of(uint64_t number);

 private:
  const Tables& tables_;
  std::map<uint64_t, std::unique_ptr<Party>> known_;
};

// A journal entry as it was written: a hold is pending, whatever became of it later.
void FillEntry(uint64_t sequence, const TransferRow& row, const std::string& from,
               const std::string& to, const std::string& currency, Transfer* transfer);
void FillEntry(uint64_t sequence, const TransferRow& row, Parties& parties, const Tables& tables,
               Transfer* transfer);

// What became of an id up to `now`. Under the store's lock, shared or not.
void FillTransfer(const std::string& id, const IdRow& id_row, LogTime now, const Tables& tables,
                  Transfer* transfer);

}  // namespace holdfast::ledger
