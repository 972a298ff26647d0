// What must hold of the ledger between any two log entries.

#include <limits>
#include <map>

#include "services/ledger/describe.h"
#include "services/ledger/exchange.h"
#include "services/ledger/ledger.h"
#include "src/money/currencies.h"

namespace holdfast::ledger {
namespace {

// Up to so many journal entries the whole history is summed up again each time. A large ledger is
// verified from outside, by `holdfast ledger verify`.
constexpr uint64_t kReplayedEntriesMax = 512;
// Up to so many accounts all are checked after each entry.
constexpr uint64_t kCheckedAccountsMax = 4'096;

// Wide enough for the sum of as many 64-bit numbers as there can be accounts.
__extension__ typedef __int128 Wide;

struct Sums {
  Wide balance = 0;
  Wide pending_in = 0;
  Wide pending_out = 0;
};

using Balances = std::map<uint64_t, HistoryRow>;

void ReplayEntry(const TransferRow& row, Balances* balances) {
  HistoryRow& from = (*balances)[row.from];
  HistoryRow& to = (*balances)[row.to];
  if (row.kind == TransferKind::hold) {
    from.pending_out += row.amount;
    to.pending_in += row.amount;
    return;
  }
  if (row.kind == TransferKind::post || row.kind == TransferKind::void_ ||
      row.kind == TransferKind::expiry) {
    from.pending_out -= row.amount + row.released;
    to.pending_in -= row.amount + row.released;
  }
  from.balance -= row.amount;
  to.balance += row.amount;
}

std::optional<std::string> FaultOf(const std::string& id, const AccountRow& row,
                                   const Tables& tables) {
  if (row.pending_in < 0 || row.pending_out < 0) return "account " + id + " holds less than 0";
  int64_t unused = 0;
  if (__builtin_add_overflow(row.balance, row.pending_in, &unused) ||
      __builtin_sub_overflow(row.balance, row.pending_out, &unused)) {
    return "account " + id + " could not post its holds";
  }
  if (row.overdraft != kUnlimited && Available(row) < 0) {
    return "account " + id + " is overdrawn beyond its limit";
  }
  if (row.closed && (row.balance != 0 || row.pending_in != 0 || row.pending_out != 0)) {
    return "account " + id + " is closed but not empty";
  }
  HistoryRow last;
  uint64_t last_sequence = 0;
  tables.history.ScanBack(
      {row.number, std::numeric_limits<int64_t>::max(), std::numeric_limits<uint64_t>::max()},
      [&](const HistoryKey& key, const HistoryRow& history) {
        if (std::get<0>(key) != row.number) return false;
        last = history;
        last_sequence = std::get<2>(key);
        return false;
      });
  if (last_sequence != row.last_sequence ||
      last != HistoryRow{row.balance, row.pending_in, row.pending_out}) {
    return "account " + id + " is not where its history ends";
  }
  return std::nullopt;
}

// Every exchange has its terms and no others have any, and it made of the amount what they say.
std::optional<std::string> CheckExchanges(const Tables& tables) {
  Parties parties(tables);
  std::optional<std::string> broken;
  std::map<uint64_t, ExchangeRow> terms;
  tables.exchanges.Scan(0, [&](const uint64_t& sequence, const ExchangeRow& row) {
    terms.emplace(sequence, row);
    return true;
  });
  std::optional<Converted> expected;  // Of the leg that comes next.
  tables.transfers.Scan(0, [&](const uint64_t& sequence, const TransferRow& row) {
    if (row.kind != TransferKind::exchange) return true;
    if (row.leg == 0) {
      const auto found = terms.extract(sequence);
      const auto in = tables.transfers.Get(sequence + 1);
      if (found.empty() || !in || in->id != row.id) {
        broken = "exchange " + row.id + " has no terms, or one leg";
        return false;
      }
      const auto from = money::MinorDigits(parties.Of(row.from).currency);
      const auto to = money::MinorDigits(parties.Of(in->to).currency);
      if (from && to) expected = Convert(row.amount, found.mapped(), *from, *to);
      return true;
    }
    if (!expected || expected->amount != row.amount) {
      broken = "exchange " + row.id + " made something else of the amount than its terms say";
    }
    expected.reset();
    return !broken;
  });
  if (!broken && !terms.empty()) broken = "terms of no exchange";
  return broken;
}

}  // namespace

std::optional<std::string> Ledger::CheckInvariants() const {
  const MetaRow meta = tables_.meta.Get(kOnlyRow).value_or(MetaRow{});
  if (meta.accounts > kCheckedAccountsMax) return std::nullopt;
  Balances replayed;
  const bool replay = meta.transfers <= kReplayedEntriesMax;
  uint64_t entries = 0;
  if (replay) {
    tables_.transfers.Scan(0, [&](const uint64_t& /*sequence*/, const TransferRow& row) {
      ReplayEntry(row, &replayed);
      ++entries;
      return true;
    });
    if (entries != meta.transfers) return "the journal has gaps";
    if (auto broken = CheckExchanges(tables_)) return broken;
  }

  std::optional<std::string> broken;
  std::map<std::string, Sums> sums;  // By currency.
  uint64_t accounts = 0;
  tables_.profiles.Scan(0, [&](const uint64_t& number, const ProfileRow& profile) {
    ++accounts;
    const auto row = tables_.accounts.Get(profile.id);
    if (!row || row->number != number) {
      broken = "account " + profile.id + " does not go with its profile";
      return false;
    }
    broken = FaultOf(profile.id, *row, tables_);
    if (broken) return false;
    if (replay && replayed[number] != HistoryRow{row->balance, row->pending_in, row->pending_out}) {
      broken = "account " + profile.id + " is not the sum of its journal entries";
      return false;
    }
    Sums& sum = sums[row->currency];
    sum.balance += row->balance;
    sum.pending_in += row->pending_in;
    sum.pending_out += row->pending_out;
    return true;
  });
  if (broken) return broken;
  if (accounts != meta.accounts) return "the accounts have gaps";
  for (const auto& [currency, sum] : sums) {
    if (sum.balance != 0) return "the balances in " + currency + " do not sum up to 0";
    if (sum.pending_in != sum.pending_out) return "the holds in " + currency + " do not match";
  }
  return std::nullopt;
}

}  // namespace holdfast::ledger
