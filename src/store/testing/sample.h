// What the store's tests share: a folder that goes away, a handful of tables of every kind, a model
// of them in plain maps, and random entries that are applied to either.
#pragma once

#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "src/base/check.h"
#include "src/store/append_table.h"
#include "src/store/memory/memory_base.h"
#include "src/store/rocksdb/rocksdb_base.h"
#include "src/store/table.h"

namespace holdfast::store::testing {

// A new, empty folder, removed with everything in it at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = std::filesystem::temp_directory_path() / "holdfast-store-XXXXXX";
    HOLDFAST_CHECK(mkdtemp(name.data()) != nullptr, "no temporary folder");
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::unique_ptr<RocksDbBase> OpenOrDie(const std::filesystem::path& path,
                                              RocksDbOptions options = {}) {
  auto base = RocksDbBase::Open(path, std::move(options));
  HOLDFAST_CHECK(base.has_value(), base.error().message);
  return std::move(*base);
}

struct Account {
  std::string currency;
  int64_t balance = 0;
  std::optional<uint32_t> limit;
  auto Fields() { return std::tie(currency, balance, limit); }
  auto Fields() const { return std::tie(currency, balance, limit); }
  bool operator==(const Account&) const = default;
};

struct Event {
  uint64_t amount = 0;
  std::vector<std::string> tags;
  auto Fields() { return std::tie(amount, tags); }
  auto Fields() const { return std::tie(amount, tags); }
  bool operator==(const Event&) const = default;
};

struct Position {
  uint64_t entries = 0;
  auto Fields() { return std::tie(entries); }
  auto Fields() const { return std::tie(entries); }
  bool operator==(const Position&) const = default;
};

using AccountKey = std::string;
using EventKey = std::tuple<std::string, int64_t>;

using NoteKey = std::tuple<uint64_t, int64_t>;  // (group, order)

inline constexpr TableNumber kPositionNumber{0, 1};
inline constexpr TableNumber kAccountsNumber{7, 1};
inline constexpr TableNumber kEventsNumber{7, 2};
inline constexpr TableNumber kNotesNumber{7, 3};

// The tables of a store. Declared out of order of number on purpose.
struct SampleTables {
  explicit SampleTables(Store& store)
      : events(store, kEventsNumber, "events"),
        notes(store, kNotesNumber, "notes"),
        position(store, kPositionNumber, "position"),
        accounts(store, kAccountsNumber, "accounts") {}
  SortedTable<EventKey, Event> events;
  AppendTable<NoteKey, Event> notes;
  HashTable<uint64_t, Position> position;
  HashTable<AccountKey, Account> accounts;
};

// The same as maps, with the same Put and Erase.
template <class Key, class Row>
struct ModelTable {
  std::map<Key, Row> rows;
  void Put(const Key& key, Row row) { rows.insert_or_assign(key, std::move(row)); }
  void PutNew(const Key& key, Row row) { Put(key, std::move(row)); }
  void Erase(const Key& key) { rows.erase(key); }
  void EraseKnown(const Key& key) { rows.erase(key); }
  bool operator==(const ModelTable&) const = default;
};
struct Model {
  ModelTable<EventKey, Event> events;
  ModelTable<NoteKey, Event> notes;
  ModelTable<uint64_t, Position> position;
  ModelTable<AccountKey, Account> accounts;
  bool operator==(const Model&) const = default;
};

// A row as the store's ForEach shows it.
using StoredRow = std::tuple<TableNumber, std::string, std::string>;

inline std::vector<StoredRow> AllRows(const Store& store) {
  std::vector<StoredRow> rows;
  store.ForEach([&rows](TableNumber table, std::string_view key, std::string_view row) {
    rows.emplace_back(table, key, row);
  });
  return rows;
}

template <class Key, class Row>
void AppendRows(TableNumber number, const ModelTable<Key, Row>& table,
                std::vector<StoredRow>* rows) {
  for (const auto& [key, row] : table.rows) {
    std::string key_bytes;
    std::string row_bytes;
    EncodeKey(key, &key_bytes);
    EncodeRow(row, &row_bytes);
    rows->emplace_back(number, std::move(key_bytes), std::move(row_bytes));
  }
}

inline std::vector<StoredRow> AllRows(const Model& model) {
  std::vector<StoredRow> rows;
  AppendRows(kPositionNumber, model.position, &rows);
  AppendRows(kAccountsNumber, model.accounts, &rows);
  AppendRows(kEventsNumber, model.events, &rows);
  AppendRows(kNotesNumber, model.notes, &rows);
  return rows;
}

// Random keys, few enough to meet again, with zero bytes and prefixes of one another among them.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  uint64_t Below(uint64_t bound) { return engine_() % bound; }
  bool OneIn(uint64_t count) { return Below(count) == 0; }

