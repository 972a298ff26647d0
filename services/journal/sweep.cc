// What timers do: records are released when the watermark has passed them, the oldest are removed,
// and a deleted journal is swept away, a portion at a time.

#include <algorithm>
#include <limits>
#include <vector>

#include "services/journal/journal.h"
#include "src/base/bounds.h"
#include "src/base/check.h"

namespace holdfast::journal {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr int64_t kEarliest = std::numeric_limits<int64_t>::min();
constexpr int64_t kPauseUs = bounds::kJournalSweepPauseMs * 1'000;

template <class Key>
std::string TimerKey(char kind, const Key& key) {
  std::string bytes(1, kind);
  store::EncodeKey(key, &bytes);
  return bytes;
}

template <class Key>
Key KeyOf(std::string_view bytes) {
  Key key{};
  HOLDFAST_CHECK(store::DecodeKey(bytes, &key).has_value(), "journal: a timer without a key");
  return key;
}

}  // namespace

std::string TopicOf(JournalNumber number) { return std::to_string(number); }

int64_t Journal::Watermark(const JournalRow& journal, const LevelRow& level, int64_t now_us) {
  return std::max(level.watermark_us, now_us - journal.window_us());
}

void Journal::Ring(WriteContext& context, JournalNumber number, int64_t due_us, LevelRow* level) {
  // However dense the records are, others have the time between two sweeps.
  const int64_t due = std::max(due_us, context.now().us + kPauseUs);
  if (level->timer_us != 0 && level->timer_us <= due) return;
  const std::string key = TimerKey(timer::kSweep, number);
  if (level->timer_us != 0) context.CancelTimer(LogTime{level->timer_us}, key);
  context.SetTimer(LogTime{due}, key);
  level->timer_us = due;
}

void Journal::OnTimer(WriteContext& context, std::string_view key) {
  const std::string_view rest = key.substr(1);
  switch (key[0]) {
    case timer::kSweep: Sweep(context, KeyOf<JournalNumber>(rest)); return;
    case timer::kTrash: SweepTrash(context, KeyOf<JournalNumber>(rest)); return;
    default: HOLDFAST_CHECK(false, "journal: a timer of an unknown kind");
  }
}

void Journal::Sweep(WriteContext& context, JournalNumber number) {
  const LevelRow* found = tables_.levels.Find(number);
  if (found == nullptr) return;
  LevelRow level = *found;
  const JournalRow* row = tables_.journals.Find(level.name);
  if (row == nullptr || row->number != number) return;  // Deleted: all of it is swept away.
  const JournalRow journal = *row;
  level.timer_us = 0;
  const int64_t release_us = Release(journal, context, &level);
  const int64_t remove_us = Remove(journal, context, &level);
  const int64_t due_us = std::min(release_us, remove_us);
  if (due_us != kNever) Ring(context, number, due_us, &level);
  tables_.levels.Put(number, std::move(level));
}

void Journal::GiveNumber(JournalNumber journal, const Place& place, OrderRow row, LevelRow* level) {
  row.number = ++level->released;
  tables_.released.PutNew({journal, row.number}, {place, row.stamped_us, row.bytes});
  tables_.order.Put({journal, place.corrected_us, place.source, place.sequence}, row);
}

// What lies between `swept` and the watermark is released in order. Late records there have their
// numbers already.
int64_t Journal::Release(const JournalRow& journal, WriteContext& context, LevelRow* level) {
  if (level->waiting == 0) return kNever;
  const int64_t watermark = Watermark(journal, *level, context.now().us);
  std::vector<std::pair<Place, OrderRow>> ready;
  size_t looked_at = 0;
  int64_t next_us = kNever;
  Place swept = level->swept;
  tables_.order.Scan({journal.number, swept.corrected_us, swept.source, swept.sequence + 1},
                     [&](const OrderKey& key, const OrderRow& row) {
                       const auto& [number, corrected_us, source, sequence] = key;
                       if (number != journal.number) return false;
                       if (corrected_us >= watermark) {
                         next_us = corrected_us + journal.window_us() + 1;
                         return false;
                       }
                       if (looked_at++ == bounds::kJournalReleasedPerEntry) {
                         next_us = context.now().us;
                         return false;
                       }
                       swept = {corrected_us, source, sequence};
                       if (row.number == 0) ready.emplace_back(swept, row);
                       return true;
                     });
  // All below the watermark was looked at: late ones that come there yet need not be.
  if (looked_at <= bounds::kJournalReleasedPerEntry) swept = std::max(swept, {watermark, 0, 0});
  level->swept = swept;
  for (const auto& [place, row] : ready) {
    GiveNumber(journal.number, place, row, level);
    level->waiting -= 1;
    level->waiting_bytes -= row.bytes;
  }
  if (!ready.empty()) context.Touch(TopicOf(journal.number));
  return next_us;
}

