// Random histories, applied to a store and to a model in plain maps, over both bases. Every read
// must agree at every moment: while a checkpoint is pending, after it, after a crash that loses the
// delta, after a rollback.

#include <gtest/gtest.h>
#include <xxhash.h>

#include "src/store/testing/sample.h"

namespace holdfast::store::testing {
namespace {

// What EndEntry is specified to return, built from docs/formats/store.md.
class ReferenceDigest {
 public:
  template <class Key>
  void Put(TableNumber number, const Key& key, const Event& row) {
    Begin(number, key, 1);
    Number(2);
    Number(row.amount);
    Number(row.tags.size());
    for (const std::string& tag : row.tags) Text(tag);
  }
  void Put(TableNumber number, uint64_t key, const Position& row) {
    Begin(number, key, 1);
    Number(1);
    Number(row.entries);
  }
  void Put(TableNumber number, const AccountKey& key, const Account& row) {
    Begin(number, key, 1);
    Number(3);
    Text(row.currency);
    Number(static_cast<uint64_t>(row.balance));
    Number(row.limit.has_value());
    if (row.limit) Number(*row.limit);
  }
  template <class Key>
  void Erase(TableNumber number, const Key& key) {
    Begin(number, key, 0);
  }
  uint64_t Finish() const { return value_; }

 private:
  template <class Key>
  void Begin(TableNumber number, const Key& key, uint64_t present) {
    Number(number.service * 256u + number.table);
    KeyParts(key);
    Number(present);
  }
  void KeyParts(uint64_t key) { Number(key); }
  void KeyParts(const std::string& key) { Text(key); }
  void KeyParts(const EventKey& key) {
    Text(std::get<0>(key));
    Number(static_cast<uint64_t>(std::get<1>(key)));
  }
  void KeyParts(const NoteKey& key) {
    Number(std::get<0>(key));
    Number(static_cast<uint64_t>(std::get<1>(key)));
  }
  void Text(const std::string& text) { Number(XXH3_64bits(text.data(), text.size())); }
  void Number(uint64_t number) {
    const uint64_t a = value_ ^ number ^ 0x9e3779b97f4a7c15;
    const uint64_t b = 0xd6e8feb86659fd93;
    // The product's two halves, by schoolbook multiplication.
    const uint64_t low = (a & 0xffffffff) * (b & 0xffffffff);
    const uint64_t middle = (a >> 32) * (b & 0xffffffff) + (low >> 32);
    const uint64_t other = (a & 0xffffffff) * (b >> 32) + (middle & 0xffffffff);
    const uint64_t high = (a >> 32) * (b >> 32) + (middle >> 32) + (other >> 32);
    value_ = high ^ (a * b);
  }
  uint64_t value_ = 0;
};

// A model that also keeps the digest.
template <class Key, class Row>
struct DigestedTable {
  ModelTable<Key, Row>& model;
  ReferenceDigest& digest;
  TableNumber number;
  void Put(const Key& key, Row row) {
    digest.Put(number, key, row);
    model.Put(key, std::move(row));
  }
  void Erase(const Key& key) {
    if (model.rows.contains(key)) digest.Erase(number, key);
    model.Erase(key);
  }
  void PutNew(const Key& key, Row row) { Put(key, std::move(row)); }
  void EraseKnown(const Key& key) { Erase(key); }
};
std::optional<EventKey> FirstEvent(const DigestedTable<EventKey, Event>& events,
                                   const EventKey& from) {
  return testing::FirstEvent(events.model, from);
}
int64_t LastNote(const DigestedTable<NoteKey, Event>& notes, uint64_t group) {
  return testing::LastNote(notes.model, group);
}
struct DigestedModel {
  DigestedModel(Model& model, ReferenceDigest& digest)
      : events{model.events, digest, kEventsNumber},
        notes{model.notes, digest, kNotesNumber},
        position{model.position, digest, kPositionNumber},
        accounts{model.accounts, digest, kAccountsNumber} {}
  DigestedTable<EventKey, Event> events;
  DigestedTable<NoteKey, Event> notes;
  DigestedTable<uint64_t, Position> position;
  DigestedTable<AccountKey, Account> accounts;
};

enum class Kind { kMemory, kRocksDb };

// A store that can be crashed and reopened.
class Machine {
 public:
  Machine(Kind kind, Options options) : kind_(kind), options_(options) { Open(); }

  void CrashAndReopen() {
    tables_.reset();
    store_.reset();
    Open();
  }

