#include "services/ledger/posting.h"

#include "src/base/check.h"

namespace holdfast::ledger {
namespace {

// Transfers and holds answer for one kind of request, with `pending` as a field of it.
TransferKind::Code RequestKind(TransferKind::Code kind) {
  return kind == TransferKind::hold ? TransferKind::transfer : kind;
}

bool Same(const Metadata& stored, const ProtoMetadata* asked) {
  if (asked == nullptr) return stored.empty();
  if (stored.size() != asked->size()) return false;
  for (const auto& [key, value] : stored) {
    auto found = asked->find(key);
    if (found == asked->end() || found->second != value) return false;
  }
  return true;
}

bool AddOverflows(int64_t a, int64_t b) {
  int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum);
}

bool SubtractOverflows(int64_t a, int64_t b) {
  int64_t difference = 0;
  return __builtin_sub_overflow(a, b, &difference);
}

// Whether moving or holding `amount` would break an invariant of AccountRow.
bool Overflows(const AccountRow& from, const AccountRow& to, int64_t amount, bool hold) {
  if (SubtractOverflows(from.balance - from.pending_out, amount)) return true;
  if (AddOverflows(to.balance + to.pending_in, amount)) return true;
  return hold && (AddOverflows(from.pending_out, amount) || AddOverflows(to.pending_in, amount));
}

}  // namespace

Posting::Posting(Tables& tables, state_machine::WriteContext& context)
    : tables_(tables), context_(context) {
  if (const MetaRow* row = tables_.meta.Find(kOnlyRow)) stored_ = *row;
  meta_ = stored_;
}

void Posting::Finish() {
  if (meta_ != stored_) tables_.meta.Put(kOnlyRow, meta_);
  stored_ = meta_;
}

void Posting::Open(const std::string& id, const std::string& currency, int64_t overdraft,
                   Metadata metadata) {
  AccountRow row;
  row.number = ++meta_.accounts;
  row.currency = currency;
  row.overdraft = overdraft;
  tables_.profiles.Put(row.number, {id, context_.now().us, std::move(metadata)});
  tables_.accounts.Put(id, std::move(row));
}

void Posting::LookAhead(const std::string& id, const std::string& from,
                        const std::string& to) const {
  tables_.ids.LookAhead(id);
  for (const std::string* account : {&from, &to}) {
    const AccountRow* row = tables_.accounts.LookAhead(*account);
    if (row != nullptr) tables_.history.LookAhead({row->number, 0, 0});
  }
}

Verdict Posting::Execute(const Order& order) {
  Verdict verdict;
  for (const OrderLeg& leg : order.legs) {
    if (*leg.from != *leg.to) continue;
    verdict.outcome = TransferOutcome::same_account;
    verdict.leg = static_cast<uint32_t>(&leg - order.legs.data());
    verdict.account = *leg.from;
    return verdict;
  }
  if (const IdRow* seen = tables_.ids.Find(*order.id)) return Repeat(order, IdRow(*seen));

  const store::Savepoint mark = context_.Mark();
  const MetaRow numbers = meta_;
  CarryOut(order, &verdict);
  if (verdict.outcome != TransferOutcome::created) {
    context_.RollbackTo(mark);
    meta_ = numbers;
    verdict.moved.clear();
    IdRow burnt;
    burnt.failure = verdict.outcome;
    tables_.ids.Put(*order.id, burnt);
  }
  return verdict;
}

void Posting::CarryOut(const Order& order, Verdict* verdict) {
  verdict->outcome = order.refused;
  if (order.refused != TransferOutcome::unspecified) {
    if (order.refused_account != nullptr) verdict->account = *order.refused_account;
    return;
  }

  IdRow id_row;
  id_row.sequence = meta_.transfers + 1;
  for (uint32_t leg = 0; leg < order.legs.size(); ++leg) {
    verdict->outcome = MoveLeg(order, leg, verdict);
    if (verdict->outcome != TransferOutcome::created) {
      verdict->leg = leg;
      return;
    }
  }
  tables_.ids.Put(*order.id, id_row);
  if (order.kind == TransferKind::reversal) {
    IdRow original = *tables_.ids.Find(*order.original);
    original.reversed_by = id_row.sequence;
    tables_.ids.Put(*order.original, original);
  }
  if (order.exchange != nullptr) tables_.exchanges.Put(id_row.sequence, *order.exchange);
  if (order.timeout_seconds == 0) return;
  const TransferRow& row = *tables_.transfers.Find(id_row.sequence);
  context_.SetTimer(LogTime{row.expires_us()}, *order.id);
}

