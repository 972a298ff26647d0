#include "sim/ledger_judge.h"

#include <absl/numeric/int128.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <limits>

#include "services/ledger/model.h"
#include "src/base/bounds.h"

namespace holdfast::sim {
namespace {

using google::protobuf::util::TimeUtil;
using ledger::Model;

// A page of `limit` rows; whether another one follows is said by a cursor, of the node's choice.
template <class Reply, class Row, class Add>
std::string DifferPage(const std::vector<Row>& rows, uint32_t limit, Add add,
                       const ReadRecord& read) {
  Reply expected;
  const size_t end = read.rows_before + (limit == 0 ? bounds::kPageRowsDefault : limit);
  for (size_t i = read.rows_before; i < std::min(end, rows.size()); ++i) *add(expected) = rows[i];
  if (read.found) {
    auto found = Parsed<Reply>(read.reply);
    if (found.next_cursor().empty() != (rows.size() <= end)) {
      return "ends or goes on after row " + std::to_string(end) + ", the model has " +
             std::to_string(rows.size()) + " rows";
    }
    found.clear_next_cursor();
    ReadRecord without = read;
    without.reply = found.SerializeAsString();
    return Differ<Reply>(expected, without);
  }
  return Differ<Reply>(expected, read);
}

std::string Differ(const Model& model, const ledger::GetAccountRequest& request,
                   const ReadRecord& read) {
  std::optional<int64_t> at_us;
  if (request.has_at()) at_us = TimeUtil::TimestampToMicroseconds(request.at());
  return Differ<ledger::Account>(model.GetAccount(request.id(), at_us), read);
}

std::string Differ(const Model& model, const ledger::ListAccountTransfersRequest& request,
                   const ReadRecord& read) {
  if (!model.GetAccount(request.id())) {
    return Differ<ledger::ListAccountTransfersReply>(std::nullopt, read);
  }
  const int64_t from_us =
      request.has_from() ? TimeUtil::TimestampToMicroseconds(request.from()) : 0;
  const int64_t to_us = request.has_to() ? TimeUtil::TimestampToMicroseconds(request.to())
                                         : std::numeric_limits<int64_t>::max();
  return DifferPage<ledger::ListAccountTransfersReply>(
      model.AccountTransfers(request.id(), from_us, to_us), request.limit(),
      [](auto& page) { return page.add_transfers(); }, read);
}

class LedgerJudge : public ModelJudge<Model> {
 public:
  void Begin(const Moment& at) override { model_.Advance(at.log_us); }

  std::string Execute(const std::string& method, const std::string& body) override {
    if (method == "ledger.CreateAccount") return Do(&Model::CreateAccount, body);
    if (method == "ledger.CreateAccounts") return Do(&Model::CreateAccounts, body);
    if (method == "ledger.CloseAccount") return Do(&Model::CloseAccount, body);
    if (method == "ledger.ReopenAccount") return Do(&Model::ReopenAccount, body);
    if (method == "ledger.CreateTransfer") return Do(&Model::CreateTransfer, body);
    if (method == "ledger.CreateTransfers") return Do(&Model::CreateTransfers, body);
    if (method == "ledger.PostTransfer") return Do(&Model::PostTransfer, body);
    if (method == "ledger.VoidTransfer") return Do(&Model::VoidTransfer, body);
    if (method == "ledger.CreateTransaction") return Do(&Model::CreateTransaction, body);
    if (method == "ledger.ReverseTransfer") return Do(&Model::ReverseTransfer, body);
    if (method == "ledger.Pay") return Do(&Model::Pay, body);
    if (method == "ledger.CreateExchange") return Do(&Model::CreateExchange, body);
    if (method == "ledger.CheckAccount") return Do(&Model::CheckAccount, body);
    throw Violation("the model does not know the method " + method);
  }

  std::string Difference(const ReadRecord& read) const override {
    using namespace ledger;  // NOLINT: the messages of this one service.
    if (read.method == "ledger.GetAccount") {
      return Differ(model_, Parsed<GetAccountRequest>(read.request), read);
    }
    if (read.method == "ledger.GetTransfer") {
      const auto request = Parsed<GetTransferRequest>(read.request);
      return sim::Differ<Transfer>(model_.GetTransfer(request.id()), read);
    }
    if (read.method == "ledger.ListAccounts") {
      const auto request = Parsed<ListAccountsRequest>(read.request);
      return DifferPage<ListAccountsReply>(
          model_.Accounts(), request.limit(), [](auto& page) { return page.add_accounts(); }, read);
    }
    if (read.method == "ledger.ListTransfers") {
      const auto request = Parsed<ListTransfersRequest>(read.request);
      return DifferPage<ListTransfersReply>(
          model_.Transfers(), request.limit(), [](auto& page) { return page.add_transfers(); },
          read);
    }
    if (read.method == "ledger.ListAccountTransfers") {
      return Differ(model_, Parsed<ListAccountTransfersRequest>(read.request), read);
    }
    throw Violation("the model does not know the read " + read.method);
  }

  std::vector<Asked> Everything() const override {
    std::vector<Asked> all;
    for (const ledger::Account& account : model_.Accounts()) {
      ledger::GetAccountRequest request;
      request.set_id(account.id());
      all.push_back(AskedOf("ledger.GetAccount", request));
    }
    return all;
  }

  std::string Broken() const override {
    std::map<std::string, absl::int128> sums;  // Of each currency; balances may be at their limits.
    for (const ledger::Account& account : model_.Accounts()) {
      sums[account.currency()] += account.balance();
    }
    for (const auto& [currency, sum] : sums) {
      if (sum != 0) return "conservation: the balances in " + currency + " do not add up to 0";
    }
    return "";
  }

 private:
  template <class Request, class Reply>
  std::string Do(Reply (Model::*method)(const Request&), const std::string& body) {
    return Answer<Request>(body, [&](const Request& request) { return (model_.*method)(request); });
  }
};

}  // namespace

std::shared_ptr<Judge> MakeLedgerJudge() { return std::make_shared<LedgerJudge>(); }

}  // namespace holdfast::sim
