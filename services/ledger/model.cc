#include "services/ledger/model.h"

#include <algorithm>
#include <limits>

namespace holdfast::ledger {
namespace {

__extension__ typedef __int128 Wide;
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr uint64_t kAll = std::numeric_limits<uint64_t>::max();

template <class ProtoMap>
std::map<std::string, std::string> ToMap(const ProtoMap& map) {
  return {map.begin(), map.end()};
}

google::protobuf::Timestamp ToTimestamp(int64_t us) {
  google::protobuf::Timestamp time;
  time.set_seconds(us / 1'000'000);
  time.set_nanos(static_cast<int32_t>(us % 1'000'000) * 1'000);
  return time;
}

int64_t AvailableOf(int64_t balance, int64_t overdraft, int64_t pending_out) {
  return static_cast<int64_t>(
      std::min<Wide>(static_cast<Wide>(balance) + overdraft - pending_out, kMax));
}

}  // namespace

// --- Accounts

const Model::OpenAccount* Model::FindAccount(const std::string& id) const {
  for (const OpenAccount& account : accounts_) {
    if (account.id == id) return &account;
  }
  return nullptr;
}

Model::OpenAccount* Model::FindAccount(const std::string& id) {
  return const_cast<OpenAccount*>(std::as_const(*this).FindAccount(id));
}

// The definition of a balance: the sum of what the journal says, up to some entry. Each account's
// is kept after each of its entries, or a long journal would be added up again for every reply.
void Model::Journal(Entry entry) {
  journal_.push_back(std::move(entry));
  const auto& [from, to, amount] = journal_.back().movement;
  for (const std::string& id : {from, to}) {
    std::vector<Sum>& sums = sums_[id];
    Sum sum = sums.empty() ? Sum{} : sums.back();
    Add(journal_.back(), id == from, &sum);
    sum.last_sequence = journal_.size();
    sums.push_back(sum);
  }
}

void Model::Add(const Entry& entry, bool outgoing, Sum* sum) {
  const int64_t amount = entry.movement.amount;
  int64_t& pending = outgoing ? sum->pending_out : sum->pending_in;
  const int64_t moved = outgoing ? -amount : amount;
  switch (entry.kind) {
    case TransferKind::hold: pending += amount; break;
    case TransferKind::post:
    case TransferKind::void_:
    case TransferKind::expiry:
      pending -= amount + entry.released;
      sum->balance += moved;
      break;
    default: sum->balance += moved;
  }
}

void Model::CutJournal(size_t entries) {
  journal_.resize(entries);
  for (auto& [id, sums] : sums_) {
    while (!sums.empty() && sums.back().last_sequence > entries) sums.pop_back();
  }
}

Model::Sum Model::SumOf(const std::string& id, uint64_t through) const {
  const auto found = sums_.find(id);
  if (found == sums_.end()) return {};
  const auto after =
      std::upper_bound(found->second.begin(), found->second.end(), through,
                       [](uint64_t last, const Sum& sum) { return last < sum.last_sequence; });
  return after == found->second.begin() ? Sum{} : *std::prev(after);
}

Account Model::Describe(const OpenAccount& account, const Sum& sum) const {
  Account described;
  described.set_id(account.id);
  described.set_currency(account.currency);
  described.set_overdraft(account.overdraft);
  described.set_balance(sum.balance);
  described.set_available(AvailableOf(sum.balance, account.overdraft, sum.pending_out));
  described.set_pending_in(sum.pending_in);
  described.set_pending_out(sum.pending_out);
  described.set_closed(account.closed);
  for (const auto& [key, value] : account.metadata) {
    (*described.mutable_metadata())[key] = value;
  }
  *described.mutable_created() = ToTimestamp(account.created_us);
  described.set_last_sequence(sum.last_sequence);
  return described;
}

AccountReply Model::ReplyOf(AccountOutcome::Code outcome, const std::string& id) const {
  AccountReply reply;
  reply.set_outcome(outcome);
  if (auto account = GetAccount(id)) *reply.mutable_account() = *account;
  return reply;
}

AccountReply Model::CreateAccount(const CreateAccountRequest& request) {
  const auto metadata = ToMap(request.metadata());
  AccountOutcome::Code outcome = AccountOutcome::already_exists;
  if (const OpenAccount* account = FindAccount(request.id())) {
    if (account->currency != request.currency()) {
      outcome = AccountOutcome::exists_with_different_currency;
    } else if (account->overdraft != request.overdraft()) {
      outcome = AccountOutcome::exists_with_different_overdraft;
    } else if (account->metadata != metadata) {
      outcome = AccountOutcome::exists_with_different_metadata;
    }
  } else {
    accounts_.push_back(
        {request.id(), request.currency(), request.overdraft(), metadata, now_us_, false});
    outcome = AccountOutcome::created;
  }
  return ReplyOf(outcome, request.id());
}

CreateAccountsReply Model::CreateAccounts(const CreateAccountsRequest& request) {
  CreateAccountsReply reply;
  for (const auto& account : request.accounts()) {
    reply.add_results()->set_outcome(CreateAccount(account).outcome());
  }
  return reply;
}

AccountReply Model::CloseAccount(const CloseAccountRequest& request) {
  OpenAccount* account = FindAccount(request.id());
  if (account == nullptr) return ReplyOf(AccountOutcome::account_not_found, request.id());
  if (account->closed) return ReplyOf(AccountOutcome::already_closed, request.id());
  const Sum sum = SumOf(request.id(), kAll);
  if (sum.pending_in != 0 || sum.pending_out != 0) {
    return ReplyOf(AccountOutcome::account_has_holds, request.id());
  }
  if (sum.balance != 0) return ReplyOf(AccountOutcome::account_has_balance, request.id());
  account->closed = true;
  return ReplyOf(AccountOutcome::closed, request.id());
}

CheckAccountReply Model::CheckAccount(const CheckAccountRequest& request) {
  CheckAccountReply reply;
  const auto account = GetAccount(request.id());
  if (account) reply.set_balance(account->balance());
  if (request.absent()) {
    reply.set_outcome(account ? CheckOutcome::account_exists : CheckOutcome::valid);
  } else if (!account) {
    reply.set_outcome(CheckOutcome::account_not_found);
  } else {
    reply.set_outcome(account->balance() < request.at_least() ? CheckOutcome::insufficient_funds
                                                              : CheckOutcome::valid);
  }
  return reply;
}

AccountReply Model::ReopenAccount(const ReopenAccountRequest& request) {
  OpenAccount* account = FindAccount(request.id());
  if (account == nullptr) return ReplyOf(AccountOutcome::account_not_found, request.id());
  if (!account->closed) return ReplyOf(AccountOutcome::already_open, request.id());
  account->closed = false;
  return ReplyOf(AccountOutcome::reopened, request.id());
}

std::optional<Account> Model::GetAccount(const std::string& id,
                                         std::optional<int64_t> at_us) const {
  const OpenAccount* account = FindAccount(id);
  if (account == nullptr || (at_us && account->created_us > *at_us)) return std::nullopt;
  uint64_t through = kAll;
  if (at_us) {
    through = 0;
    for (const Entry& entry : journal_) through += entry.time_us <= *at_us ? 1 : 0;
  }
  return Describe(*account, SumOf(id, through));
}

std::vector<Account> Model::Accounts() const {
  std::vector<Account> all;
  for (const OpenAccount& account : accounts_) all.push_back(*GetAccount(account.id));
  return all;
}

// --- Transfers

int64_t Model::ExpiresUs(const Work& hold) const {
  return hold.timeout_seconds == 0 ? kMax
                                   : hold.time_us + int64_t{hold.timeout_seconds} * 1'000'000;
}

void Model::Advance(int64_t now_us) {
  now_us_ = now_us;
  while (!open_holds_.empty() && open_holds_.begin()->first <= now_us) {
    const std::string id = open_holds_.begin()->second;
    Work& hold = works_.at(id);
    const Movement& held = hold.legs[0];
    Journal({id, TransferKind::expiry, {held.from, held.to, 0}, held.amount, now_us_, 0});
    hold.ended_by = journal_.size();
    open_holds_.erase(open_holds_.begin());
  }
}

Model::Result Model::Do(Work work, bool open_accounts, TransferOutcome::Code refused,
                        const std::string& refused_account) {
  Result result;
  for (uint32_t leg = 0; leg < work.legs.size(); ++leg) {
    if (work.legs[leg].from == work.legs[leg].to) {
      return {TransferOutcome::same_account, TransferOutcome::unspecified, work.legs[leg].from,
              leg};
    }
  }
  if (auto done = works_.find(work.id); done != works_.end()) {
    if (done->second.failure != TransferOutcome::unspecified) {
      result.outcome = TransferOutcome::id_already_failed;
      result.failed_as = done->second.failure;
    } else {
      result.outcome = Compare(work, done->second);
    }
    return result;
  }
  const auto accounts_before = accounts_.size();
  const auto entries_before = journal_.size();
  work.sequence = journal_.size() + 1;
  work.time_us = now_us_;
  if (refused != TransferOutcome::unspecified) {
    result.outcome = refused;
    result.account = refused_account;
  } else {
    result = TryLegs(work, open_accounts);
  }
  if (result.outcome != TransferOutcome::created) {
    accounts_.resize(accounts_before);
    CutJournal(entries_before);
    work.failure = result.outcome;
  } else if (!work.reversal_of.empty()) {
    works_.at(work.reversal_of).reversed_by = work.id;
  }
  const std::string id = work.id;
  if (work.kind == TransferKind::hold && work.failure == TransferOutcome::unspecified) {
    open_holds_.emplace(ExpiresUs(work), id);
  }
  works_.emplace(id, std::move(work));
  return result;
}

Model::Result Model::TryLegs(const Work& work, bool open_accounts) {
  for (uint32_t leg = 0; leg < work.legs.size(); ++leg) {
    const auto& [from_id, to_id, amount] = work.legs[leg];
    if (open_accounts) {
      std::string currency = "XXX";
      if (const OpenAccount* to = FindAccount(to_id)) currency = to->currency;
      if (const OpenAccount* from = FindAccount(from_id)) currency = from->currency;
      for (const std::string& id : {from_id, to_id}) {
        if (FindAccount(id) == nullptr) {
          accounts_.push_back({id, currency, kMax, {}, now_us_, false});
        }
      }
    }
    auto refuse = [leg](TransferOutcome::Code outcome, const std::string& account) {
      return Result{outcome, TransferOutcome::unspecified, account, leg};
    };
    const OpenAccount* from = FindAccount(from_id);
    const OpenAccount* to = FindAccount(to_id);
    if (from == nullptr) return refuse(TransferOutcome::account_not_found, from_id);
    if (to == nullptr) return refuse(TransferOutcome::account_not_found, to_id);
    if (from->closed) return refuse(TransferOutcome::account_closed, from_id);
    if (to->closed) return refuse(TransferOutcome::account_closed, to_id);
    if (from->currency != to->currency) return refuse(TransferOutcome::currency_mismatch, to_id);
    const Sum out = SumOf(from_id, kAll);
    const Sum in = SumOf(to_id, kAll);
    const Wide left = static_cast<Wide>(out.balance) - out.pending_out - amount;
    if (from->overdraft != kMax && left + from->overdraft < 0) {
      return refuse(TransferOutcome::insufficient_funds, from_id);
    }
    const bool hold = work.kind == TransferKind::hold;
    if (left < kMin || static_cast<Wide>(in.balance) + in.pending_in + amount > kMax ||
        (hold && (static_cast<Wide>(out.pending_out) + amount > kMax ||
                  static_cast<Wide>(in.pending_in) + amount > kMax))) {
      return refuse(TransferOutcome::overflow, "");
    }
    Journal({work.id, work.kind, work.legs[leg], 0, now_us_, leg});
  }
  return {TransferOutcome::created, TransferOutcome::unspecified, "", std::nullopt};
}

TransferOutcome::Code Model::Compare(const Work& asked, const Work& done) const {
  auto request_kind = [](const Work& work) {
    return work.kind == TransferKind::hold ? TransferKind::transfer : work.kind;
  };
  if (request_kind(asked) != request_kind(done)) {
    return TransferOutcome::exists_with_different_kind;
  }
  auto differs = [&](const Movement& a, const Movement& b) {
    return a.from != b.from || a.to != b.to || a.amount != b.amount;
  };
  switch (request_kind(asked)) {
    case TransferKind::transfer: {
      const Movement& a = asked.legs[0];
      const Movement& b = done.legs[0];
      if (a.from != b.from) return TransferOutcome::exists_with_different_from;
      if (a.to != b.to) return TransferOutcome::exists_with_different_to;
      if (a.amount != b.amount) return TransferOutcome::exists_with_different_amount;
      if (asked.kind != done.kind) return TransferOutcome::exists_with_different_pending;
      if (asked.timeout_seconds != done.timeout_seconds) {
        return TransferOutcome::exists_with_different_timeout_seconds;
      }
      break;
    }
    case TransferKind::transaction:
      if (asked.legs.size() != done.legs.size()) {
        return TransferOutcome::exists_with_different_legs;
      }
      for (size_t i = 0; i < asked.legs.size(); ++i) {
        if (differs(asked.legs[i], done.legs[i])) {
          return TransferOutcome::exists_with_different_legs;
        }
      }
      break;
    case TransferKind::exchange: {
      const auto other = CompareExchange(*asked.exchange, *done.exchange);
      if (other != TransferOutcome::unspecified) return other;
      break;
    }
    default:
      if (asked.reversal_of != done.reversal_of) {
        return TransferOutcome::exists_with_different_reversal_of;
      }
  }
  return asked.metadata == done.metadata ? TransferOutcome::already_exists
                                         : TransferOutcome::exists_with_different_metadata;
}

TransferReply Model::DoSingle(const Work& work, bool open_accounts) {
  const Result result = Do(work, open_accounts, TransferOutcome::unspecified);
  TransferReply reply = ReplyOf(result, work.id, false);
  const Movement& leg = work.legs[0];
  if (!reply.has_from() && FindAccount(leg.from) != nullptr) {
    *reply.mutable_from() = BalanceOf(leg.from, kAll, true);
  }
  if (!reply.has_to() && FindAccount(leg.to) != nullptr) {
    *reply.mutable_to() = BalanceOf(leg.to, kAll, true);
  }
  return reply;
}

TransferReply Model::CreateTransfer(const CreateTransferRequest& request) {
  Work work;
  work.id = request.id();
  work.kind = request.pending() ? TransferKind::hold : TransferKind::transfer;
  work.legs = {{request.from(), request.to(), request.amount()}};
  work.timeout_seconds = request.timeout_seconds();
  work.metadata = ToMap(request.metadata());
  return DoSingle(work, false);
}

TransferReply Model::Pay(const PayRequest& request) {
  Work work;
  work.id = request.transaction_id();
  work.legs = {{request.from_account(), request.to_account(), request.amount()}};
  return DoSingle(work, true);
}

CreateTransfersReply Model::CreateTransfers(const CreateTransfersRequest& request) {
  CreateTransfersReply reply;
  for (const auto& transfer : request.transfers()) {
    const TransferReply one = CreateTransfer(transfer);
    TransferResult* result = reply.add_results();
    result->set_outcome(one.outcome());
    result->set_failed_as(one.failed_as());
    result->set_account(one.account());
    if (one.outcome() != TransferOutcome::created &&
        one.outcome() != TransferOutcome::already_exists) {
      continue;
    }
    result->set_sequence(one.transfer().sequence());
    *result->mutable_from() = one.from();
    result->mutable_from()->clear_account();
    *result->mutable_to() = one.to();
    result->mutable_to()->clear_account();
  }
  *reply.mutable_time() = ToTimestamp(now_us_);
  return reply;
}

TransferReply Model::CreateTransaction(const CreateTransactionRequest& request) {
  Work work;
  work.id = request.id();
  work.kind = TransferKind::transaction;
  work.has_legs = true;
  for (const Leg& leg : request.legs()) work.legs.push_back({leg.from(), leg.to(), leg.amount()});
  work.metadata = ToMap(request.metadata());
  return ReplyOf(Do(work, false, TransferOutcome::unspecified), request.id(), true);
}

TransferReply Model::ReverseTransfer(const ReverseTransferRequest& request) {
  Work work;
  work.id = request.reversal_id();
  work.kind = TransferKind::reversal;
  work.metadata = ToMap(request.metadata());
  work.reversal_of = request.id();
  auto found = works_.find(request.id());
  TransferOutcome::Code refused = TransferOutcome::unspecified;
  if (found == works_.end() || found->second.failure != TransferOutcome::unspecified) {
    refused = TransferOutcome::transfer_not_found;
  } else {
    const Work& original = found->second;
    work.has_legs = original.has_legs;
    work.legs = original.legs;
    if (original.kind == TransferKind::hold) {
      if (original.ended_by != 0 && journal_[original.ended_by - 1].kind == TransferKind::post) {
        work.legs = {journal_[original.ended_by - 1].movement};
      } else {
        refused = TransferOutcome::transfer_not_posted;
      }
    }
    if (!original.reversed_by.empty()) refused = TransferOutcome::already_reversed;
    std::reverse(work.legs.begin(), work.legs.end());
    for (Movement& leg : work.legs) std::swap(leg.from, leg.to);
  }
  return ReplyOf(Do(work, false, refused), request.reversal_id(), work.has_legs);
}

TransferReply Model::PostTransfer(const PostTransferRequest& request) {
  return End(request.id(), TransferKind::post,
             request.has_amount() ? std::optional(request.amount()) : std::nullopt);
}

TransferReply Model::VoidTransfer(const VoidTransferRequest& request) {
  return End(request.id(), TransferKind::void_, std::nullopt);
}

TransferReply Model::End(const std::string& id, TransferKind::Code kind,
                         std::optional<int64_t> amount) {
  TransferReply reply;
  auto found = works_.find(id);
  if (found == works_.end() || found->second.failure != TransferOutcome::unspecified ||
      found->second.kind != TransferKind::hold) {
    reply.set_outcome(TransferOutcome::hold_not_found);
    return reply;
  }
  Work& hold = found->second;
  const Movement held = hold.legs[0];
  const int64_t moves = kind == TransferKind::void_ ? 0 : amount.value_or(held.amount);
  bool balances = false;
  if (hold.ended_by != 0) {
    const Entry& end = journal_[hold.ended_by - 1];
    if (end.kind == TransferKind::expiry) {
      reply.set_outcome(TransferOutcome::hold_expired);
    } else if (end.kind == kind && end.movement.amount == moves) {
      reply.set_outcome(TransferOutcome::already_exists);
      reply.set_duplicate(true);
      balances = true;
    } else {
      reply.set_outcome(end.kind == TransferKind::post ? TransferOutcome::hold_already_posted
                                                       : TransferOutcome::hold_already_voided);
    }
  } else if (moves > held.amount) {
    reply.set_outcome(TransferOutcome::exceeds_held_amount);
  } else {
    Journal({id, kind, {held.from, held.to, moves}, held.amount - moves, now_us_, 0});
    hold.ended_by = journal_.size();
    open_holds_.erase({ExpiresUs(hold), id});
    reply.set_outcome(kind == TransferKind::post ? TransferOutcome::posted
                                                 : TransferOutcome::voided);
    balances = true;
  }
  *reply.mutable_transfer() = DescribeWork(hold);
  if (balances) {
    *reply.mutable_from() = BalanceOf(held.from, hold.ended_by, true);
    *reply.mutable_to() = BalanceOf(held.to, hold.ended_by, true);
  }
  return reply;
}

// --- Descriptions

Balance Model::BalanceOf(const std::string& id, uint64_t through, bool named) const {
  const Sum sum = SumOf(id, through);
  Balance balance;
  if (named) balance.set_account(id);
  balance.set_balance(sum.balance);
  balance.set_available(AvailableOf(sum.balance, FindAccount(id)->overdraft, sum.pending_out));
  balance.set_pending_in(sum.pending_in);
  balance.set_pending_out(sum.pending_out);
  return balance;
}

TransferReply Model::ReplyOf(const Result& result, const std::string& id, bool has_legs) const {
  TransferReply reply;
  reply.set_outcome(result.outcome);
  reply.set_failed_as(result.failed_as);
  reply.set_account(result.account);
  reply.set_duplicate(result.outcome == TransferOutcome::already_exists);
  if (has_legs && result.leg) reply.set_failed_leg(*result.leg);
  auto found = works_.find(id);
  if (found == works_.end()) return reply;  // same_account leaves no trace.
  const Work& work = found->second;
  *reply.mutable_transfer() = DescribeWork(work);
  if (result.outcome != TransferOutcome::created &&
      result.outcome != TransferOutcome::already_exists) {
    return reply;
  }
  for (size_t i = 0; i < work.legs.size(); ++i) {
    const uint64_t sequence = work.sequence + i;
    if (work.has_legs) {
      LegResult* leg = reply.add_legs();
      leg->set_sequence(sequence);
      *leg->mutable_from() = BalanceOf(work.legs[i].from, sequence, false);
      *leg->mutable_to() = BalanceOf(work.legs[i].to, sequence, false);
    } else {
      *reply.mutable_from() = BalanceOf(work.legs[i].from, sequence, true);
      *reply.mutable_to() = BalanceOf(work.legs[i].to, sequence, true);
    }
  }
  return reply;
}

Transfer Model::DescribeEntry(uint64_t sequence) const {
  const Entry& entry = journal_[sequence - 1];
  const Work& work = works_.at(entry.id);
  Transfer transfer;
  transfer.set_id(entry.id);
  transfer.set_kind(entry.kind);
  transfer.set_state(entry.kind == TransferKind::hold     ? TransferState::pending
                     : entry.kind == TransferKind::void_  ? TransferState::voided
                     : entry.kind == TransferKind::expiry ? TransferState::expired
                                                          : TransferState::posted);
  transfer.set_from(entry.movement.from);
  transfer.set_to(entry.movement.to);
  transfer.set_amount(entry.movement.amount);
  transfer.set_currency(FindAccount(entry.movement.from)->currency);
  transfer.set_released(entry.released);
  if (entry.kind == TransferKind::hold && work.timeout_seconds != 0) {
    *transfer.mutable_expires() = ToTimestamp(ExpiresUs(work));
  }
  transfer.set_leg(entry.leg);
  transfer.set_reversal_of(work.reversal_of);
  transfer.set_sequence(sequence);
  *transfer.mutable_time() = ToTimestamp(entry.time_us);
  if (sequence == work.sequence) {
    for (const auto& [key, value] : work.metadata) (*transfer.mutable_metadata())[key] = value;
  }
  if (work.exchange && entry.leg == 0) {
    ExchangeTerms* terms = transfer.mutable_exchange();
    terms->set_rate(work.exchange->rate());
    terms->set_spread_ppm(work.exchange->spread_ppm());
    terms->set_rounding(work.exchange->rounding());
    terms->set_amount(work.legs[0].amount);
    terms->set_currency(FindAccount(work.legs[0].from)->currency);
    terms->set_converted(work.legs[1].amount);
    terms->set_converted_currency(FindAccount(work.legs[1].to)->currency);
  }
  return transfer;
}

Transfer Model::DescribeWork(const Work& work) const {
  Transfer transfer;
  if (work.failure != TransferOutcome::unspecified) {
    transfer.set_id(work.id);
    transfer.set_state(TransferState::failed);
    transfer.set_failure(work.failure);
    return transfer;
  }
  transfer = DescribeEntry(work.sequence);
  if (work.ended_by != 0) {
    const Transfer end = DescribeEntry(work.ended_by);
    transfer.set_state(end.state());
    transfer.set_posted_amount(end.amount());
    transfer.set_released(end.released());
  }
  transfer.set_reversed_by(work.reversed_by);
  if (work.has_legs) {
    transfer.clear_from();
    transfer.clear_to();
    transfer.clear_amount();
    for (const Movement& movement : work.legs) {
      Leg* leg = transfer.add_legs();
      leg->set_from(movement.from);
      leg->set_to(movement.to);
      leg->set_amount(movement.amount);
    }
  }
  return transfer;
}

std::optional<Transfer> Model::GetTransfer(const std::string& id) const {
  auto found = works_.find(id);
  if (found == works_.end()) return std::nullopt;
  return DescribeWork(found->second);
}

std::vector<Transfer> Model::Transfers() const {
  std::vector<Transfer> all;
  for (uint64_t sequence = 1; sequence <= journal_.size(); ++sequence) {
    all.push_back(DescribeEntry(sequence));
  }
  return all;
}

std::vector<AccountTransfer> Model::AccountTransfers(const std::string& id, int64_t from_us,
                                                     int64_t to_us) const {
  std::vector<AccountTransfer> all;
  for (uint64_t sequence = 1; sequence <= journal_.size(); ++sequence) {
    const Entry& entry = journal_[sequence - 1];
    if (entry.movement.from != id && entry.movement.to != id) continue;
    if (entry.time_us < from_us || entry.time_us >= to_us) continue;
    AccountTransfer& transfer = all.emplace_back();
    *transfer.mutable_transfer() = DescribeEntry(sequence);
    *transfer.mutable_after() = BalanceOf(id, sequence, false);
  }
  return all;
}

}  // namespace holdfast::ledger
