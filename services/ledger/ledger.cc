#include "services/ledger/ledger.h"

#include <algorithm>
#include <vector>

#include "services/ledger/describe.h"
#include "services/ledger/validate.h"
#include "src/base/timestamp.h"
#include "src/state_machine/registry.h"

namespace holdfast::ledger {
namespace {

Metadata Sorted(const ProtoMetadata& metadata) {
  return Metadata(metadata.begin(), metadata.end());
}

// Views of a request, good for one single-leg order.
Order OrderOf(const CreateTransferRequest& request, OrderLeg* leg) {
  *leg = {&request.from(), &request.to(), request.amount()};
  Order order;
  order.id = &request.id();
  order.kind = request.pending() ? TransferKind::hold : TransferKind::transfer;
  order.legs = absl::MakeConstSpan(leg, 1);
  order.timeout_seconds = request.timeout_seconds();
  order.metadata = &request.metadata();
  return order;
}

// Waiting for memory, each transfer for its own rows, is a fifth of a batch's time: these are asked
// for together, few enough to be in the processor's caches still when their turn comes.
constexpr int kTransfersAhead = 16;
void LookAhead(const CreateTransfersRequest& request, int first, const Posting& posting) {
  const int end = std::min(first + kTransfersAhead, request.transfers_size());
  for (int i = first; i < end; ++i) {
    const CreateTransferRequest& transfer = request.transfers(i);
    posting.LookAhead(transfer.id(), transfer.from(), transfer.to());
  }
}

void FillVerdict(const Verdict& verdict, TransferReply* reply) {
  reply->set_outcome(verdict.outcome);
  reply->set_duplicate(verdict.outcome == TransferOutcome::already_exists);
  reply->set_failed_as(verdict.failed_as);
  if (!verdict.account.empty()) reply->set_account(verdict.account);  // Setting it allocates.
}

void FillNamedBalance(const std::string& id, const Standing& standing, Balance* balance) {
  balance->set_account(id);
  FillBalance(standing, balance);
}

}  // namespace

// --- Accounts

AccountOutcome::Code Ledger::OpenAccount(const CreateAccountRequest& request, Posting& posting) {
  const AccountRow* found = tables_.accounts.Find(request.id());
  if (found == nullptr) {
    posting.Open(request.id(), request.currency(), request.overdraft(), Sorted(request.metadata()));
    return AccountOutcome::created;
  }
  if (found->currency != request.currency()) return AccountOutcome::exists_with_different_currency;
  if (found->overdraft != request.overdraft()) {
    return AccountOutcome::exists_with_different_overdraft;
  }
  if (tables_.profiles.Find(found->number)->metadata != Sorted(request.metadata())) {
    return AccountOutcome::exists_with_different_metadata;
  }
  return AccountOutcome::already_exists;
}

void Ledger::ReplyAccount(const std::string& id, AccountOutcome::Code outcome,
                          AccountReply* reply) const {
  reply->set_outcome(outcome);
  const auto row = tables_.accounts.Get(id);
  if (!row) return;
  FillAccount(id, *row, *tables_.profiles.Get(row->number), reply->mutable_account());
}

Result<void> Ledger::CreateAccount(const CreateAccountRequest& request, WriteContext& context,
                                   AccountReply* reply) {
  Posting posting(tables_, context);
  const AccountOutcome::Code outcome = OpenAccount(request, posting);
  posting.Finish();
  ReplyAccount(request.id(), outcome, reply);
  return {};
}

Result<void> Ledger::CreateAccounts(const CreateAccountsRequest& request, WriteContext& context,
                                    CreateAccountsReply* reply) {
  Posting posting(tables_, context);
  for (const CreateAccountRequest& account : request.accounts()) {
    reply->add_results()->set_outcome(OpenAccount(account, posting));
  }
  posting.Finish();
  return {};
}

Result<void> Ledger::CloseAccount(const CloseAccountRequest& request, WriteContext& /*context*/,
                                  AccountReply* reply) {
  AccountOutcome::Code outcome = AccountOutcome::account_not_found;
  if (const AccountRow* found = tables_.accounts.Find(request.id())) {
    AccountRow row = *found;
    if (row.closed) {
      outcome = AccountOutcome::already_closed;
    } else if (row.pending_in != 0 || row.pending_out != 0) {
      outcome = AccountOutcome::account_has_holds;
    } else if (row.balance != 0) {
      outcome = AccountOutcome::account_has_balance;
    } else {
      outcome = AccountOutcome::closed;
      row.closed = true;
      tables_.accounts.Put(request.id(), std::move(row));
    }
  }
  ReplyAccount(request.id(), outcome, reply);
  return {};
}

Result<void> Ledger::ReopenAccount(const ReopenAccountRequest& request, WriteContext& /*context*/,
                                   AccountReply* reply) {
  AccountOutcome::Code outcome = AccountOutcome::account_not_found;
  if (const AccountRow* found = tables_.accounts.Find(request.id())) {
    outcome = AccountOutcome::already_open;
    if (found->closed) {
      AccountRow row = *found;
      row.closed = false;
      tables_.accounts.Put(request.id(), std::move(row));
      outcome = AccountOutcome::reopened;
    }
  }
  ReplyAccount(request.id(), outcome, reply);
  return {};
}

// --- Transfers

Result<void> Ledger::CreateTransfer(const CreateTransferRequest& request, WriteContext& context,
                                    TransferReply* reply) {
  OrderLeg leg;
  ReplySingle(OrderOf(request, &leg), context, reply);
  return {};
}

Result<void> Ledger::Pay(const PayRequest& request, WriteContext& context, TransferReply* reply) {
  const OrderLeg leg{&request.from_account(), &request.to_account(), request.amount()};
  Order order;
  order.id = &request.transaction_id();
  order.legs = absl::MakeConstSpan(&leg, 1);
  order.open_accounts = true;
  ReplySingle(order, context, reply);
  return {};
}

Result<void> Ledger::CreateTransfers(const CreateTransfersRequest& request, WriteContext& context,
                                     CreateTransfersReply* reply) {
  Posting posting(tables_, context);
  for (int i = 0; i < request.transfers_size(); ++i) {
    if (i % kTransfersAhead == 0) LookAhead(request, i, posting);
    const CreateTransferRequest& transfer = request.transfers(i);
    OrderLeg leg;
    const Verdict verdict = posting.Execute(OrderOf(transfer, &leg));
    TransferResult* result = reply->add_results();
    result->set_outcome(verdict.outcome);
    result->set_failed_as(verdict.failed_as);
    if (!verdict.account.empty()) result->set_account(verdict.account);
    for (const Moved& moved : verdict.moved) {
      result->set_sequence(moved.sequence);
      FillBalance(moved.from, result->mutable_from());
      FillBalance(moved.to, result->mutable_to());
    }
  }
  posting.Finish();
  FillTime(context.now().us, reply->mutable_time());
  return {};
}

Result<void> Ledger::PostTransfer(const PostTransferRequest& request, WriteContext& context,
                                  TransferReply* reply) {
  Posting posting(tables_, context);
  const std::optional<int64_t> amount =
      request.has_amount() ? std::optional(request.amount()) : std::nullopt;
  Verdict verdict = posting.Resolve(request.id(), TransferKind::post, amount);
  posting.Finish();
  ReplyResolved(request.id(), std::move(verdict), context.now(), reply);
  return {};
}

Result<void> Ledger::VoidTransfer(const VoidTransferRequest& request, WriteContext& context,
                                  TransferReply* reply) {
  Posting posting(tables_, context);
  Verdict verdict = posting.Resolve(request.id(), TransferKind::void_, std::nullopt);
  posting.Finish();
  ReplyResolved(request.id(), std::move(verdict), context.now(), reply);
  return {};
}

Result<void> Ledger::CreateTransaction(const CreateTransactionRequest& request,
                                       WriteContext& context, TransferReply* reply) {
  std::vector<OrderLeg> legs;
  legs.reserve(static_cast<size_t>(request.legs_size()));
  for (const Leg& leg : request.legs()) legs.push_back({&leg.from(), &leg.to(), leg.amount()});
  Order order;
  order.id = &request.id();
  order.kind = TransferKind::transaction;
  order.legs = legs;
  order.is_transaction = true;
  order.metadata = &request.metadata();
  Posting posting(tables_, context);
  const Verdict verdict = posting.Execute(order);
  posting.Finish();
  ReplyLegs(order, verdict, context.now(), reply);
  return {};
}

Result<void> Ledger::ReverseTransfer(const ReverseTransferRequest& request, WriteContext& context,
                                     TransferReply* reply) {
  Order order;
  order.id = &request.reversal_id();
  order.kind = TransferKind::reversal;
  order.metadata = &request.metadata();
  order.original = &request.id();
  std::vector<TransferRow> rows;  // What the original moved.
  const auto original = tables_.ids.Get(request.id());
  if (!original || original->burnt()) {
    order.refused = TransferOutcome::transfer_not_found;
  } else {
    order.reversal_of = original->sequence;
    const TransferRow first = *tables_.transfers.Get(original->sequence);
    order.is_transaction = first.legs != 0;
    if (first.kind == TransferKind::hold) {
      const auto end = tables_.transfers.Get(original->resolved_by);
      if (end && end->kind == TransferKind::post) {
        rows.push_back(*end);
      } else {
        order.refused = TransferOutcome::transfer_not_posted;
      }
    } else {
      const uint64_t count = std::max(first.legs, uint32_t{1});
      for (uint64_t i = 0; i < count; ++i) {
        rows.push_back(*tables_.transfers.Get(original->sequence + i));
      }
    }
    if (original->reversed_by != 0) order.refused = TransferOutcome::already_reversed;
  }
  // Backwards: the last leg goes back first, so that each finds what it gave.
  Parties parties(tables_);
  std::vector<OrderLeg> legs;
  for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
    legs.push_back({&parties.Of(row->to).id, &parties.Of(row->from).id, row->amount});
  }
  order.legs = legs;
  Posting posting(tables_, context);
  const Verdict verdict = posting.Execute(order);
  posting.Finish();
  ReplyLegs(order, verdict, context.now(), reply);
  return {};
}