  Store& store() { return *store_; }
  SampleTables& tables() { return *tables_; }

 private:
  void Open() {
    std::unique_ptr<Base> base;
    if (kind_ == Kind::kMemory) {
      base = std::make_unique<MemoryBase>(disk_);
    } else {
      base = OpenOrDie(folder_.path() / "store");
    }
    store_ = std::make_unique<Store>(std::move(base), options_);
    tables_ = std::make_unique<SampleTables>(*store_);
  }

  const Kind kind_;
  const Options options_;
  TemporaryFolder folder_;
  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
  std::unique_ptr<Store> store_;
  std::unique_ptr<SampleTables> tables_;
};

class History {
 public:
  History(Kind kind, uint64_t seed)
      : random_(seed), machine_(kind, {.checkpoint_rows = 20, .cache_rows_per_table = 4}) {}

  // The digests of all entries.
  std::vector<uint64_t> Run(int steps) {
    for (int step = 0; step < steps && !::testing::Test::HasFatalFailure(); ++step) {
      Entry();
      if (random_.OneIn(4)) BeginCheckpoint();
      if (random_.OneIn(6)) FinishCheckpoint();
      if (random_.OneIn(10)) machine_.store().LearnKeys();
      if (random_.OneIn(40)) Crash();
    }
    FinishCheckpoint();
    return std::move(digests_);
  }

 private:
  void Entry() {
    absl::MutexLock lock(&machine_.store().mutex());
    ReferenceDigest digest;
    for (uint64_t left = random_.Below(5); left > 0; --left) Transaction(digest);
    CheckReads();
    digests_.push_back(machine_.store().EndEntry());
    ASSERT_EQ(digests_.back(), digest.Finish());
    CheckReads();
    if (random_.OneIn(8)) {
      ASSERT_EQ(AllRows(machine_.store()), AllRows(model_));
    }
  }

  // Some changes, of which a part is rolled back, possibly in two steps.
  void Transaction(ReferenceDigest& digest) {
    Change(digest, random_.Below(3));
    const Savepoint outer = machine_.store().Mark();
    const size_t bytes_outer = machine_.store().delta_bytes();
    const Model model_outer = model_;
    const ReferenceDigest digest_outer = digest;
    Change(digest, random_.Below(4));
    const Savepoint inner = machine_.store().Mark();
    const Model model_inner = model_;
    const ReferenceDigest digest_inner = digest;
    Change(digest, random_.Below(4));
    CheckReads();
    if (random_.OneIn(3)) {
      machine_.store().RollbackTo(inner);
      model_ = model_inner;
      digest = digest_inner;
      CheckReads();
    }
    if (random_.OneIn(3)) {
      machine_.store().RollbackTo(outer);
      ASSERT_EQ(machine_.store().delta_bytes(), bytes_outer);
      model_ = model_outer;
      digest = digest_outer;
    }
    CheckReads();
  }

  void Change(ReferenceDigest& digest, uint64_t count) {
    for (; count > 0; --count) {
      const Random change(random_.Below(UINT64_MAX));
      DigestedModel model(model_, digest);
      ChangeSomething(change, machine_.tables());
      ChangeSomething(change, model);
    }
  }

  void CheckReads() {
    SampleTables& tables = machine_.tables();
    for (int i = 0; i < 3; ++i) {
      const AccountKey account = random_.RandomAccountKey();
      CheckRow(tables.accounts, model_.accounts, account);
      const EventKey event = random_.RandomEventKey();
      CheckRow(tables.events, model_.events, event);
      CheckRow(tables.notes, model_.notes, RandomNoteKey());
    }
    const size_t rows_max = 1 + random_.Below(10);
    CheckScan(tables.events, model_.events.rows, random_.RandomEventKey(), rows_max,
              [](const EventKey&) { return true; });
    const NoteKey note = RandomNoteKey();
    CheckScan(tables.notes, model_.notes.rows, note, rows_max, [&note](const NoteKey& key) {
      return std::get<0>(key) == std::get<0>(note);  // A scan stays within its group.
    });
  }

  template <class Table, class Key, class Row>
  void CheckRow(Table& table, const ModelTable<Key, Row>& model, const Key& key) {
    auto it = model.rows.find(key);
    const std::optional<Row> expected =
        it == model.rows.end() ? std::nullopt : std::optional<Row>(it->second);
    ASSERT_EQ(table.Get(key), expected);
    if (random_.OneIn(2)) return;  // Else the cache would hide what lies below.
    const Row* found = table.Find(key);
    ASSERT_EQ(found == nullptr ? std::nullopt : std::optional<Row>(*found), expected);
    ASSERT_EQ(table.Get(key), expected);
  }

