// The rows of the cache (docs/formats/store.md). Fields are appended to, never reordered or
// removed.
//
// Invariants (invariants.cc): every entry has its value and its place in the order of use, and the
// bytes add up. A key's line has one exclusive holder, or shared ones, or none; the first in line
// for it waits for a holder, or is a writer that is about to come back. The tables by session hold
// exactly what the holders and waiters name.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>

#include "services/cache/cache.pb.h"
#include "src/base/bounds.h"
#include "src/store/table.h"

namespace holdfast::cache {

inline constexpr uint64_t kOnlyRow = 0;

struct EntryRow {
  uint64_t version = 0;
  uint64_t touch = 0;      // Where in the order of use.
  int64_t expires_us = 0;  // Log time; 0: never.
  uint64_t bytes = 0;      // What it counts for.
  bool is_text = true;

  auto Fields() { return std::tie(version, touch, expires_us, bytes, is_text); }
  auto Fields() const { return std::tie(version, touch, expires_us, bytes, is_text); }
};

// Read by Get alone: Find would fill a cache of rows, which is bounded by their number, with
// values.
struct ValueRow {
  std::string value;
  auto Fields() { return std::tie(value); }
  auto Fields() const { return std::tie(value); }
};

struct KeyRow {
  std::string key;
  auto Fields() { return std::tie(key); }
  auto Fields() const { return std::tie(key); }
};

struct EntriesMeta {
  uint64_t entries = 0;
  uint64_t bytes = 0;
  uint64_t bytes_max = bounds::kCacheBytesDefault;
  uint64_t last_version = 0;
  uint64_t last_touch = 0;
  uint64_t first_touch = 1;  // No entry has a lower one: where a scan begins.
  uint64_t evicted = 0;
  uint64_t expired = 0;

  auto Fields() {
    return std::tie(entries, bytes, bytes_max, last_version, last_touch, first_touch, evicted,
                    expired);
  }
  auto Fields() const {
    return std::tie(entries, bytes, bytes_max, last_version, last_touch, first_touch, evicted,
                    expired);
  }
};

struct HolderRow {
  Mode mode = unspecified;  // shared or exclusive.
  uint64_t line = 0;        // The client's number for it.
  uint64_t written = 0;     // The last write back.
  uint64_t recall = 0;      // Under which it was recalled; 0: it was not.

  auto Fields() { return std::tie(mode, line, written, recall); }
  auto Fields() const { return std::tie(mode, line, written, recall); }
};

// What somebody stands in line for.
enum class Want : uint8_t { kShared = 1, kExclusive = 2, kAny = 3, kWrite = 4 };

struct WaiterRow {
  std::string key;
  uint64_t session = 0;  // 0: all writers without one share a place.
  Want want = Want::kWrite;
  uint64_t line = 0;
  int64_t deadline_us = 0;  // Lease time.

  auto Fields() { return std::tie(key, session, want, line, deadline_us); }
  auto Fields() const { return std::tie(key, session, want, line, deadline_us); }
};

struct RecallRow {
  std::string key;
  Mode keep = unspecified;  // shared: it may stay as that.
  auto Fields() { return std::tie(key, keep); }
  auto Fields() const { return std::tie(key, keep); }
};

struct TicketRow {
  uint64_t ticket = 0;
  auto Fields() { return std::tie(ticket); }
  auto Fields() const { return std::tie(ticket); }
};

struct CountRow {
  uint64_t count = 0;
  auto Fields() { return std::tie(count); }
  auto Fields() const { return std::tie(count); }
};

// Of a key that anybody holds or waits for.
struct CrowdRow {
  uint32_t holders = 0;
  uint32_t waiters = 0;
  auto Fields() { return std::tie(holders, waiters); }
  auto Fields() const { return std::tie(holders, waiters); }
};

struct NoRow {
  auto Fields() { return std::tie(); }
  auto Fields() const { return std::tie(); }
};

struct LinesMeta {
  uint64_t lines = 0;
  uint64_t last_ticket = 0;
  uint64_t last_recall = 0;
  auto Fields() { return std::tie(lines, last_ticket, last_recall); }
  auto Fields() const { return std::tie(lines, last_ticket, last_recall); }
};

using HolderKey = std::tuple<std::string, uint64_t>;    // (key, session)
using SessionLine = std::tuple<uint64_t, std::string>;  // (session, key)
using PlaceKey = std::tuple<std::string, uint64_t>;     // (key, ticket)
using SessionSeq = std::tuple<uint64_t, uint64_t>;      // (session, ticket or recall)

struct EntryTables {
  explicit EntryTables(store::Store& store)
      : entries(store, {6, 1}, "cache entries"),
        values(store, {6, 2}, "cache values"),
        uses(store, {6, 3}, "cache uses"),
        meta(store, {6, 4}, "cache meta") {}

  store::SortedTable<std::string, EntryRow> entries;
  store::SortedTable<std::string, ValueRow> values;
  store::SortedTable<uint64_t, KeyRow> uses;  // By touch: the first is evicted first.
  store::HashTable<uint64_t, EntriesMeta> meta;
};

struct LineTables {
  explicit LineTables(store::Store& store)
      : holders(store, {6, 5}, "cache holders"),
        session_lines(store, {6, 6}, "cache lines of sessions"),
        counts(store, {6, 7}, "cache lines of a session"),
        recalls(store, {6, 8}, "cache recalls"),
        waiters(store, {6, 9}, "cache waiters"),
        line(store, {6, 10}, "cache waiting lines"),
        places(store, {6, 11}, "cache places in line"),
        session_waits(store, {6, 12}, "cache sessions waiting"),
        crowds(store, {6, 13}, "cache crowds"),
        meta(store, {6, 14}, "cache lines meta") {}

  store::SortedTable<HolderKey, HolderRow> holders;
  store::SortedTable<SessionLine, NoRow> session_lines;
  store::HashTable<uint64_t, CountRow> counts;  // Lines and places of a session.
  store::SortedTable<SessionSeq, RecallRow> recalls;
  store::HashTable<uint64_t, WaiterRow> waiters;  // By ticket.
  store::SortedTable<PlaceKey, NoRow> line;       // In the order of coming.
  store::HashTable<HolderKey, TicketRow> places;  // By key and session.
  store::SortedTable<SessionSeq, NoRow> session_waits;
  store::HashTable<std::string, CrowdRow> crowds;  // By key: most have none.
  store::HashTable<uint64_t, LinesMeta> meta;
};

}  // namespace holdfast::cache