TransferOutcome::Code Posting::MoveLeg(const Order& order, uint32_t index, Verdict* verdict) {
  const OrderLeg& leg = order.legs[index];
  HOLDFAST_CHECK(leg.amount > 0, "an amount that is not positive passed validation");
  if (order.open_accounts) OpenMissing(leg);
  auto refuse = [verdict](TransferOutcome::Code outcome, const std::string& account) {
    verdict->account = account;
    return outcome;
  };
  Side from_side;
  Side to_side;
  if (!Take(*leg.from, &from_side)) return refuse(TransferOutcome::account_not_found, *leg.from);
  if (!Take(*leg.to, &to_side)) return refuse(TransferOutcome::account_not_found, *leg.to);
  AccountRow& from = from_side.row;
  AccountRow& to = to_side.row;

  if (from.closed) return refuse(TransferOutcome::account_closed, *leg.from);
  if (to.closed) return refuse(TransferOutcome::account_closed, *leg.to);
  if (from.currency != to.currency) return refuse(TransferOutcome::currency_mismatch, *leg.to);
  if (from.overdraft != kUnlimited && Available(from) < leg.amount) {
    return refuse(TransferOutcome::insufficient_funds, *leg.from);
  }
  const bool hold = order.kind == TransferKind::hold;
  if (Overflows(from, to, leg.amount, hold)) return TransferOutcome::overflow;

  if (hold) {
    from.pending_out += leg.amount;
    to.pending_in += leg.amount;
  } else {
    from.balance -= leg.amount;
    to.balance += leg.amount;
  }
  TransferRow row;
  row.id = *order.id;
  row.kind = order.kind;
  row.amount = leg.amount;
  row.timeout_seconds = order.timeout_seconds;
  row.related = order.reversal_of;
  if (order.is_transaction) {
    row.leg = index;
    row.legs = static_cast<uint32_t>(order.legs.size());
  }
  if (index == 0 && order.metadata != nullptr) {
    row.metadata = Metadata(order.metadata->begin(), order.metadata->end());
  }
  verdict->moved.push_back(Record(std::move(row), std::move(from_side), std::move(to_side)));
  return TransferOutcome::created;
}

void Posting::OpenMissing(const OrderLeg& leg) {
  const AccountRow* from = tables_.accounts.Find(*leg.from);
  std::string currency = from != nullptr ? from->currency : "";
  const bool open_from = from == nullptr;
  const AccountRow* to = tables_.accounts.Find(*leg.to);
  const bool open_to = to == nullptr;
  if (currency.empty()) currency = to != nullptr ? to->currency : kPaymentCurrency;
  if (open_from) Open(*leg.from, currency, kUnlimited, {});
  if (open_to) Open(*leg.to, currency, kUnlimited, {});
}

Verdict Posting::Repeat(const Order& order, const IdRow& seen) {
  Verdict verdict;
  if (seen.burnt()) {
    verdict.outcome = TransferOutcome::id_already_failed;
    verdict.failed_as = seen.failure;
    return verdict;
  }
  verdict.outcome = Compare(order, seen);
  if (verdict.outcome == TransferOutcome::already_exists) {
    for (uint64_t leg = 0; leg < order.legs.size(); ++leg) {
      verdict.moved.push_back(Recall(seen.sequence + leg));
    }
  }
  return verdict;
}

bool Posting::IsAccount(const std::string& id, uint64_t number) {
  const AccountRow* row = tables_.accounts.Find(id);
  return row != nullptr && row->number == number;
}

