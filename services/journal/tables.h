// The rows of the journals (docs/formats/store.md). Fields are appended to, never reordered or
// removed.
//
// A record lies in `records` under its source and sequence; it has a row in the order of corrected
// times and one of its source's; and, once it is released, one under its number.
//
// Invariants (invariants.cc): a source's records have sequences without a gap up to its last one,
// as far as they were not removed. Numbers of what is kept are `removed` + 1 to `released` without
// a gap. Of those that are not late, numbers are in the order of (corrected, source, sequence).
// What waits lies behind `swept` in that order, and the journal has a timer as long as it keeps
// anything.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>

#include "services/journal/offset.h"
#include "src/store/table.h"

namespace holdfast::journal {

using JournalNumber = uint64_t;  // Never given again.
using SourceNumber = uint64_t;   // Within a journal, in the order of first appends.
using Sequence = uint64_t;

using SourceKey = std::tuple<JournalNumber, std::string>;
using NumberKey = std::tuple<JournalNumber, uint64_t>;  // Of a source, or of a released record.
using RecordKey = std::tuple<JournalNumber, SourceNumber, Sequence>;
using OrderKey = std::tuple<JournalNumber, int64_t, SourceNumber, Sequence>;     // By time.
using OfSourceKey = std::tuple<JournalNumber, SourceNumber, int64_t, Sequence>;  // The same.

struct JournalRow {
  JournalNumber number = 0;
  uint32_t window_ms = 0;
  uint32_t drift_ppm = 0;
  uint64_t max_offset_ms = 0;
  uint64_t retention_seconds = 0;
  uint64_t max_bytes = 0;
  int64_t created_us = 0;

  int64_t window_us() const { return int64_t{window_ms} * 1'000; }
  int64_t max_offset_us() const { return static_cast<int64_t>(max_offset_ms) * 1'000; }
  int64_t retention_us() const { return static_cast<int64_t>(retention_seconds) * 1'000'000; }
  auto Fields() {
    return std::tie(number, window_ms, drift_ppm, max_offset_ms, retention_seconds, max_bytes,
                    created_us);
  }
  auto Fields() const {
    return std::tie(number, window_ms, drift_ppm, max_offset_ms, retention_seconds, max_bytes,
                    created_us);
  }
};

// A place in the order of corrected times.
struct Place {
  int64_t corrected_us = 0;
  SourceNumber source = 0;
  Sequence sequence = 0;
  auto operator<=>(const Place&) const = default;
  auto Fields() { return std::tie(corrected_us, source, sequence); }
  auto Fields() const { return std::tie(corrected_us, source, sequence); }
};

// What changes with every append. By the journal's number.
struct LevelRow {
  std::string name;
  uint64_t records = 0;
  uint64_t bytes = 0;
  uint64_t waiting = 0;  // Of these ...
  uint64_t waiting_bytes = 0;
  uint64_t released = 0;  // The last number, and ...
  uint64_t removed = 0;   // ... the last one that is not kept any more.
  uint64_t late = 0;
  uint32_t sources = 0;
  Place swept;               // Up to here all is released; no record need be at this place.
  int64_t watermark_us = 0;  // From before the window was changed: never go back behind it.
  int64_t timer_us = 0;      // When the next sweep is due; 0: never.
  auto Fields() {
    return std::tie(name, records, bytes, waiting, waiting_bytes, released, removed, late, sources,
                    swept, watermark_us, timer_us);
  }
  auto Fields() const {
    return std::tie(name, records, bytes, waiting, waiting_bytes, released, removed, late, sources,
                    swept, watermark_us, timer_us);
  }
};

struct SourceRow {
  SourceNumber number = 0;
  Sequence last_sequence = 0;
  uint64_t batch = 0;      // The last one ...
  int64_t stamped_us = 0;  // ... and its entry's time.
  std::optional<Fact> lower;
  std::optional<Fact> upper;
  uint64_t jumps = 0;
  int64_t last_jump_us = 0;
  uint64_t late = 0;

  Facts facts() const { return {lower, upper}; }
  auto Fields() {
    return std::tie(number, last_sequence, batch, stamped_us, lower, upper, jumps, last_jump_us,
                    late);
  }
  auto Fields() const {
    return std::tie(number, last_sequence, batch, stamped_us, lower, upper, jumps, last_jump_us,
                    late);
  }
};

struct NameRow {
  std::string name;
  auto Fields() { return std::tie(name); }
  auto Fields() const { return std::tie(name); }
};

struct RecordRow {
  int64_t time_us = 0;  // By the source's clock; nothing with kNoTime.
  int64_t corrected_us = 0;
  std::optional<uint64_t> error_us;
  Correct how = Correct::kNone;
  bool late = false;
  int64_t stamped_us = 0;
  std::string body;
  auto Fields() { return std::tie(time_us, corrected_us, error_us, how, late, stamped_us, body); }
  auto Fields() const {
    return std::tie(time_us, corrected_us, error_us, how, late, stamped_us, body);
  }
};

// These two have what sweeps need to know of a record, which then leave its body alone.
struct OrderRow {
  uint64_t number = 0;  // 0: it waits.
  int64_t stamped_us = 0;
  uint64_t bytes = 0;  // That it counts.
  auto Fields() { return std::tie(number, stamped_us, bytes); }
  auto Fields() const { return std::tie(number, stamped_us, bytes); }
};

struct ReleasedRow {
  Place place;
  int64_t stamped_us = 0;
  uint64_t bytes = 0;
  auto Fields() { return std::tie(place, stamped_us, bytes); }
  auto Fields() const { return std::tie(place, stamped_us, bytes); }
};

struct MetaRow {
  JournalNumber last_number = 0;
  uint64_t journals = 0;
  auto Fields() { return std::tie(last_number, journals); }
  auto Fields() const { return std::tie(last_number, journals); }
};

struct NoRow {
  auto Fields() { return std::tie(); }
  auto Fields() const { return std::tie(); }
};

inline constexpr uint64_t kOnlyRow = 0;

struct Tables {
  explicit Tables(store::Store& store)
      : journals(store, {12, 1}, "journals"),
        levels(store, {12, 2}, "journal levels"),
        sources(store, {12, 3}, "journal sources"),
        names(store, {12, 4}, "journal source names"),
        records(store, {12, 5}, "journal records"),
        order(store, {12, 6}, "journal order"),
        of_source(store, {12, 7}, "journal order of sources"),
        released(store, {12, 8}, "journal released"),
        trash(store, {12, 9}, "journal trash"),
        meta(store, {12, 10}, "journal meta") {}

  store::SortedTable<std::string, JournalRow> journals;
  store::HashTable<JournalNumber, LevelRow> levels;
  store::SortedTable<SourceKey, SourceRow> sources;
  store::HashTable<NumberKey, NameRow> names;
  store::SortedTable<RecordKey, RecordRow> records;
  store::SortedTable<OrderKey, OrderRow> order;
  store::SortedTable<OfSourceKey, NoRow> of_source;
  store::SortedTable<NumberKey, ReleasedRow> released;
  store::SortedTable<JournalNumber, NoRow> trash;  // Deleted, and not swept away yet.
  store::HashTable<uint64_t, MetaRow> meta;
};

// The first byte of a timer's key; the rest is the key of what it is about.
namespace timer {
inline constexpr char kSweep = 's';  // Of a journal's number.
inline constexpr char kTrash = 't';  // Of where to go on.
}  // namespace timer

}  // namespace holdfast::journal
