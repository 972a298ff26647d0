// What clients ask of a ledger: few accounts, ids that repeat, holds that run out, amounts at the
// limits.
#pragma once

#include <optional>
#include <string>

#include "services/ledger/ledger.pb.h"
#include "sim/requests.h"

namespace holdfast::sim {

class LedgerRequests : public Requests {
 public:
  // Of the accounts "a1" to "a<accounts>", mostly in one currency, and a few in others. `random`
  // must outlive this.
  LedgerRequests(Random& random, size_t accounts) : random_(random), accounts_(accounts) {}

  Asked Make() override;
  Asked MakeRead(int64_t from_us, int64_t to_us) override;
  std::optional<Asked> NextPage(const Asked& asked, const std::string& reply) override;

  std::string AccountId();
  ledger::CreateTransferRequest Transfer();

 private:
  std::string TransferId();
  int64_t Amount();
  std::string ForeignId();
  ledger::CreateAccountRequest Account();
  ledger::CreateExchangeRequest Exchange();

  Random& random_;
  const size_t accounts_;
  uint64_t progress_ = 0;
};

}  // namespace holdfast::sim