// What it made of the amount follows from the terms, and is not compared.
TransferOutcome::Code Posting::CompareExchange(const Order& order, uint64_t sequence) {
  const TransferRow out = *tables_.transfers.Find(sequence);
  const TransferRow in = *tables_.transfers.Find(sequence + 1);
  const ExchangeRow& terms = *tables_.exchanges.Find(sequence);
  if (!IsAccount(*order.legs[0].from, out.from)) return TransferOutcome::exists_with_different_from;
  if (!IsAccount(*order.legs[1].to, in.to)) return TransferOutcome::exists_with_different_to;
  if (order.legs[0].amount != out.amount) return TransferOutcome::exists_with_different_amount;
  if (!IsAccount(*order.legs[0].to, out.to) || !IsAccount(*order.legs[1].from, in.from)) {
    return TransferOutcome::exists_with_different_liquidity;
  }
  if (order.exchange->rate != terms.rate) return TransferOutcome::exists_with_different_rate;
  if (order.exchange->spread_ppm != terms.spread_ppm) {
    return TransferOutcome::exists_with_different_spread_ppm;
  }
  if (order.exchange->rounding != terms.rounding) {
    return TransferOutcome::exists_with_different_rounding;
  }
  return TransferOutcome::unspecified;
}

TransferOutcome::Code Posting::Compare(const Order& order, const IdRow& seen) {
  const TransferRow first = *tables_.transfers.Find(seen.sequence);
  if (RequestKind(order.kind) != RequestKind(first.kind)) {
    return TransferOutcome::exists_with_different_kind;
  }
  if (RequestKind(order.kind) == TransferKind::transfer) {
    const OrderLeg& leg = order.legs.front();
    if (!IsAccount(*leg.from, first.from)) return TransferOutcome::exists_with_different_from;
    if (!IsAccount(*leg.to, first.to)) return TransferOutcome::exists_with_different_to;
    if (leg.amount != first.amount) return TransferOutcome::exists_with_different_amount;
    if (order.kind != first.kind) return TransferOutcome::exists_with_different_pending;
    if (order.timeout_seconds != first.timeout_seconds) {
      return TransferOutcome::exists_with_different_timeout_seconds;
    }
  } else if (order.kind == TransferKind::transaction) {
    if (order.legs.size() != first.legs) return TransferOutcome::exists_with_different_legs;
    for (uint64_t i = 0; i < order.legs.size(); ++i) {
      const OrderLeg& leg = order.legs[i];
      const TransferRow row = *tables_.transfers.Find(seen.sequence + i);
      if (!IsAccount(*leg.from, row.from) || !IsAccount(*leg.to, row.to) ||
          leg.amount != row.amount) {
        return TransferOutcome::exists_with_different_legs;
      }
    }
  } else if (order.kind == TransferKind::exchange) {
    const auto differs = CompareExchange(order, seen.sequence);
    if (differs != TransferOutcome::unspecified) return differs;
  } else if (order.reversal_of != first.related) {
    return TransferOutcome::exists_with_different_reversal_of;
  }
  return Same(first.metadata, order.metadata) ? TransferOutcome::already_exists
                                              : TransferOutcome::exists_with_different_metadata;
}

Verdict Posting::Resolve(const std::string& id, TransferKind::Code kind,
                         std::optional<int64_t> amount) {
  Verdict verdict;
  auto end = [&verdict](TransferOutcome::Code outcome) {
    verdict.outcome = outcome;
    return std::move(verdict);
  };
  const IdRow* found = tables_.ids.Find(id);
  if (found == nullptr || found->burnt()) return end(TransferOutcome::hold_not_found);
  const IdRow id_row = *found;
  const TransferRow hold = *tables_.transfers.Find(id_row.sequence);
  if (hold.kind != TransferKind::hold) return end(TransferOutcome::hold_not_found);

  const int64_t wanted = kind == TransferKind::post ? amount.value_or(hold.amount) : 0;
  if (id_row.resolved_by != 0) {
    const TransferRow resolution = *tables_.transfers.Find(id_row.resolved_by);
    if (resolution.kind == TransferKind::expiry) return end(TransferOutcome::hold_expired);
    if (resolution.kind == kind && resolution.amount == wanted) {
      verdict.moved.push_back(Recall(id_row.resolved_by));
      return end(TransferOutcome::already_exists);
    }
    return end(resolution.kind == TransferKind::post ? TransferOutcome::hold_already_posted
                                                     : TransferOutcome::hold_already_voided);
  }
  // The timer may lag (it is bounded per entry); the promise does not.
  if (hold.expires() && context_.now().us >= hold.expires_us()) {
    return end(TransferOutcome::hold_expired);
  }
  if (wanted > hold.amount) return end(TransferOutcome::exceeds_held_amount);
  if (hold.expires()) context_.CancelTimer(LogTime{hold.expires_us()}, id);
  verdict.moved.push_back(Settle(id, id_row, hold, kind, wanted));
  return end(kind == TransferKind::post ? TransferOutcome::posted : TransferOutcome::voided);
}

