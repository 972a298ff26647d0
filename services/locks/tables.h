// The rows of the locks (docs/formats/store.md). Fields are appended to, never reordered or
// removed.
//
// Invariants (invariants.cc): a lock has one exclusive holder, or shared ones, or none. Every
// waiter stands in the line of each lock that it names, and its owner waits for nothing else. The
// tables by session and by token hold exactly what the holders and waiters name, and the counts
// what there is. Each lease of a lock's own, each waiter and each delay has one timer, and nothing
// else has one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "services/locks/locks.pb.h"
#include "src/store/table.h"

namespace holdfast::locks {

struct HolderRow {
  Mode mode = unspecified;
  uint64_t token = 0;
  uint32_t depth = 0;
  uint64_t session = 0;    // 0: a lease of its own ...
  int64_t expires_us = 0;  // ... until this lease time.
  int64_t ttl_us = 0;
  int64_t delay_us = 0;  // See AcquireRequest.lock_delay_ms.
  int64_t timer_us = 0;  // Of a lease of its own: when its timer fires, by log time.

  auto Fields() {
    return std::tie(mode, token, depth, session, expires_us, ttl_us, delay_us, timer_us);
  }
  auto Fields() const {
    return std::tie(mode, token, depth, session, expires_us, ttl_us, delay_us, timer_us);
  }
};

struct WaiterRow {
  std::string owner;
  Mode mode = unspecified;
  std::vector<std::string> names;  // In order, without repeats.
  uint64_t session = 0;
  int64_t ttl_us = 0;
  int64_t delay_us = 0;
  int64_t deadline_us = 0;  // Lease time.
  uint64_t upgrades = 0;    // A bit for each name: it holds that lock shared, and so goes first.
  int64_t timer_us = 0;     // When its timer fires, by log time.

  auto Fields() {
    return std::tie(owner, mode, names, session, ttl_us, delay_us, deadline_us, upgrades, timer_us);
  }
  auto Fields() const {
    return std::tie(owner, mode, names, session, ttl_us, delay_us, deadline_us, upgrades, timer_us);
  }
};

struct MetaRow {
  uint64_t last_token = 0;
  uint64_t last_ticket = 0;
  uint64_t holders = 0;
  uint64_t waiting = 0;  // Places in all lines.
  auto Fields() { return std::tie(last_token, last_ticket, holders, waiting); }
  auto Fields() const { return std::tie(last_token, last_ticket, holders, waiting); }
};

struct DelayRow {
  int64_t until_us = 0;  // Lease time.
  int64_t timer_us = 0;  // When its timer fires, by log time.
  auto Fields() { return std::tie(until_us, timer_us); }
  auto Fields() const { return std::tie(until_us, timer_us); }
};

struct TicketRow {
  uint64_t ticket = 0;
  auto Fields() { return std::tie(ticket); }
  auto Fields() const { return std::tie(ticket); }
};

struct CountRow {
  uint32_t count = 0;
  auto Fields() { return std::tie(count); }
  auto Fields() const { return std::tie(count); }
};

// Of a lock that is held or waited for: asked first, so that a free one costs no look at the rest.
struct LockRow {
  uint32_t waiting = 0;
  uint32_t holders = 0;
  auto Fields() { return std::tie(waiting, holders); }
  auto Fields() const { return std::tie(waiting, holders); }
};

// Who holds a lock under a token.
struct TokenRow {
  std::string name;
  std::string owner;
  auto Fields() { return std::tie(name, owner); }
  auto Fields() const { return std::tie(name, owner); }
};

struct NoRow {
  auto Fields() { return std::tie(); }
  auto Fields() const { return std::tie(); }
};

using HolderKey = std::tuple<std::string, std::string>;              // (name, owner)
using LineKey = std::tuple<std::string, uint64_t, uint64_t>;         // (name, rank, ticket)
using SessionHold = std::tuple<uint64_t, std::string, std::string>;  // (session, name, owner)

inline constexpr uint64_t kUpgradeRank = 0;
inline constexpr uint64_t kRank = 1;

inline bool Compatible(Mode a, Mode b) { return a == shared && b == shared; }
inline uint64_t RankAt(const WaiterRow& waiter, size_t at) {
  return (waiter.upgrades >> at & 1) != 0 ? kUpgradeRank : kRank;
}

struct Tables {
  explicit Tables(store::Store& store)
      : holders(store, {4, 1}, "lock holders"),
        waiters(store, {4, 2}, "lock waiters"),
        line(store, {4, 3}, "lock lines"),
        waiting(store, {4, 4}, "lock owners waiting"),
        session_holds(store, {4, 5}, "lock sessions"),
        session_waits(store, {4, 6}, "lock sessions waiting"),
        delays(store, {4, 7}, "lock delays"),
        sessions(store, {4, 8}, "locks of a session"),
        locks(store, {4, 9}, "locks"),
        meta(store, {4, 10}, "lock meta"),
        writers(store, {4, 11}, "lock lines of writers"),
        tokens(store, {4, 12}, "lock tokens") {}

  LockRow Counts(const std::string& name) const { return locks.Get(name).value_or(LockRow{}); }
  // What an owner holds of a lock.
  std::optional<HolderRow> Held(const std::string& name, const std::string& owner) const {
    return Counts(name).holders == 0 ? std::nullopt : holders.Get({name, owner});
  }
  // Then it waits for nobody there.
  bool HoldsWellEnough(const std::string& name, const WaiterRow& want) const {
    const auto own = Held(name, want.owner);
    return own && (own->mode == exclusive || want.mode == shared);
  }
  // Who in line may be in the way of those who want a lock in this mode.
  const store::SortedTable<LineKey, NoRow>& InTheWayOf(Mode mode) const {
    return mode == shared ? writers : line;
  }

  store::SortedTable<HolderKey, HolderRow> holders;
  store::SortedTable<uint64_t, WaiterRow> waiters;   // By ticket.
  store::SortedTable<LineKey, NoRow> line;           // In order of coming; upgrades first.
  store::HashTable<std::string, TicketRow> waiting;  // By owner.
  store::SortedTable<SessionHold, NoRow> session_holds;
  store::SortedTable<std::tuple<uint64_t, uint64_t>, NoRow> session_waits;  // (session, ticket)
  store::HashTable<std::string, DelayRow> delays;
  store::HashTable<uint64_t, CountRow> sessions;  // Holds and places in line.
  store::HashTable<std::string, LockRow> locks;   // By name.
  store::HashTable<uint64_t, MetaRow> meta;
  // Of `line` those who want a lock exclusively: what a reader in line has to look at.
  store::SortedTable<LineKey, NoRow> writers;
  store::HashTable<uint64_t, TokenRow> tokens;
};

}  // namespace holdfast::locks