void Ledger::OnTimer(WriteContext& context, std::string_view key) {
  Posting posting(tables_, context);
  posting.Expire(std::string(key));
  posting.Finish();
}

// --- Replies

void Ledger::ReplySingle(const Order& order, WriteContext& context, TransferReply* reply) {
  Posting posting(tables_, context);
  const Verdict verdict = posting.Execute(order);
  posting.Finish();
  FillVerdict(verdict, reply);
  const OrderLeg& leg = order.legs.front();
  if (verdict.outcome == TransferOutcome::created) {
    // The hot path: the entry is the journal's last, and both names are at hand.
    const uint64_t sequence = verdict.moved.front().sequence;
    FillEntry(sequence, *tables_.transfers.Find(sequence), *leg.from, *leg.to,
              tables_.accounts.Find(*leg.from)->currency, reply->mutable_transfer());
  } else {
    ReplyTransfer(*order.id, context.now(), reply);
  }
  if (!verdict.moved.empty()) {
    FillNamedBalance(*leg.from, verdict.moved.front().from, reply->mutable_from());
    FillNamedBalance(*leg.to, verdict.moved.front().to, reply->mutable_to());
    return;
  }
  if (const AccountRow* from = tables_.accounts.Find(*leg.from)) {
    FillNamedBalance(*leg.from, StandingOf(*from), reply->mutable_from());
  }
  if (const AccountRow* to = tables_.accounts.Find(*leg.to)) {
    FillNamedBalance(*leg.to, StandingOf(*to), reply->mutable_to());
  }
}