void Journal::EraseRecord(JournalNumber journal, const Place& place) {
  const auto& [corrected_us, source, sequence] = place;
  tables_.order.EraseKnown({journal, corrected_us, source, sequence});
  tables_.of_source.EraseKnown({journal, source, corrected_us, sequence});
  tables_.records.EraseKnown({journal, source, sequence});
}

// The oldest by number go, as long as they are too old, or the journal too large.
int64_t Journal::Remove(const JournalRow& journal, WriteContext& context, LevelRow* level) {
  for (size_t i = 0; level->removed < level->released; ++i) {
    const NumberKey at{journal.number, level->removed + 1};
    const ReleasedRow* found = tables_.released.Find(at);
    HOLDFAST_CHECK(found != nullptr, "journal: a number that is missing");
    const ReleasedRow oldest = *found;
    const int64_t ends_us = oldest.stamped_us + journal.retention_us();
    if (level->bytes <= journal.max_bytes && ends_us > context.now().us) return ends_us;
    if (i == bounds::kJournalRemovedPerEntry) return context.now().us;
    level->records -= 1;
    level->bytes -= oldest.bytes;
    level->removed += 1;
    EraseRecord(journal.number, oldest.place);
    tables_.released.EraseKnown(at);
  }
  return kNever;
}

// One after the other: the sweep of the last one goes on with the next.
void Journal::Trash(WriteContext& context, JournalNumber number) {
  bool others = false;
  tables_.trash.Scan(0, [&](JournalNumber, const NoRow&) {
    others = true;
    return false;
  });
  tables_.trash.PutNew(number, {});
  if (others) return;
  context.SetTimer(context.now(), TimerKey(timer::kTrash, number));
}

// Everything of a number that no journal has any more: records, then sources, then the rest. The
// released by their numbers, and what still waits from where releasing had come to: a walk from the
// beginning would pass all that retention has erased and the store has not written yet.
void Journal::SweepTrash(WriteContext& context, JournalNumber number) {
  const auto go_on = [&](JournalNumber next) {
    context.SetTimer(LogTime{context.now().us + kPauseUs}, TimerKey(timer::kTrash, next));
  };
  LevelRow level = *tables_.levels.Find(number);
  std::vector<Place> records;
  while (level.removed < level.released && records.size() < bounds::kJournalRemovedPerEntry) {
    const NumberKey at{number, ++level.removed};
    records.push_back(tables_.released.Find(at)->place);
    tables_.released.EraseKnown(at);
  }
  if (level.waiting > 0 && records.empty()) {
    tables_.order.Scan({number, level.swept.corrected_us, level.swept.source, level.swept.sequence},
                       [&](const OrderKey& key, const OrderRow&) {
                         const auto& [journal, corrected_us, source, sequence] = key;
                         if (journal != number) return false;
                         records.push_back({corrected_us, source, sequence});
                         return records.size() <
                                std::min(bounds::kJournalRemovedPerEntry, level.waiting);
                       });
    HOLDFAST_CHECK(!records.empty(), "journal: what waits is missing");
    level.waiting -= records.size();
    level.swept = records.back();
  }
  for (const Place& place : records) EraseRecord(number, place);
  if (!records.empty()) {
    tables_.levels.Put(number, std::move(level));
    return go_on(number);
  }
  std::vector<std::pair<SourceKey, SourceNumber>> sources;
  tables_.sources.Scan({number, ""}, [&](const SourceKey& key, const SourceRow& row) {
    if (std::get<0>(key) != number) return false;
    sources.emplace_back(key, row.number);
    return sources.size() < bounds::kJournalRemovedPerEntry;
  });
  for (const auto& [key, source] : sources) {
    tables_.names.Erase({number, source});
    tables_.sources.EraseKnown(key);
  }
  if (!sources.empty()) return go_on(number);
  tables_.levels.Erase(number);
  tables_.trash.EraseKnown(number);
  tables_.trash.Scan(0, [&](JournalNumber next, const NoRow&) {
    go_on(next);
    return false;
  });
}

}  // namespace holdfast::journal
