// What must hold after every entry; see tables.h.
#include <map>
#include <set>

#include "services/cache/cache.h"

namespace holdfast::cache {
namespace {

// The first thing that is wrong.
class Broken {
 public:
  void Unless(bool holds, const std::string& what) {
    if (!holds && !what_) what_ = what;
  }
  std::optional<std::string> what() const { return what_; }

 private:
  std::optional<std::string> what_;
};

void CheckEntries(const EntryTables& tables, Broken* broken) {
  const EntriesMeta meta = tables.meta.Get(kOnlyRow).value_or(EntriesMeta{});
  uint64_t entries = 0;
  uint64_t bytes = 0;
  std::set<uint64_t> versions;
  tables.entries.Scan("", [&](const std::string& key, const EntryRow& row) {
    ++entries;
    bytes += row.bytes;
    const auto value = tables.values.Get(key);
    const auto use = tables.uses.Get(row.touch);
    broken->Unless(value.has_value(), "no value: " + key);
    broken->Unless(
        value && row.bytes == key.size() + value->value.size() + bounds::kCacheEntryBytes,
        "counted wrongly: " + key);
    broken->Unless(use && use->key == key, "not in the order of use: " + key);
    broken->Unless(row.touch >= meta.first_touch && row.touch <= meta.last_touch,
                   "never found for eviction: " + key);
    broken->Unless(row.version <= meta.last_version && versions.insert(row.version).second,
                   "a version twice, or from the future: " + key);
    return true;
  });
  uint64_t others = 0;
  tables.values.Scan("", [&](const std::string&, const ValueRow&) { return ++others != 0; });
  broken->Unless(others == entries, "values without entries");
  others = 0;
  tables.uses.Scan(0, [&](uint64_t, const KeyRow&) { return ++others != 0; });
  broken->Unless(others == entries, "uses without entries");
  broken->Unless(meta.entries == entries && meta.bytes == bytes, "the entries are miscounted");
}

void CheckLines(const LineTables& tables, Broken* broken) {
  std::map<std::string, CrowdRow> crowds;
  std::map<std::string, uint32_t> exclusives;
  std::map<uint64_t, uint64_t> counts;
  uint64_t lines = 0;
  uint64_t recalled = 0;
  tables.holders.Scan({"", 0}, [&](const HolderKey& at, const HolderRow& row) {
    const auto& [key, session] = at;
    ++lines;
    ++crowds[key].holders;
    ++counts[session];
    if (row.mode == exclusive) ++exclusives[key];
    broken->Unless(row.mode == shared || row.mode == exclusive, "held in no way: " + key);
    broken->Unless(tables.session_lines.Get({session, key}).has_value(),
                   "a session does not know that it holds " + key);
    if (row.recall == 0) return true;
    ++recalled;
    const auto recall = tables.recalls.Get({session, row.recall});
    broken->Unless(recall && recall->key == key, "recalled, and nobody is told: " + key);
    return true;
  });
  for (const auto& [key, count] : exclusives) {
    broken->Unless(count == 1 && crowds[key].holders == 1, "held by too many: " + key);
  }
  std::set<std::string> seen;
  tables.line.Scan({"", 0}, [&](const PlaceKey& at, const NoRow&) {
    const auto& [key, ticket] = at;
    ++crowds[key].waiters;
    const auto waiter = tables.waiters.Get(ticket);
    broken->Unless(waiter && waiter->key == key, "nobody stands in line here: " + key);
    if (!waiter) return true;
    const auto place = tables.places.Get({key, waiter->session});
    broken->Unless(place && place->ticket == ticket, "somebody stands in line twice: " + key);
    if (waiter->session != 0) {
      ++counts[waiter->session];
      broken->Unless(tables.session_waits.Get({waiter->session, ticket}).has_value(),
                     "a session does not know that it waits for " + key);
    }
    // Whoever could be served has been, but for a writer that is to come back.
    if (!seen.insert(key).second) return true;
    bool in_the_way = waiter->want == Want::kWrite;
    tables.holders.Scan({key, 0}, [&, &key = key](const HolderKey& held, const HolderRow& row) {
      if (std::get<0>(held) != key) return false;
      if (std::get<1>(held) == waiter->session) return true;
      if (waiter->want == Want::kShared || waiter->want == Want::kAny) {
        if (row.mode == shared) return true;
      }
      in_the_way = true;
      broken->Unless(row.recall != 0, "in the way, and not recalled: " + key);
      return true;
    });
    broken->Unless(in_the_way, "waits for nothing: " + key);
    return true;
  });
  uint64_t rows = 0;
  for (const auto& [key, crowd] : crowds) {
    const auto kept = tables.crowds.Get(key);
    broken->Unless(kept && kept->holders == crowd.holders && kept->waiters == crowd.waiters,
                   "a crowd is miscounted: " + key);
  }
  for (const auto& [session, count] : counts) {
    const auto kept = tables.counts.Get(session);
    broken->Unless(kept && kept->count == count, "a session's lines are miscounted");
  }
  tables.recalls.Scan({0, 0}, [&](const SessionSeq&, const RecallRow&) { return ++rows != 0; });
  broken->Unless(rows == recalled, "recalls of what nobody holds");
  rows = 0;
  tables.session_lines.Scan({0, ""}, [&](const SessionLine&, const NoRow&) { return ++rows != 0; });
  broken->Unless(rows == lines, "lines of sessions that nobody holds");
  broken->Unless(tables.meta.Get(kOnlyRow).value_or(LinesMeta{}).lines == lines,
                 "the lines are miscounted");
}

}  // namespace

std::optional<std::string> Cache::CheckInvariants() const {
  Broken broken;
  CheckEntries(entries_.tables(), &broken);
  CheckLines(lines_.tables(), &broken);
  return broken.what();
}

}  // namespace holdfast::cache