  NoteKey RandomNoteKey() {
    return {random_.Below(3) * 250, static_cast<int64_t>(random_.Below(200)) - 5};
  }

  template <class Table, class Key, class Row, class Within>
  void CheckScan(const Table& table, const std::map<Key, Row>& rows, const Key& from,
                 size_t rows_max, const Within& within) {
    using Rows = std::vector<std::pair<Key, Row>>;
    Rows found;
    const auto visit = [&](const Key& key, const Row& row) {
      found.emplace_back(key, row);
      return found.size() < rows_max;
    };

    table.Scan(from, visit);
    Rows expected;
    for (auto it = rows.lower_bound(from); it != rows.end() && expected.size() < rows_max; ++it) {
      if (!within(it->first)) break;
      expected.push_back(*it);
    }
    ASSERT_EQ(found, expected);

    if constexpr (requires { table.ScanWithin(from, 3, visit); }) {
      found.clear();  // The same in portions, each of which goes on where the last one ended.
      for (std::optional<Key> next = from; next.has_value();) {
        const size_t before = found.size();
        next = table.ScanWithin(*next, 3, visit);
        ASSERT_LE(found.size(), before + 3);
      }
      ASSERT_EQ(found, expected);
    }

    found.clear();
    expected.clear();
    table.ScanBack(from, visit);
    for (auto it = rows.upper_bound(from); it != rows.begin() && expected.size() < rows_max;) {
      if (!within((--it)->first)) break;
      expected.push_back(*it);
    }
    ASSERT_EQ(found, expected);
  }

  void BeginCheckpoint() {
    absl::MutexLock lock(&machine_.store().mutex());
    std::function<void()> job = machine_.store().BeginCheckpoint();
    if (job == nullptr) return;
    ASSERT_EQ(job_, nullptr);
    ASSERT_EQ(machine_.store().delta_rows(), 0);
    ASSERT_EQ(machine_.store().delta_bytes(), 0);
    job_ = std::move(job);
    frozen_ = model_;
  }

  void FinishCheckpoint() {
    if (job_ == nullptr) return;
    std::exchange(job_, nullptr)();
    durable_ = frozen_;
  }

  // The job of a pending checkpoint never runs.
  void Crash() {
    job_ = nullptr;
    machine_.CrashAndReopen();
    model_ = durable_;
    absl::ReaderMutexLock lock(&machine_.store().mutex());
    ASSERT_EQ(AllRows(machine_.store()), AllRows(model_));
  }

  Random random_;
  Machine machine_;
  Model model_;
  Model frozen_;   // At the beginning of the pending checkpoint.
  Model durable_;  // What a crash leaves.
  std::function<void()> job_;
  std::vector<uint64_t> digests_;
};

TEST(Differential, MemoryBaseAgreesWithTheModel) {
  for (uint64_t seed = 1; seed <= 60 && !HasFatalFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    History(Kind::kMemory, seed).Run(150);
  }
}

TEST(Differential, RocksDbBaseAgreesWithTheModelAndTheMemoryBase) {
  for (uint64_t seed = 1; seed <= 8 && !HasFatalFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::vector<uint64_t> digests = History(Kind::kRocksDb, seed).Run(150);
    EXPECT_EQ(digests, History(Kind::kMemory, seed).Run(150));
  }
}

// The same entries with and without checkpoints between them, with a cold and a warm cache.
TEST(Differential, DigestsDoNotDependOnCheckpoints) {
  const auto digests = [](uint64_t checkpoint_every, size_t cache_rows) {
    Store store(std::make_unique<MemoryBase>(), {.cache_rows_per_table = cache_rows});
    SampleTables tables(store);
    std::vector<uint64_t> result;
    for (uint64_t index = 1; index <= 500; ++index) {
      std::function<void()> job;
      {
        absl::MutexLock lock(&store.mutex());
        ApplyEntry(3, index, tables);
        result.push_back(store.EndEntry());
        if (index % checkpoint_every == 0) job = store.BeginCheckpoint();
      }
      if (job) job();
    }
    return result;
  };
  const std::vector<uint64_t> expected = digests(1'000, 100);
  EXPECT_EQ(digests(1, 0), expected);
  EXPECT_EQ(digests(7, 2), expected);
  EXPECT_EQ(digests(50, 100), expected);
}

}  // namespace
}  // namespace holdfast::store::testing
