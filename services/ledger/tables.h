// The rows of the ledger and the tables that hold them (docs/formats/store.md). Fields are appended
// to, never reordered or removed: rows outlive the build that wrote them.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <tuple>

#include "services/ledger/ledger.pb.h"
#include "src/store/append_table.h"
#include "src/store/table.h"

namespace holdfast::ledger {

inline constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();
inline constexpr uint64_t kOnlyRow = 0;

using Metadata = std::map<std::string, std::string>;

// What changes with every transfer: small, so that putting it back is cheap.
// Invariants: 0 <= pending_in, pending_out; balance + pending_in and balance - pending_out fit 64
// bits, so that no hold can fail to be posted; a closed account has nothing in any of the three.
struct AccountRow {
  uint64_t number = 0;  // From 1, in the order of opening.
  std::string currency;
  int64_t overdraft = 0;  // kUnlimited: only the 64 bits are the limit.
  int64_t balance = 0;
  int64_t pending_in = 0;
  int64_t pending_out = 0;
  uint64_t last_sequence = 0;  // 0 before the first journal entry.
  bool closed = false;

  auto Fields() {
    return std::tie(number, currency, overdraft, balance, pending_in, pending_out, last_sequence,
                    closed);
  }
  auto Fields() const {
    return std::tie(number, currency, overdraft, balance, pending_in, pending_out, last_sequence,
                    closed);
  }
};

// What never changes, by number: names an account that a journal row holds by number only.
struct ProfileRow {
  std::string id;
  int64_t created_us = 0;
  Metadata metadata;

  auto Fields() { return std::tie(id, created_us, metadata); }
  auto Fields() const { return std::tie(id, created_us, metadata); }
};

// One entry of the journal; written once, never changed. What it does to its two accounts:
//   transfer, transaction, reversal, exchange   amount moves
//   hold                                        amount becomes pending
//   post, void, expiry                          amount + released stop being pending, and amount
//                                               moves
struct TransferRow {
  std::string id;
  TransferKind::Code kind = TransferKind::unspecified;
  uint64_t from = 0;  // Account numbers.
  uint64_t to = 0;
  int64_t amount = 0;
  int64_t released = 0;
  int64_t time_us = 0;
  uint32_t timeout_seconds = 0;  // Of a hold; 0: none.
  // The entry that this one answers: of post, void and expiry their hold, of a reversal the first
  // leg of its original.
  uint64_t related = 0;
  // A transaction of n legs (or its reversal) is n entries in a row, each with `legs` = n; an
  // exchange is two. 0 stands for what was never a transaction.
  uint32_t leg = 0;
  uint32_t legs = 0;
  Metadata metadata;  // In the first leg only.

  bool expires() const { return timeout_seconds != 0; }
  int64_t expires_us() const { return time_us + int64_t{timeout_seconds} * 1'000'000; }

  auto Fields() {
    return std::tie(id, kind, from, to, amount, released, time_us, timeout_seconds, related, leg,
                    legs, metadata);
  }
  auto Fields() const {
    return std::tie(id, kind, from, to, amount, released, time_us, timeout_seconds, related, leg,
                    legs, metadata);
  }
};

// At what terms an exchange was made; by its first entry.
struct ExchangeRow {
  std::string rate;  // As it was asked for.
  uint32_t spread_ppm = 0;
  Rounding::Code rounding = Rounding::half_even;

  auto Fields() { return std::tie(rate, spread_ppm, rounding); }
  auto Fields() const { return std::tie(rate, spread_ppm, rounding); }
};

// What became of an id. Transfers, holds, transactions, reversals, payments and exchanges share one
// id space.
struct IdRow {
  uint64_t sequence = 0;     // Its (first) entry; 0 when the id is burnt.
  uint64_t resolved_by = 0;  // Of a hold: its post, void or expiry; 0 while it is pending.
  uint64_t reversed_by = 0;  // The first leg of its reversal, or 0.
  TransferOutcome::Code failure = TransferOutcome::unspecified;  // Why it is burnt.

  bool burnt() const { return failure != TransferOutcome::unspecified; }

  auto Fields() { return std::tie(sequence, resolved_by, reversed_by, failure); }
  auto Fields() const { return std::tie(sequence, resolved_by, reversed_by, failure); }
};

// One account after one journal entry.
struct HistoryRow {
  int64_t balance = 0;
  int64_t pending_in = 0;
  int64_t pending_out = 0;

  bool operator==(const HistoryRow&) const = default;
  auto Fields() { return std::tie(balance, pending_in, pending_out); }
  auto Fields() const { return std::tie(balance, pending_in, pending_out); }
};

// The numbers given out so far.
struct MetaRow {
  uint64_t accounts = 0;
  uint64_t transfers = 0;

  bool operator==(const MetaRow&) const = default;
  auto Fields() { return std::tie(accounts, transfers); }
  auto Fields() const { return std::tie(accounts, transfers); }
};

// (account, time, sequence): time first, so that a balance at a past time is one step back.
using HistoryKey = std::tuple<uint64_t, int64_t, uint64_t>;

using AccountTable = store::HashTable<std::string, AccountRow>;

struct Tables {
  explicit Tables(store::Store& store)
      : accounts(store, {2, 1}, "ledger accounts"),
        profiles(store, {2, 2}, "ledger profiles"),
        transfers(store, {2, 3}, "ledger transfers"),
        ids(store, {2, 4}, "ledger ids"),
        history(store, {2, 5}, "ledger history"),
        meta(store, {2, 6}, "ledger meta"),
        exchanges(store, {2, 7}, "ledger exchanges") {}

  AccountTable accounts;
  store::SortedTable<uint64_t, ProfileRow> profiles;
  store::AppendTable<uint64_t, TransferRow> transfers;  // By sequence: the journal.
  store::HashTable<std::string, IdRow> ids;
  store::AppendTable<HistoryKey, HistoryRow> history;
  store::HashTable<uint64_t, MetaRow> meta;
  store::AppendTable<uint64_t, ExchangeRow> exchanges;
};

}  // namespace holdfast::ledger
