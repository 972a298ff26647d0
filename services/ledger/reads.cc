#include <limits>

#include "services/ledger/describe.h"
#include "services/ledger/ledger.h"
#include "services/ledger/validate.h"
#include "src/base/bounds.h"
#include "src/base/timestamp.h"

namespace holdfast::ledger {
namespace {

constexpr uint64_t kLast = std::numeric_limits<uint64_t>::max();
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

// Bounds one page by rows and by bytes, so that no page outgrows a reply.
class Page {
 public:
  explicit Page(uint32_t limit) : rows_left_(limit == 0 ? bounds::kPageRowsDefault : limit) {}

  bool Full() const { return rows_left_ == 0 || bytes_ >= bounds::kReplyBytesMax / 2; }
  void Count(const google::protobuf::Message& row) {
    --rows_left_;
    bytes_ += row.ByteSizeLong();
  }

 private:
  size_t rows_left_;
  size_t bytes_ = 0;
};

Error NoAccount(const std::string& id) { return NotFound("there is no account '" + id + "'"); }

}  // namespace

Result<void> Ledger::GetAccount(const GetAccountRequest& request, const ReadContext& /*context*/,
                                Account* reply) const {
  auto row = tables_.accounts.Get(request.id());
  if (!row) return Fail(NoAccount(request.id()));
  const auto profile = tables_.profiles.Get(row->number);
  HOLDFAST_CHECK(profile.has_value(), "an account without a profile: " + request.id());
  if (request.has_at()) {
    const int64_t at_us = FloorUs(request.at());
    if (at_us < profile->created_us) {
      return Fail(NotFound("account '" + request.id() + "' was not open yet at that time"));
    }
    const uint64_t number = row->number;
    row->balance = row->pending_in = row->pending_out = 0;
    row->last_sequence = 0;
    tables_.history.ScanBack({number, at_us, kLast},
                             [&](const HistoryKey& key, const HistoryRow& then) {
                               if (std::get<0>(key) != number) return false;
                               row->balance = then.balance;
                               row->pending_in = then.pending_in;
                               row->pending_out = then.pending_out;
                               row->last_sequence = std::get<2>(key);
                               return false;
                             });
  }
  FillAccount(request.id(), *row, *profile, reply);
  return {};
}

Result<void> Ledger::ListAccounts(const ListAccountsRequest& request,
                                  const ReadContext& /*context*/, ListAccountsReply* reply) const {
  const auto from = ParseCursor(CursorKind::kAccounts, request.cursor());
  if (!from) return Fail(from.error());
  Page page(request.limit());
  tables_.profiles.Scan(*from, [&](const uint64_t& number, const ProfileRow& profile) {
    if (page.Full()) {
      reply->set_next_cursor(MakeCursor(CursorKind::kAccounts, number));
      return false;
    }
    const auto row = tables_.accounts.Get(profile.id);
    HOLDFAST_CHECK(row.has_value(), "a profile without an account: " + profile.id);
    Account* account = reply->add_accounts();
    FillAccount(profile.id, *row, profile, account);
    page.Count(*account);
    return true;
  });
  return {};
}

Result<void> Ledger::GetTransfer(const GetTransferRequest& request, const ReadContext& context,
                                 Transfer* reply) const {
  const auto row = tables_.ids.Get(request.id());
  if (!row) return Fail(NotFound("there is no transfer '" + request.id() + "'"));
  FillTransfer(request.id(), *row, context.now, tables_, reply);
  return {};
}

Result<void> Ledger::ListTransfers(const ListTransfersRequest& request,
                                   const ReadContext& /*context*/,
                                   ListTransfersReply* reply) const {
  const auto from = ParseCursor(CursorKind::kTransfers, request.cursor());
  if (!from) return Fail(from.error());
  Page page(request.limit());
  Parties parties(tables_);
  tables_.transfers.Scan(*from, [&](const uint64_t& sequence, const TransferRow& row) {
    if (page.Full()) {
      reply->set_next_cursor(MakeCursor(CursorKind::kTransfers, sequence));
      return false;
    }
    Transfer* transfer = reply->add_transfers();
    FillEntry(sequence, row, parties, tables_, transfer);
    page.Count(*transfer);
    return true;
  });
  return {};
}

Result<void> Ledger::ListAccountTransfers(const ListAccountTransfersRequest& request,
                                          const ReadContext& /*context*/,
                                          ListAccountTransfersReply* reply) const {
  const auto account = tables_.accounts.Get(request.id());
  if (!account) return Fail(NoAccount(request.id()));
  const auto cursor = ParseCursor(CursorKind::kAccountTransfers, request.cursor());
  if (!cursor) return Fail(cursor.error());
  HistoryKey start{account->number, 0, 0};
  if (request.has_from()) std::get<1>(start) = CeilingUs(request.from());
  if (*cursor != 0) {
    const auto next = tables_.transfers.Get(*cursor);
    if (!next || (next->from != account->number && next->to != account->number)) {
      return Fail(InvalidArgument("cursor", "is no cursor of this account's list"));
    }
    start = std::max(start, HistoryKey{account->number, next->time_us, *cursor});
  }
  const int64_t end_us = request.has_to() ? CeilingUs(request.to()) : kNever;

  Page page(request.limit());
  Parties parties(tables_);
  tables_.history.Scan(start, [&](const HistoryKey& key, const HistoryRow& after) {
    const auto& [number, time_us, sequence] = key;
    if (number != account->number || time_us >= end_us) return false;
    if (page.Full()) {
      reply->set_next_cursor(MakeCursor(CursorKind::kAccountTransfers, sequence));
      return false;
    }
    const auto row = tables_.transfers.Get(sequence);
    HOLDFAST_CHECK(row.has_value(), "no journal entry " + std::to_string(sequence));
    AccountTransfer* transfer = reply->add_transfers();
    FillEntry(sequence, *row, parties, tables_, transfer->mutable_transfer());
    AccountRow then = *account;
    then.balance = after.balance;
    then.pending_in = after.pending_in;
    then.pending_out = after.pending_out;
    FillBalance(StandingOf(then), transfer->mutable_after());
    page.Count(*transfer);
    return true;
  });
  return {};
}

}  // namespace holdfast::ledger