void Ledger::ReplyResolved(const std::string& id, const Verdict& verdict, LogTime now,
                           TransferReply* reply) const {
  FillVerdict(verdict, reply);
  if (verdict.outcome == TransferOutcome::hold_not_found) return;
  ReplyTransfer(id, now, reply);
  for (const Moved& moved : verdict.moved) {
    FillNamedBalance(reply->transfer().from(), moved.from, reply->mutable_from());
    FillNamedBalance(reply->transfer().to(), moved.to, reply->mutable_to());
  }
}

void Ledger::ReplyLegs(const Order& order, const Verdict& verdict, LogTime now,
                       TransferReply* reply) const {
  FillVerdict(verdict, reply);
  ReplyTransfer(*order.id, now, reply);
  if (order.is_transaction && verdict.leg) reply->set_failed_leg(*verdict.leg);
  for (size_t i = 0; i < verdict.moved.size(); ++i) {
    const Moved& moved = verdict.moved[i];
    if (!order.is_transaction) {
      FillNamedBalance(*order.legs[i].from, moved.from, reply->mutable_from());
      FillNamedBalance(*order.legs[i].to, moved.to, reply->mutable_to());
      continue;
    }
    LegResult* leg = reply->add_legs();
    leg->set_sequence(moved.sequence);
    FillBalance(moved.from, leg->mutable_from());
    FillBalance(moved.to, leg->mutable_to());
  }
}