  AccountKey RandomAccountKey() {
    static const std::string parts[] = {"a", std::string(1, '\0'), "b", "\xff", "long account id "};
    std::string key;
    for (uint64_t left = Below(4); left > 0; --left) key += parts[Below(std::size(parts))];
    return key;
  }
  EventKey RandomEventKey() {
    return {RandomAccountKey().substr(0, 2), static_cast<int64_t>(Below(7)) - 3};
  }
  Account RandomAccount() {
    Account account{"EUR", static_cast<int64_t>(engine_()), std::nullopt};
    if (OneIn(2)) account.limit = static_cast<uint32_t>(engine_());
    return account;
  }
  Event RandomEvent() { return {engine_(), std::vector<std::string>(Below(3), "tag")}; }

 private:
  std::mt19937_64 engine_;
};

// The order of the last note of a group, 0 when there is none.
inline int64_t LastNote(const AppendTable<NoteKey, Event>& notes, uint64_t group) {
  int64_t last = 0;
  notes.ScanBack({group, INT64_MAX}, [&last](const NoteKey& key, const Event&) {
    last = std::get<1>(key);
    return false;
  });
  return last;
}
inline int64_t LastNote(const ModelTable<NoteKey, Event>& notes, uint64_t group) {
  auto it = notes.rows.upper_bound({group, INT64_MAX});
  if (it == notes.rows.begin() || std::get<0>((--it)->first) != group) return 0;
  return std::get<1>(it->first);
}

// The first event at or after `from`.
inline std::optional<EventKey> FirstEvent(const SortedTable<EventKey, Event>& events,
                                          const EventKey& from) {
  std::optional<EventKey> first;
  events.Scan(from, [&first](const EventKey& key, const Event&) {
    first = key;
    return false;
  });
  return first;
}
inline std::optional<EventKey> FirstEvent(const ModelTable<EventKey, Event>& events,
                                          const EventKey& from) {
  auto it = events.rows.lower_bound(from);
  return it == events.rows.end() ? std::nullopt : std::optional<EventKey>(it->first);
}

// Looks up two rows, then puts both, as a transfer does.
template <class Table>
void PutByHandle(Random& random, Table& accounts) {
  const AccountKey a = random.RandomAccountKey();
  const AccountKey b = random.RandomAccountKey();
  if constexpr (requires { accounts.Lookup(a); }) {
    const auto at_a = accounts.Lookup(a);
    const auto at_b = accounts.Lookup(b);
    accounts.Put(at_a, a, random.RandomAccount());
    if (a != b) accounts.Put(at_b, b, random.RandomAccount());
  } else {
    accounts.Put(a, random.RandomAccount());
    if (a != b) accounts.Put(b, random.RandomAccount());
  }
}

// One random change, alike for tables and model.
template <class Tables>
void ChangeSomething(Random random, Tables& tables) {
  switch (random.Below(9)) {
    case 0: {
      const AccountKey key = random.RandomAccountKey();
      return tables.accounts.Put(key, random.RandomAccount());
    }
    case 1: return PutByHandle(random, tables.accounts);
    case 2: {
      const EventKey key = random.RandomEventKey();
      return tables.events.Put(key, random.RandomEvent());
    }
    case 3:
    case 4: {
      const uint64_t group = random.Below(3) * 250;
      const int64_t order =
          LastNote(tables.notes, group) + 1 + static_cast<int64_t>(random.Below(2));
      return tables.notes.Put({group, order}, random.RandomEvent());
    }
    case 5: return tables.accounts.Erase(random.RandomAccountKey());
    case 6: {
      // A number that is not there: never was, or has been erased.
      const auto number = static_cast<int64_t>(random.Below(random.OneIn(2) ? 4 : 1'000'000'000));
      const EventKey key{random.RandomAccountKey().substr(0, 2), number + 100};
      if (FirstEvent(tables.events, key) == key) return tables.events.EraseKnown(key);
      return tables.events.PutNew(key, random.RandomEvent());
    }
    case 7: {
      const auto key = FirstEvent(tables.events, random.RandomEventKey());
      if (key) tables.events.EraseKnown(*key);
      return;
    }
    default: return tables.events.Erase(random.RandomEventKey());
  }
}

// Entry number `index` of a fixed history: a few changes and the index itself.
template <class Tables>
void ApplyEntry(uint64_t seed, uint64_t index, Tables& tables) {
  Random random(seed * 1'000'003 + index);
  for (uint64_t left = 1 + random.Below(6); left > 0; --left) {
    ChangeSomething(Random(random.Below(UINT64_MAX)), tables);
  }
  tables.position.Put(0, Position{index});
}

}  // namespace holdfast::store::testing