void Posting::Expire(const std::string& id) {
  const IdRow* found = tables_.ids.Find(id);
  HOLDFAST_CHECK(found != nullptr && found->sequence != 0, "a timer for no hold: " + id);
  if (found->resolved_by != 0) return;
  const IdRow id_row = *found;
  const TransferRow hold = *tables_.transfers.Find(id_row.sequence);
  Settle(id, id_row, hold, TransferKind::expiry, 0);
}

Moved Posting::Settle(const std::string& id, IdRow id_row, const TransferRow& hold,
                      TransferKind::Code kind, int64_t amount) {
  const std::string from_id = NameOf(hold.from);
  const std::string to_id = NameOf(hold.to);
  Side from_side;
  Side to_side;
  HOLDFAST_CHECK(Take(from_id, &from_side) && Take(to_id, &to_side),
                 "hold " + id + " is between accounts of which one does not exist");
  AccountRow& from = from_side.row;
  AccountRow& to = to_side.row;
  from.pending_out -= hold.amount;
  to.pending_in -= hold.amount;
  from.balance -= amount;
  to.balance += amount;
  TransferRow row;
  row.id = id;
  row.kind = kind;
  row.amount = amount;
  row.released = hold.amount - amount;
  row.related = id_row.sequence;
  Moved moved = Record(std::move(row), std::move(from_side), std::move(to_side));
  id_row.resolved_by = moved.sequence;
  tables_.ids.Put(id, id_row);
  return moved;
}

bool Posting::Take(const std::string& id, Side* side) {
  side->id = &id;
  side->handle = tables_.accounts.Lookup(id);
  if (side->handle.row() == nullptr) return false;
  side->row = *side->handle.row();
  return true;
}

Moved Posting::Record(TransferRow&& row, Side&& from, Side&& to) {
  HOLDFAST_CHECK(from.row.pending_out >= 0 && to.row.pending_in >= 0,
                 "more released than held between " + *from.id + " and " + *to.id);
  Moved moved{++meta_.transfers, StandingOf(from.row), StandingOf(to.row)};
  row.from = from.row.number;
  row.to = to.row.number;
  row.time_us = context_.now().us;
  Update(std::move(from), moved.sequence);
  Update(std::move(to), moved.sequence);
  tables_.transfers.Put(moved.sequence, std::move(row));
  return moved;
}

// An account after a journal entry, and its history.
void Posting::Update(Side&& side, uint64_t sequence) {
  AccountRow& row = side.row;
  row.last_sequence = sequence;
  tables_.history.Put({row.number, context_.now().us, sequence},
                      {row.balance, row.pending_in, row.pending_out});
  tables_.accounts.Put(side.handle, *side.id, std::move(row));
}

Moved Posting::Recall(uint64_t sequence) {
  const TransferRow row = *tables_.transfers.Find(sequence);
  return {sequence, StandingAfter(row.from, row.time_us, sequence),
          StandingAfter(row.to, row.time_us, sequence)};
}

Standing Posting::StandingAfter(uint64_t number, int64_t time_us, uint64_t sequence) {
  AccountRow account = *tables_.accounts.Find(NameOf(number));
  const HistoryRow* then = tables_.history.Find({number, time_us, sequence});
  HOLDFAST_CHECK(then != nullptr, "no history of entry " + std::to_string(sequence));
  account.balance = then->balance;
  account.pending_in = then->pending_in;
  account.pending_out = then->pending_out;
  return StandingOf(account);
}

const std::string& Posting::NameOf(uint64_t number) {
  const ProfileRow* profile = tables_.profiles.Find(number);
  HOLDFAST_CHECK(profile != nullptr, "no account has number " + std::to_string(number));
  return profile->id;
}

}  // namespace holdfast::ledger