void Ledger::ReplyTransfer(const std::string& id, LogTime now, TransferReply* reply) const {
  if (const auto row = tables_.ids.Get(id)) {
    FillTransfer(id, *row, now, tables_, reply->mutable_transfer());
  }
}

// --- Preconditions

Result<void> Ledger::CheckAccount(const CheckAccountRequest& request, WriteContext& /*context*/,
                                  CheckAccountReply* reply) {
  const AccountRow* row = tables_.accounts.Find(request.id());
  if (row == nullptr) {
    reply->set_outcome(request.absent() ? CheckOutcome::valid : CheckOutcome::account_not_found);
    return {};
  }
  reply->set_balance(row->balance);
  reply->set_outcome(request.absent()                     ? CheckOutcome::account_exists
                     : row->balance >= request.at_least() ? CheckOutcome::valid
                                                          : CheckOutcome::insufficient_funds);
  return {};
}

// --- The method table

void Register(state_machine::Registry& registry) {
  registry.Add("holdfast.ledger.Ledger", std::make_unique<Ledger>(registry.store()))
      .Write("CreateAccount", &Ledger::CreateAccount, &Validate)
      .Write("CreateAccounts", &Ledger::CreateAccounts, &Validate)
      .Read("GetAccount", &Ledger::GetAccount, &Validate)
      .Read("ListAccounts", &Ledger::ListAccounts, &Validate)
      .Write("CloseAccount", &Ledger::CloseAccount)
      .Write("ReopenAccount", &Ledger::ReopenAccount)
      .Write("CreateTransfer", &Ledger::CreateTransfer, &Validate)
      .Write("CreateTransfers", &Ledger::CreateTransfers, &Validate)
      .Write("PostTransfer", &Ledger::PostTransfer, &Validate)
      .Write("VoidTransfer", &Ledger::VoidTransfer)
      .Write("CreateTransaction", &Ledger::CreateTransaction, &Validate)
      .Write("ReverseTransfer", &Ledger::ReverseTransfer, &Validate)
      .Read("GetTransfer", &Ledger::GetTransfer)
      .Read("ListTransfers", &Ledger::ListTransfers, &Validate)
      .Read("ListAccountTransfers", &Ledger::ListAccountTransfers, &Validate)
      .Write("Pay", &Ledger::Pay, &Validate)
      .Write("CreateExchange", &Ledger::CreateExchange, &Validate)
      .Write("CheckAccount", &Ledger::CheckAccount, &Validate);
}

}  // namespace holdfast::ledger
