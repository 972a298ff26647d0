// What must hold of the journals between any two log entries.

#include <limits>
#include <map>

#include "services/journal/journal.h"
#include "src/base/bounds.h"

namespace holdfast::journal {
namespace {

// Up to so many records everything is counted anew each time.
constexpr uint64_t kCountedMax = 2'048;
constexpr int64_t kEarliest = std::numeric_limits<int64_t>::min();

}  // namespace

std::optional<std::string> Journal::CheckInvariants() const {
  std::optional<std::string> wrong;
  const auto expect = [&](bool holds, const std::string& what) {
    if (!holds && !wrong) wrong = what;
  };
  std::map<JournalNumber, LevelRow> levels;
  uint64_t journals = 0;
  uint64_t records = 0;
  const MetaRow meta = tables_.meta.Get(kOnlyRow).value_or(MetaRow());
  tables_.journals.Scan("", [&](const std::string& name, const JournalRow& row) {
    ++journals;
    const auto level = tables_.levels.Get(row.number);
    expect(level && level->name == name, "the level of journal " + name);
    expect(row.number != 0 && row.number <= meta.last_number, "the number of journal " + name);
    expect(!tables_.trash.Get(row.number).has_value(), "journal " + name + " is trash");
    if (!level) return true;
    levels[row.number] = *level;
    records += level->records;
    expect(level->records == level->waiting + level->released - level->removed,
           "miscounted records of " + name);
    expect(level->waiting_bytes <= level->bytes, "miscounted bytes of " + name);
    expect((level->timer_us == 0) == (level->records == 0), "the timer of " + name);
    return true;
  });
  expect(journals == meta.journals, "miscounted journals");
  if (wrong || records > kCountedMax) return wrong;

  for (const auto& journal_level : levels) {
    const JournalNumber number = journal_level.first;
    const LevelRow& level = journal_level.second;
    const std::string& name = level.name;
    LevelRow counted;
    std::map<SourceNumber, SourceRow> sources;
    tables_.sources.Scan({number, ""}, [&](const SourceKey& key, const SourceRow& source) {
      if (std::get<0>(key) != number) return false;
      ++counted.sources;
      counted.late += source.late;
      const auto named = tables_.names.Get({number, source.number});
      expect(named && named->name == std::get<1>(key), "a source of another name in " + name);
      sources[source.number] = source;
      return true;
    });
    expect(counted.sources == level.sources && counted.late == level.late,
           "miscounted sources of " + name);

    std::map<SourceNumber, Sequence> last;
    tables_.records.Scan({number, 0, 0}, [&](const RecordKey& key, const RecordRow& row) {
      const auto& [journal, source, sequence] = key;
      if (journal != number) return false;
      const std::string what = name + ", record " + std::to_string(sequence) + " of source " +
                               std::to_string(source) + ": ";
      expect(sources.contains(source), what + "of nobody");
      expect(sequence >= 1 && sequence <= sources[source].last_sequence, what + "of the future");
      last[source] = sequence;
      expect(row.corrected_us <= row.stamped_us, what + "corrected past its stamp");
      expect((row.how == Correct::kBounded) == row.error_us.has_value(), what + "its error");
      const auto order = tables_.order.Get({number, row.corrected_us, source, sequence});
      expect(order.has_value(), what + "has no place");
      expect(tables_.of_source.Get({number, source, row.corrected_us, sequence}).has_value(),
             what + "has no place among its source's");
      const uint64_t bytes = bounds::kJournalRecordBytes + row.body.size();
      ++counted.records;
      counted.bytes += bytes;
      expect(order && order->bytes == bytes && order->stamped_us == row.stamped_us,
             what + "is not what its place says");
      if (!order || order->number != 0) {
        const auto released = tables_.released.Get({number, order ? order->number : 0});
        expect(released && released->place == Place{row.corrected_us, source, sequence} &&
                   released->bytes == bytes && released->stamped_us == row.stamped_us,
               what + "has the number of another");
        return true;
      }
      ++counted.waiting;
      counted.waiting_bytes += bytes;
      expect(!row.late, what + "late, and waits");
      expect(Place{row.corrected_us, source, sequence} > level.swept, what + "was forgotten");
      return true;
    });
    expect(counted.records == level.records && counted.bytes == level.bytes &&
               counted.waiting == level.waiting && counted.waiting_bytes == level.waiting_bytes,
           "miscounted records of " + name);

    uint64_t expected = level.removed;
    Place before{kEarliest, 0, 0};
    tables_.released.Scan({number, 0}, [&](const NumberKey& key, const ReleasedRow& row) {
      if (std::get<0>(key) != number) return false;
      expect(std::get<1>(key) == ++expected, "a gap in the numbers of " + name);
      const auto& [corrected_us, source, sequence] = row.place;
      const auto record = tables_.records.Get({number, source, sequence});
      expect(record.has_value(), name + ": a number of nothing");
      if (!record || record->late) return true;
      expect(before < row.place && record->corrected_us == corrected_us,
             name + ": number " + std::to_string(expected) + " is out of order");
      before = row.place;
      return true;
    });
    expect(expected == level.released, "numbers of " + name + " are missing");
    uint64_t places = 0;
    tables_.order.Scan({number, kEarliest, 0, 0}, [&](const OrderKey& key, const OrderRow&) {
      places += std::get<0>(key) == number ? 1 : 0;
      return std::get<0>(key) == number;
    });
    tables_.of_source.Scan({number, 0, kEarliest, 0}, [&](const OfSourceKey& key, const NoRow&) {
      places += std::get<0>(key) == number ? 1 : 0;
      return std::get<0>(key) == number;
    });
    expect(places == 2 * level.records, "places of nothing in " + name);
  }
  return wrong;
}

}  // namespace holdfast::journal
