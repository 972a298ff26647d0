#include "sim/requests.h"

#include <google/protobuf/util/time_util.h>

#include <limits>

namespace holdfast::sim {
namespace {

using google::protobuf::util::TimeUtil;

template <class Request>
Requests::Made MadeOf(const char* method, Request request) {
  return {method, std::make_shared<Request>(std::move(request))};
}

}  // namespace

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

// Few of them are long: the model answers a list in the square of its length.
Requests::Made Requests::MakeRead(int64_t from_us, int64_t to_us) {
  const auto a_time = [&] {
    return TimeUtil::MicrosecondsToTimestamp(
        from_us + static_cast<int64_t>(random_.Between(0, static_cast<uint64_t>(to_us - from_us))));
  };
  const auto limit = [&] { return static_cast<uint32_t>(random_.Between(0, 4)) * 3; };
  switch (random_.Between(0, 31)) {
    case 0: {
      ledger::ListAccountsRequest request;
      request.set_limit(limit());
      return MadeOf("ListAccounts", request);
    }
    case 1: {
      ledger::ListTransfersRequest request;
      request.set_limit(limit());
      return MadeOf("ListTransfers", request);
    }
    case 2:
    case 3: {
      ledger::ListAccountTransfersRequest request;
      request.set_id(AccountId());
      request.set_limit(limit());
      if (random_.OneIn(2)) *request.mutable_from() = a_time();
      if (random_.OneIn(2)) *request.mutable_to() = a_time();
      return MadeOf("ListAccountTransfers", request);
    }
    case 4:
    case 5:
    case 6:
    case 7: {
      ledger::GetAccountRequest request;
      request.set_id(AccountId());
      *request.mutable_at() = a_time();
      return MadeOf("GetAccount", request);
    }
    case 8:
    case 9:
    case 10:
    case 11: {
      ledger::GetTransferRequest request;
      request.set_id(TransferId());
      return MadeOf("GetTransfer", request);
    }
    default: {
      ledger::GetAccountRequest request;
      request.set_id(AccountId());
      return MadeOf("GetAccount", request);
    }
  }
}

Requests::Made Requests::Make() {
  switch (random_.Between(0, 15)) {
    case 0:
    case 1: return MadeOf("CreateAccount", Account());
    case 2:
      if (random_.OneIn(2)) {
        ledger::CloseAccountRequest request;
        request.set_id(AccountId());
        return MadeOf("CloseAccount", request);
      } else {
        ledger::ReopenAccountRequest request;
        request.set_id(AccountId());
        return MadeOf("ReopenAccount", request);
      }
    case 3:
    case 4:
    case 5: {
      ledger::CreateTransfersRequest request;
      for (uint64_t i = random_.Between(1, 5); i > 0; --i) {
        *request.add_transfers() = Transfer();
      }
      return MadeOf("CreateTransfers", request);
    }
    case 6:
    case 7: {
      ledger::PostTransferRequest request;
      request.set_id(TransferId());
      if (random_.OneIn(3)) request.set_amount(Amount());
      return MadeOf("PostTransfer", request);
    }
    case 8: {
      ledger::VoidTransferRequest request;
      request.set_id(TransferId());
      return MadeOf("VoidTransfer", request);
    }
    case 9: {
      ledger::PayRequest request;
      request.set_transaction_id(TransferId());
      request.set_from_account(AccountId());
      request.set_to_account(AccountId());
      request.set_amount(Amount());
      return MadeOf("Pay", request);
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
      return MadeOf("CreateTransaction", request);
    }
    case 11: {
      ledger::ReverseTransferRequest request;
      request.set_id(TransferId());
      request.set_reversal_id("r" + request.id());
      return MadeOf("ReverseTransfer", request);
    }
    default: return MadeOf("CreateTransfer", Transfer());
  }
}

}  // namespace holdfast::sim
