#include "services/ledger/describe.h"

#include "src/base/check.h"
#include "src/base/timestamp.h"

namespace holdfast::ledger {
namespace {

TransferState::Code StateWhenWritten(TransferKind::Code kind) {
  switch (kind) {
    case TransferKind::hold: return TransferState::pending;
    case TransferKind::void_: return TransferState::voided;
    case TransferKind::expiry: return TransferState::expired;
    default: return TransferState::posted;
  }
}

void FillTerms(uint64_t sequence, const TransferRow& out, Parties& parties, const Tables& tables,
               ExchangeTerms* terms) {
  const auto row = tables.exchanges.Get(sequence);
  const auto in = tables.transfers.Get(sequence + 1);
  HOLDFAST_CHECK(row.has_value() && in.has_value(), "no terms of exchange " + out.id);
  terms->set_rate(row->rate);
  terms->set_spread_ppm(row->spread_ppm);
  terms->set_rounding(row->rounding);
  terms->set_amount(out.amount);
  terms->set_currency(parties.Of(out.from).currency);
  terms->set_converted(in->amount);
  terms->set_converted_currency(parties.Of(in->to).currency);
}

// The end of a hold, if it has come: also when its timer has yet to fire.
void FillResolution(const TransferRow& hold, const IdRow& id_row, LogTime now, const Tables& tables,
                    Transfer* transfer) {
  if (id_row.resolved_by == 0) {
    if (hold.expires() && now.us >= hold.expires_us()) {
      transfer->set_state(TransferState::expired);
    }
    return;
  }
  const auto resolution = tables.transfers.Get(id_row.resolved_by);
  HOLDFAST_CHECK(resolution.has_value(), "no end of hold " + hold.id);
  transfer->set_state(StateWhenWritten(resolution->kind));
  transfer->set_posted_amount(resolution->amount);
  transfer->set_released(resolution->released);
}

}  // namespace

int64_t Available(const AccountRow& row) {
  // balance - pending_out fits, by AccountRow's invariant, and overdraft is not negative: only the
  // sum can leave the range, and only at its top.
  int64_t available = 0;
  if (__builtin_add_overflow(row.balance - row.pending_out, row.overdraft, &available)) {
    return std::numeric_limits<int64_t>::max();
  }
  return available;
}

Standing StandingOf(const AccountRow& row) {
  return {row.balance, Available(row), row.pending_in, row.pending_out};
}

void FillBalance(const Standing& standing, Balance* balance) {
  balance->set_balance(standing.balance);
  balance->set_available(standing.available);
  balance->set_pending_in(standing.pending_in);
  balance->set_pending_out(standing.pending_out);
}

void FillAccount(const std::string& id, const AccountRow& row, const ProfileRow& profile,
                 Account* account) {
  account->set_id(id);
  account->set_currency(row.currency);
  account->set_overdraft(row.overdraft);
  account->set_balance(row.balance);
  account->set_available(Available(row));
  account->set_pending_in(row.pending_in);
  account->set_pending_out(row.pending_out);
  account->set_closed(row.closed);
  account->mutable_metadata()->insert(profile.metadata.begin(), profile.metadata.end());
  FillTime(profile.created_us, account->mutable_created());
  account->set_last_sequence(row.last_sequence);
}

const Parties::Party& Parties::Of(uint64_t number) {
  std::unique_ptr<Party>& party = known_[number];
  if (party == nullptr) {
    const auto profile = tables_.profiles.Get(number);
    HOLDFAST_CHECK(profile.has_value(), "no account has number " + std::to_string(number));
    const auto account = tables_.accounts.Get(profile->id);
    HOLDFAST_CHECK(account.has_value(), "a profile without an account: " + profile->id);
    party = std::make_unique<Party>(Party{profile->id, account->currency});
  }
  return *party;
}

void FillEntry(uint64_t sequence, const TransferRow& row, const std::string& from,
               const std::string& to, const std::string& currency, Transfer* transfer) {
  transfer->set_id(row.id);
  transfer->set_kind(row.kind);
  transfer->set_state(StateWhenWritten(row.kind));
  transfer->set_from(from);
  transfer->set_to(to);
  transfer->set_amount(row.amount);
  transfer->set_currency(currency);
  transfer->set_released(row.released);
  if (row.expires()) FillTime(row.expires_us(), transfer->mutable_expires());
  transfer->set_leg(row.leg);
  transfer->set_sequence(sequence);
  FillTime(row.time_us, transfer->mutable_time());
  transfer->mutable_metadata()->insert(row.metadata.begin(), row.metadata.end());
}

void FillEntry(uint64_t sequence, const TransferRow& row, Parties& parties, const Tables& tables,
               Transfer* transfer) {
  const Parties::Party& from = parties.Of(row.from);
  FillEntry(sequence, row, from.id, parties.Of(row.to).id, from.currency, transfer);
  if (row.kind == TransferKind::reversal) {
    const auto original = tables.transfers.Get(row.related);
    HOLDFAST_CHECK(original.has_value(), "no original of reversal " + row.id);
    transfer->set_reversal_of(original->id);
  }
  if (row.kind == TransferKind::exchange && row.leg == 0) {
    FillTerms(sequence, row, parties, tables, transfer->mutable_exchange());
  }
}

void FillTransfer(const std::string& id, const IdRow& id_row, LogTime now, const Tables& tables,
                  Transfer* transfer) {
  if (id_row.burnt()) {
    transfer->set_id(id);
    transfer->set_state(TransferState::failed);
    transfer->set_failure(id_row.failure);
    return;
  }
  Parties parties(tables);
  const auto first = tables.transfers.Get(id_row.sequence);
  HOLDFAST_CHECK(first.has_value(), "no journal entry of " + id);
  FillEntry(id_row.sequence, *first, parties, tables, transfer);
  if (first->kind == TransferKind::hold) {
    FillResolution(*first, id_row, now, tables, transfer);
  }
  if (id_row.reversed_by != 0) {
    const auto reversal = tables.transfers.Get(id_row.reversed_by);
    HOLDFAST_CHECK(reversal.has_value(), "no reversal of " + id);
    transfer->set_reversed_by(reversal->id);
  }
  if (first->legs == 0) return;
  transfer->clear_from();
  transfer->clear_to();
  transfer->clear_amount();
  for (uint64_t i = 0; i < first->legs; ++i) {
    const auto row = tables.transfers.Get(id_row.sequence + i);
    HOLDFAST_CHECK(row.has_value(), "no leg " + std::to_string(i) + " of " + id);
    Leg* leg = transfer->add_legs();
    leg->set_from(parties.Of(row->from).id);
    leg->set_to(parties.Of(row->to).id);
    leg->set_amount(row->amount);
  }
}

}  // namespace holdfast::ledger
