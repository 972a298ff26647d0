#include "sim/requests.h"

#include <limits>

namespace holdfast::sim {

std::string Requests::AccountId() { return "a" + std::to_string(random_.Between(1, accounts_)); }

// Ids move on slowly: repeats of the near past are frequent.
std::string Requests::TransferId() {
  return "t" + std::to_string(++progress_ / 3 + random_.Between(0, 11));
}

int64_t Requests::Amount() {
  if (random_.OneIn(40)) {
    return std::numeric_limits<int64_t>::max() - static_cast<int64_t>(random_.Between(0, 50));
  }
  return static_cast<int64_t>(random_.Between(1, random_.OneIn(2) ? 4 : 60));
}

ledger::CreateAccountRequest Requests::Account() {
  ledger::CreateAccountRequest request;
  request.set_id(AccountId());
  request.set_currency(random_.OneIn(8) ? "USD" : "EUR");
  if (random_.OneIn(2)) {
    request.set_overdraft(random_.OneIn(2) ? std::numeric_limits<int64_t>::max() : 50);
  }
  return request;
}

ledger::CreateTransferRequest Requests::Transfer() {
  ledger::CreateTransferRequest request;
  request.set_id(TransferId());
  request.set_from(AccountId());
  request.set_to(AccountId());
  request.set_amount(Amount());
  request.set_pending(random_.OneIn(3));
  if (request.pending() && random_.OneIn(2)) {
    request.set_timeout_seconds(static_cast<uint32_t>(random_.Between(1, 4)));
  }
  if (random_.OneIn(4)) (*request.mutable_metadata())["order"] = "x";
  return request;
}

Requests::Made Requests::Make() {
  const auto made = [](const char* method, auto request) {
    return Made(method, std::make_shared<decltype(request)>(std::move(request)));
  };
  switch (random_.Between(0, 15)) {
    case 0:
    case 1: return made("CreateAccount", Account());
    case 2:
      if (random_.OneIn(2)) {
        ledger::CloseAccountRequest request;
        request.set_id(AccountId());
        return made("CloseAccount", request);
      } else {
        ledger::ReopenAccountRequest request;
        request.set_id(AccountId());
        return made("ReopenAccount", request);
      }
    case 3:
    case 4:
    case 5: {
      ledger::CreateTransfersRequest request;
      for (uint64_t i = random_.Between(1, 5); i > 0; --i) {
        *request.add_transfers() = Transfer();
      }
      return made("CreateTransfers", request);
    }
    case 6:
    case 7: {
      ledger::PostTransferRequest request;
      request.set_id(TransferId());
      if (random_.OneIn(3)) request.set_amount(Amount());
      return made("PostTransfer", request);
    }
    case 8: {
      ledger::VoidTransferRequest request;
      request.set_id(TransferId());
      return made("VoidTransfer", request);
    }
    case 9: {
      ledger::PayRequest request;
      request.set_transaction_id(TransferId());
      request.set_from_account(AccountId());
      request.set_to_account(AccountId());
      request.set_amount(Amount());
      return made("Pay", request);
    }
    case 10: {
      ledger::CreateTransactionRequest request;
      request.set_id(TransferId());
      for (uint64_t i = random_.Between(1, 4); i > 0; --i) {
        ledger::Leg* leg = request.add_legs();
        leg->set_from(AccountId());
        leg->set_to(AccountId());
        leg->set_amount(Amount());
      }
      return made("CreateTransaction", request);
    }
    case 11: {
      ledger::ReverseTransferRequest request;
      request.set_id(TransferId());
      request.set_reversal_id("r" + request.id());
      return made("ReverseTransfer", request);
    }
    default: return made("CreateTransfer", Transfer());
  }
}

}  // namespace holdfast::sim
