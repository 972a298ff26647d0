#include "sim/ledger_requests.h"

#include <google/protobuf/util/time_util.h>

#include <limits>

namespace holdfast::sim {
namespace {

using google::protobuf::util::TimeUtil;

template <class Message>
Message Parsed(const std::string& bytes) {
  Message message;
  Require(message.ParseFromString(bytes), "a page does not parse");
  return message;
}

template <class Request, class Reply>
std::optional<Asked> PageAfter(const Asked& asked, const std::string& bytes, int rows) {
  const auto reply = Parsed<Reply>(bytes);
  if (reply.next_cursor().empty()) return std::nullopt;
  auto request = std::make_shared<Request>(static_cast<const Request&>(*asked.request));
  request->set_cursor(reply.next_cursor());
  return Asked{asked.method, request, asked.rows_before + static_cast<uint64_t>(rows)};
}

}  // namespace

std::string LedgerRequests::AccountId() {
  return "a" + std::to_string(random_.Between(1, accounts_));
}

// Ids move on slowly: repeats of the near past are frequent.
std::string LedgerRequests::TransferId() {
  return "t" + std::to_string(++progress_ / 3 + random_.Between(0, 11));
}

int64_t LedgerRequests::Amount() {
  if (random_.OneIn(40)) {
    return std::numeric_limits<int64_t>::max() - static_cast<int64_t>(random_.Between(0, 50));
  }
  return static_cast<int64_t>(random_.Between(1, random_.OneIn(2) ? 4 : 60));
}

std::string LedgerRequests::ForeignId() { return "f" + std::to_string(random_.Between(1, 3)); }

// Between the accounts of two currencies, mostly.
ledger::CreateExchangeRequest LedgerRequests::Exchange() {
  const bool out = random_.OneIn(2);
  const auto account = [&](bool foreign) {
    return random_.OneIn(8) != foreign ? ForeignId() : AccountId();
  };
  ledger::CreateExchangeRequest request;
  request.set_id(TransferId());
  request.set_from(account(!out));
  request.set_from_liquidity(account(!out));
  request.set_to_liquidity(account(out));
  request.set_to(account(out));
  request.set_amount(Amount());
  request.set_rate(std::to_string(random_.Between(0, 3)) + "." +
                   std::to_string(random_.Between(1, 40)));
  if (random_.OneIn(3)) request.set_spread_ppm(static_cast<uint32_t>(random_.Between(0, 99'999)));
  request.set_rounding(static_cast<Rounding::Code>(random_.Between(0, 7)));
  return request;
}

ledger::CreateAccountRequest LedgerRequests::Account() {
  ledger::CreateAccountRequest request;
  request.set_id(AccountId());
  request.set_currency(random_.OneIn(8) ? "USD" : "EUR");
  if (random_.OneIn(2)) {
    request.set_overdraft(random_.OneIn(2) ? std::numeric_limits<int64_t>::max() : 50);
  }
  if (random_.OneIn(4)) {
    request.set_id(ForeignId());
    request.set_currency(random_.OneIn(8) ? "JPY" : "USD");
    request.set_overdraft(std::numeric_limits<int64_t>::max());
  }
  return request;
}

ledger::CreateTransferRequest LedgerRequests::Transfer() {
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
Asked LedgerRequests::MakeRead(int64_t from_us, int64_t to_us) {
  const auto a_time = [&] {
    return TimeUtil::MicrosecondsToTimestamp(
        from_us + static_cast<int64_t>(random_.Between(0, static_cast<uint64_t>(to_us - from_us))));
  };
  const auto limit = [&] { return static_cast<uint32_t>(random_.Between(0, 4)) * 3; };
  switch (random_.Between(0, 31)) {
    case 0: {
      ledger::ListAccountsRequest request;
      request.set_limit(limit());
      return AskedOf("ledger.ListAccounts", request);
    }
    case 1: {
      ledger::ListTransfersRequest request;
      request.set_limit(limit());
      return AskedOf("ledger.ListTransfers", request);
    }
    case 2:
    case 3: {
      ledger::ListAccountTransfersRequest request;
      request.set_id(AccountId());
      request.set_limit(limit());
      if (random_.OneIn(2)) *request.mutable_from() = a_time();
      if (random_.OneIn(2)) *request.mutable_to() = a_time();
      return AskedOf("ledger.ListAccountTransfers", request);
    }
    case 4:
    case 5:
    case 6:
    case 7: {
      ledger::GetAccountRequest request;
      request.set_id(AccountId());
      *request.mutable_at() = a_time();
      return AskedOf("ledger.GetAccount", request);
    }
    case 8:
    case 9:
    case 10:
    case 11: {
      ledger::GetTransferRequest request;
      request.set_id(TransferId());
      return AskedOf("ledger.GetTransfer", request);
    }
    default: {
      ledger::GetAccountRequest request;
      request.set_id(AccountId());
      return AskedOf("ledger.GetAccount", request);
    }
  }
}

Asked LedgerRequests::Make() {
  switch (random_.Between(0, 16)) {
    case 0:
    case 1: return AskedOf("ledger.CreateAccount", Account());
    case 2:
      if (random_.OneIn(2)) {
        ledger::CloseAccountRequest request;
        request.set_id(AccountId());
        return AskedOf("ledger.CloseAccount", request);
      } else {
        ledger::ReopenAccountRequest request;
        request.set_id(AccountId());
        return AskedOf("ledger.ReopenAccount", request);
      }
    case 3:
    case 4:
    case 5: {
      ledger::CreateTransfersRequest request;
      for (uint64_t i = random_.Between(1, 5); i > 0; --i) {
        *request.add_transfers() = Transfer();
      }
      return AskedOf("ledger.CreateTransfers", request);
    }
    case 6:
    case 7: {
      ledger::PostTransferRequest request;
      request.set_id(TransferId());
      if (random_.OneIn(3)) request.set_amount(Amount());
      return AskedOf("ledger.PostTransfer", request);
    }
    case 8: {
      ledger::VoidTransferRequest request;
      request.set_id(TransferId());
      return AskedOf("ledger.VoidTransfer", request);
    }
    case 9: {
      ledger::PayRequest request;
      request.set_transaction_id(TransferId());
      request.set_from_account(AccountId());
      request.set_to_account(AccountId());
      request.set_amount(Amount());
      return AskedOf("ledger.Pay", request);
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
      return AskedOf("ledger.CreateTransaction", request);
    }
    case 11: {
      ledger::ReverseTransferRequest request;
      request.set_id(TransferId());
      request.set_reversal_id("r" + request.id());
      return AskedOf("ledger.ReverseTransfer", request);
    }
    case 12: return AskedOf("ledger.CreateExchange", Exchange());
    default: return AskedOf("ledger.CreateTransfer", Transfer());
  }
}

std::optional<Asked> LedgerRequests::NextPage(const Asked& asked, const std::string& reply) {
  using namespace ledger;  // NOLINT: the messages of this one service.
  if (asked.method == "ledger.ListAccounts") {
    return PageAfter<ListAccountsRequest, ListAccountsReply>(
        asked, reply, Parsed<ListAccountsReply>(reply).accounts_size());
  }
  if (asked.method == "ledger.ListTransfers") {
    return PageAfter<ListTransfersRequest, ListTransfersReply>(
        asked, reply, Parsed<ListTransfersReply>(reply).transfers_size());
  }
  if (asked.method == "ledger.ListAccountTransfers") {
    return PageAfter<ListAccountTransfersRequest, ListAccountTransfersReply>(
        asked, reply, Parsed<ListAccountTransfersReply>(reply).transfers_size());
  }
  return std::nullopt;
}

}  // namespace holdfast::sim
