#include "sim/model_reads.h"

#include <google/protobuf/util/message_differencer.h>
#include <google/protobuf/util/time_util.h>

#include <limits>

#include "sim/world.h"
#include "src/base/bounds.h"

namespace holdfast::sim {
namespace {

using google::protobuf::util::MessageDifferencer;
using google::protobuf::util::TimeUtil;
using ledger::Model;

template <class Message>
Message Parsed(const std::string& bytes) {
  Message message;
  Require(message.ParseFromString(bytes), "a read or its reply does not parse");
  return message;
}

template <class Message>
std::string Differ(const std::optional<Message>& expected,
                   const std::optional<std::string>& reply) {
  std::optional<Message> found;
  if (reply) found = Parsed<Message>(*reply);
  if (found.has_value() == expected.has_value() &&
      (!found || MessageDifferencer::Equals(*found, *expected))) {
    return "";
  }
  return "saw\n  " + (found ? found->ShortDebugString() : "nothing") + "\nand the model has\n  " +
         (expected ? expected->ShortDebugString() : "nothing");
}

// A page of `limit` rows; whether another one follows is said by a cursor, of the node's choice.
template <class Reply, class Row, class Add>
std::string DifferPage(const std::vector<Row>& rows, uint64_t rows_before, uint32_t limit, Add add,
                       const std::optional<std::string>& reply) {
  Reply expected;
  const size_t end = rows_before + (limit == 0 ? bounds::kPageRowsDefault : limit);
  for (size_t i = rows_before; i < std::min(end, rows.size()); ++i) *add(expected) = rows[i];
  if (reply) {
    auto found = Parsed<Reply>(*reply);
    if (found.next_cursor().empty() != (rows.size() <= end)) {
      return "ends or goes on after row " + std::to_string(end) + ", the model has " +
             std::to_string(rows.size()) + " rows";
    }
    found.clear_next_cursor();
    return Differ<Reply>(expected, found.SerializeAsString());
  }
  return Differ<Reply>(expected, reply);
}

std::string Differ(const Model& model, const ledger::GetAccountRequest& request,
                   const std::optional<std::string>& reply) {
  std::optional<int64_t> at_us;
  if (request.has_at()) at_us = TimeUtil::TimestampToMicroseconds(request.at());
  return Differ<ledger::Account>(model.GetAccount(request.id(), at_us), reply);
}

std::string Differ(const Model& model, const ledger::ListAccountTransfersRequest& request,
                   uint64_t rows_before, const std::optional<std::string>& reply) {
  if (!model.GetAccount(request.id())) {
    return Differ<ledger::ListAccountTransfersReply>(std::nullopt, reply);
  }
  const int64_t from_us =
      request.has_from() ? TimeUtil::TimestampToMicroseconds(request.from()) : 0;
  const int64_t to_us = request.has_to() ? TimeUtil::TimestampToMicroseconds(request.to())
                                         : std::numeric_limits<int64_t>::max();
  return DifferPage<ledger::ListAccountTransfersReply>(
      model.AccountTransfers(request.id(), from_us, to_us), rows_before, request.limit(),
      [](auto& page) { return page.add_transfers(); }, reply);
}

template <class Request, class Reply>
std::optional<Asked> NextPage(const Asked& asked, const std::string& bytes, int rows) {
  const auto reply = Parsed<Reply>(bytes);
  if (reply.next_cursor().empty()) return std::nullopt;
  auto request = std::make_shared<Request>(static_cast<const Request&>(*asked.request));
  request->set_cursor(reply.next_cursor());
  return Asked{asked.method, request, asked.rows_before + static_cast<uint64_t>(rows)};
}

}  // namespace

std::optional<Asked> NextPage(const Asked& asked, const std::string& reply) {
  using namespace ledger;  // NOLINT: the messages of this one service.
  if (asked.method == "ListAccounts") {
    return NextPage<ListAccountsRequest, ListAccountsReply>(
        asked, reply, Parsed<ListAccountsReply>(reply).accounts_size());
  }
  if (asked.method == "ListTransfers") {
    return NextPage<ListTransfersRequest, ListTransfersReply>(
        asked, reply, Parsed<ListTransfersReply>(reply).transfers_size());
  }
  if (asked.method == "ListAccountTransfers") {
    return NextPage<ListAccountTransfersRequest, ListAccountTransfersReply>(
        asked, reply, Parsed<ListAccountTransfersReply>(reply).transfers_size());
  }
  return std::nullopt;
}

std::string Difference(const Model& model, const std::string& method, const std::string& request,
                       uint64_t rows_before, const std::optional<std::string>& reply) {
  using namespace ledger;  // NOLINT: as above.
  if (method == "GetAccount") return Differ(model, Parsed<GetAccountRequest>(request), reply);
  if (method == "GetTransfer") {
    return Differ<Transfer>(model.GetTransfer(Parsed<GetTransferRequest>(request).id()), reply);
  }
  if (method == "ListAccounts") {
    return DifferPage<ListAccountsReply>(
        model.Accounts(), rows_before, Parsed<ListAccountsRequest>(request).limit(),
        [](auto& page) { return page.add_accounts(); }, reply);
  }
  if (method == "ListTransfers") {
    return DifferPage<ListTransfersReply>(
        model.Transfers(), rows_before, Parsed<ListTransfersRequest>(request).limit(),
        [](auto& page) { return page.add_transfers(); }, reply);
  }
  if (method == "ListAccountTransfers") {
    return Differ(model, Parsed<ListAccountTransfersRequest>(request), rows_before, reply);
  }
  throw Violation("the model does not know the read " + method);
}

}  // namespace holdfast::sim
