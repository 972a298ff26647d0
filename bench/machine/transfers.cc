// Transfers between random accounts, with ids in no order.
#include <cstdio>
#include <limits>
#include <random>

#include "bench/machine/workload.h"
#include "services/ledger/ledger.pb.h"

namespace holdfast::bench {
namespace {

class Transfers : public Workload {
 public:
  Transfers(Node& node, bool batch, bool hot)
      : entry_(node.registry()), batch_(batch), accounts_(hot ? kHotAccounts : kAccounts) {}

  void Prepare(Node& node, uint64_t history, uint64_t /*total*/) override {
    for (uint64_t number = 0; number < kAccounts;) {
      ledger::CreateAccountsRequest request;
      while (number < kAccounts && request.accounts_size() < 5'000) {
        ledger::CreateAccountRequest* account = request.add_accounts();
        account->set_id(Account(number++));
        account->set_currency("EUR");
        account->set_overdraft(std::numeric_limits<int64_t>::max());
      }
      entry_.Add("/holdfast.ledger.Ledger/CreateAccounts", request);
      node.Apply(entry_.Finish());
    }
    for (uint64_t done = 0; done < history; done += 1'000) node.Apply(Entry(true, 1'000));
  }

  double Run(Node& node, uint64_t count) override { return node.Apply(Entry(batch_, count)); }

 private:
  std::string Entry(bool batch, uint64_t count) {
    ledger::CreateTransfersRequest all;
    for (uint64_t i = 0; i < count; ++i) {
      ledger::CreateTransferRequest transfer;
      char id[32];
      std::snprintf(id, sizeof(id), "payment-%016lx", static_cast<unsigned long>(random_()));
      transfer.set_id(id);
      const uint64_t from = random_() % accounts_;
      transfer.set_from(Account(from));
      transfer.set_to(Account((from + 1 + random_() % (accounts_ - 1)) % accounts_));
      transfer.set_amount(static_cast<int64_t>(1 + random_() % 1'000));
      if (batch) {
        *all.add_transfers() = std::move(transfer);
      } else {
        entry_.Add("/holdfast.ledger.Ledger/CreateTransfer", transfer);
      }
    }
    if (batch) entry_.Add("/holdfast.ledger.Ledger/CreateTransfers", all);
    return entry_.Finish();
  }

  EntryMaker entry_;
  const bool batch_;
  const uint64_t accounts_;
  std::mt19937_64 random_{1};
};

}  // namespace

std::unique_ptr<Workload> NewTransfers(Node& node, bool batch, bool hot) {
  return std::make_unique<Transfers>(node, batch, hot);
}

}  // namespace holdfast::bench
