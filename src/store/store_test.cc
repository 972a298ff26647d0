#include "src/store/store.h"

#include <gtest/gtest.h>

#include <thread>

#include "src/store/testing/sample.h"

namespace holdfast::store::testing {
namespace {

// A store over memory whose lock the test holds.
class StoreTest : public ::testing::Test {
 protected:
  explicit StoreTest(Options options = {.checkpoint_rows = 3, .cache_rows_per_table = 4})
      : store_(std::make_unique<MemoryBase>(), options), tables_(store_) {
    store_.mutex().Lock();
  }
  ~StoreTest() override { store_.mutex().Unlock(); }

  void Checkpoint() {
    std::function<void()> job = store_.BeginCheckpoint();
    ASSERT_TRUE(job);
    store_.mutex().Unlock();
    job();
    store_.mutex().Lock();
  }
  int64_t Balance(const AccountKey& key) {
    const Account* account = tables_.accounts.Find(key);
    return account == nullptr ? -1 : account->balance;
  }
  std::vector<int64_t> EventNumbers() {
    std::vector<int64_t> numbers;
    tables_.events.Scan({"", INT64_MIN}, [&](const EventKey& key, const Event&) {
      numbers.push_back(std::get<1>(key));
      return true;
    });
    return numbers;
  }

  Store store_;
  SampleTables tables_;
};

TEST_F(StoreTest, RollbackRestoresWhatWasBefore) {
  tables_.accounts.Put("a", {"EUR", 1, {}});
  tables_.accounts.Put("b", {"EUR", 2, {}});
  store_.EndEntry();
  const size_t rows = store_.delta_rows();
  const Savepoint mark = store_.Mark();
  tables_.accounts.Put("a", {"EUR", 10, {}});
  tables_.accounts.Erase("a");
  tables_.accounts.Put("a", {"EUR", 11, {}});
  tables_.accounts.Erase("b");
  tables_.accounts.Put("c", {"EUR", 12, {}});
  tables_.accounts.Erase("c");
  store_.RollbackTo(mark);
  EXPECT_EQ(Balance("a"), 1);
  EXPECT_EQ(Balance("b"), 2);
  EXPECT_EQ(Balance("c"), -1);
  EXPECT_EQ(store_.delta_rows(), rows);
}

// Counts what the tables ask of what is on disk.
class CountingBase : public Base {
 public:
  bool Get(std::string_view key, std::string* value) const override {
    ++gets_;
    return memory_.Get(key, value);
  }
  std::unique_ptr<Cursor> NewCursor(std::string_view prefix) const override {
    return memory_.NewCursor(prefix);
  }
  void Ingest(const ChangeReader& next) override { memory_.Ingest(next); }

  int Gets() { return std::exchange(gets_, 0); }

 private:
  MemoryBase memory_;
  mutable int gets_ = 0;
};

TEST(SortedTableTest, AsksTheDiskNothingOfRowsThatAreKnown) {
  auto owned = std::make_unique<CountingBase>();
  CountingBase& disk = *owned;
  Store store(std::move(owned));
  SampleTables tables(store);
  const auto put_and_erase = [&](int64_t number) {
    tables.events.PutNew({"e", number}, {});
    tables.events.Put({"e", number}, {});
    tables.events.EraseKnown({"e", number});
  };
  store.mutex().Lock();
  put_and_erase(1);
  EXPECT_EQ(store.delta_rows(), 0) << "there is nothing below to hide";
  tables.events.PutNew({"e", 2}, {});
  tables.events.PutNew({"e", 3}, {});
  store.EndEntry();
  EXPECT_EQ(disk.Gets(), 0);

  const std::function<void()> job = store.BeginCheckpoint();
  tables.events.EraseKnown({"e", 2});  // Lies in what is being written.
  put_and_erase(4);
  store.EndEntry();
  EXPECT_EQ(store.delta_rows(), 1);
  store.mutex().Unlock();
  job();
  store.mutex().Lock();
  tables.events.EraseKnown({"e", 3});
  store.EndEntry();
  EXPECT_EQ(disk.Gets(), 0);
  EXPECT_EQ(store.delta_rows(), 2);
  tables.events.Scan({"", INT64_MIN}, [](const EventKey&, const Event&) {
    ADD_FAILURE() << "all are erased";
    return true;
  });

  // What lies below is remembered while the row comes and goes above it.
  tables.events.PutNew({"e", 3}, {});
  tables.events.Erase({"e", 3});
  store.EndEntry();
  EXPECT_EQ(disk.Gets(), 0);
  EXPECT_EQ(store.delta_rows(), 2);
  store.mutex().Unlock();
}

TEST_F(StoreTest, AnEntryWithoutEffectHasTheDigestOfAnEmptyOne) {
  const uint64_t empty = store_.EndEntry();
  tables_.accounts.Erase("never there");
  EXPECT_EQ(store_.EndEntry(), empty);
  tables_.accounts.Put("a", {"EUR", 1, {}});
  store_.RollbackTo({});
  EXPECT_EQ(store_.EndEntry(), empty);
  EXPECT_EQ(store_.delta_rows(), 0);
  EXPECT_FALSE(store_.BeginCheckpoint());
}

// Golden: nodes of different versions compare digests.
TEST_F(StoreTest, DigestIsAsItAlwaysWas) {
  tables_.accounts.Put("a", {"EUR", 1, {}});
  tables_.events.Put({"e", -1}, {5, {"x"}});
  tables_.accounts.Erase("a");
  EXPECT_EQ(store_.EndEntry(), 0xfe76a225db32b8e9u);
}

TEST_F(StoreTest, WantsACheckpointAtTheBoundAndOneAtATime) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(store_.WantsCheckpoint());
    tables_.position.Put(static_cast<uint64_t>(i), {});
  }
  store_.EndEntry();
  EXPECT_TRUE(store_.WantsCheckpoint());
  const std::function<void()> job = store_.BeginCheckpoint();
  for (uint64_t i = 10; i < 20; ++i) tables_.position.Put(i, {});
  store_.EndEntry();
  EXPECT_FALSE(store_.WantsCheckpoint());
  EXPECT_FALSE(store_.BeginCheckpoint());
  store_.mutex().Unlock();
  job();
  store_.mutex().Lock();
  EXPECT_TRUE(store_.WantsCheckpoint());
}

TEST(StoreBounds, WantsACheckpointAtTheBoundOfBytes) {
  Store store(std::make_unique<MemoryBase>(), {.checkpoint_bytes = 100'000});
  SampleTables tables(store);
  absl::MutexLock lock(&store.mutex());
  tables.accounts.Put("a", {"EUR", 1, {}});
  store.EndEntry();
  const size_t small = store.delta_bytes();
  EXPECT_GT(small, sizeof(Account));
  EXPECT_LT(small, 400);
  tables.accounts.Put("a", {std::string(50'000, 'x'), 1, {}});
  store.EndEntry();
  EXPECT_GE(store.delta_bytes(), small + 50'000);
  EXPECT_FALSE(store.WantsCheckpoint());
  tables.events.Put({"e", 1}, {1, std::vector<std::string>(2'000, "a tag")});
  store.EndEntry();
  EXPECT_TRUE(store.WantsCheckpoint());
  EXPECT_FALSE(store.Overfull());
  tables.accounts.Put(std::string(1'000, 'k'), {std::string(100'000, 'x'), 1, {}});
  store.EndEntry();
  EXPECT_TRUE(store.Overfull());
  tables.accounts.Put("a", {"EUR", 1, {}});
  tables.events.Erase({"e", 1});
  EXPECT_FALSE(store.Overfull());
  store.RollbackTo({});
  EXPECT_TRUE(store.Overfull());
}

// Found by thinking about RowCache::Adopt: a row of the frozen delta that has changed again must
// not come back from the cache once its newer delta is gone.
TEST_F(StoreTest, AnOutdatedRowDoesNotComeBackFromTheCache) {
  tables_.accounts.Put("a", {"EUR", 1, {}});
  store_.EndEntry();
  std::function<void()> job = store_.BeginCheckpoint();
  tables_.accounts.Put("a", {"EUR", 2, {}});
  store_.EndEntry();
  store_.mutex().Unlock();
  job();  // The cache now has balance 1, hidden by the delta.
  store_.mutex().Lock();
  EXPECT_EQ(Balance("a"), 2);
  for (const char* key : {"b", "c", "d", "e", "f"}) tables_.accounts.Put(key, {"EUR", 3, {}});
  store_.EndEntry();
  Checkpoint();  // Too many rows for the cache to take.
  EXPECT_EQ(Balance("a"), 2);
  EXPECT_EQ(tables_.accounts.Get("a")->balance, 2);
}

TEST_F(StoreTest, LookingAheadSeesMemoryAndChangesNothing) {
  tables_.accounts.Put("a", {"EUR", 1, {}});
  tables_.accounts.Put("b", {"EUR", 2, {}});
  tables_.accounts.Erase("b");
  store_.EndEntry();
  const Account* a = tables_.accounts.LookAhead("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->balance, 1);
  EXPECT_EQ(tables_.accounts.LookAhead("b"), nullptr);
  EXPECT_EQ(tables_.accounts.LookAhead("never there"), nullptr);
  EXPECT_EQ(Balance("never there"), -1);
  Checkpoint();
  ASSERT_NE(tables_.accounts.LookAhead("a"), nullptr) << "written rows stay in the cache";
  EXPECT_EQ(store_.delta_rows(), 0u);
  tables_.notes.LookAhead({1, 1});
  tables_.notes.Put({1, 1}, {});
  tables_.notes.LookAhead({1, 2});
  EXPECT_TRUE(tables_.notes.Get({1, 1}).has_value());
  EXPECT_FALSE(tables_.notes.Get({1, 2}).has_value());
}

TEST_F(StoreTest, KeysMayBePartOfFoundRows) {
  const std::string long_key(100, 'k');
  for (int i = 0; i < 3; ++i) {
    tables_.accounts.Put(long_key + std::to_string(i),
                         {long_key + std::to_string((i + 1) % 3), i, {}});
  }
  store_.EndEntry();
  Checkpoint();
  for (int round = 0; round < 20; ++round) {
    const Account* account = tables_.accounts.Find(long_key + "0");
    account = tables_.accounts.Find(account->currency);
    ASSERT_EQ(account->balance, 1);
    tables_.accounts.Put(account->currency + std::to_string(round), {});  // Makes maps grow.
  }
  const Account* account = tables_.accounts.Find(long_key + "1");
  tables_.accounts.Put(account->currency, {"", 7, {}});
  EXPECT_EQ(Balance(long_key + "2"), 7);
  account = tables_.accounts.Find(long_key + "1");
  tables_.accounts.Erase(account->currency);
  EXPECT_EQ(Balance(long_key + "2"), -1);
}

// A queue leaves nothing behind that a scan would have to walk over.
TEST_F(StoreTest, SortedRowsThatCameAndWentLeaveNoTrace) {
  tables_.events.Put({"e", 1}, {});
  store_.EndEntry();
  Checkpoint();
  tables_.events.Put({"e", 2}, {});
  tables_.events.Put({"e", 3}, {});
  store_.EndEntry();
  tables_.events.Erase({"e", 2});
  EXPECT_EQ(store_.delta_rows(), 1);
  tables_.events.Erase({"e", 1});
  EXPECT_EQ(store_.delta_rows(), 2) << "the erased row of the base must be hidden";
  EXPECT_EQ(EventNumbers(), (std::vector<int64_t>{3}));
  store_.RollbackTo({});
  EXPECT_EQ(EventNumbers(), (std::vector<int64_t>{1, 2, 3}));
}

// While a run is in the base already and its delta has not been dropped yet, each row is there
// twice, and shows once.
class BaseWithHook : public MemoryBase {
 public:
  void Ingest(const ChangeReader& next) override {
    MemoryBase::Ingest(next);
    ingested();
  }
  std::function<void()> ingested;
};

TEST(StoreCheckpoint, RowsThatAreInTheBaseAlreadyShowOnce) {
  auto owned = std::make_unique<BaseWithHook>();
  BaseWithHook& base = *owned;
  Store store(std::move(owned));
  SampleTables tables(store);
  std::function<void()> job;
  base.ingested = [] {};
  for (int64_t first : {1, 11}) {
    absl::MutexLock lock(&store.mutex());
    for (int64_t i = first; i < first + 10; ++i) tables.notes.Put({1, i}, {uint64_t(i), {}});
    store.EndEntry();
    job = store.BeginCheckpoint();
    if (first == 11) break;
    store.mutex().Unlock();
    job();
    store.mutex().Lock();
  }
  int looked = 0;
  base.ingested = [&] {
    absl::MutexLock lock(&store.mutex());
    for (int64_t i = 21; i < 31; ++i) tables.notes.Put({1, i}, {uint64_t(i), {}});
    store.EndEntry();
    for (int64_t from : {0, 5, 10, 11, 15, 20, 21, 25, 30, 31}) {
      int64_t next = std::max<int64_t>(from, 1);
      tables.notes.Scan({1, from}, [&](const NoteKey& key, const Event&) {
        EXPECT_EQ(std::get<1>(key), next++);
        return true;
      });
      EXPECT_EQ(next, 31);
      next = std::min<int64_t>(from, 30);
      tables.notes.ScanBack({1, from}, [&](const NoteKey& key, const Event&) {
        EXPECT_EQ(std::get<1>(key), next--);
        return true;
      });
      EXPECT_EQ(next, 0);
      EXPECT_EQ(tables.notes.Get({1, from}).has_value(), from >= 1 && from <= 30);
      ++looked;
    }
  };
  job();
  EXPECT_EQ(looked, 10);
}

// Format 1 had each row of a group by itself.
TEST(StoreFormat, RowsOfGroupsThatStandAloneAreRead) {
  auto disk = std::make_shared<MemoryDisk>();
  auto rows = std::make_shared<MemoryDisk::Rows>();
  for (int64_t i = 1; i <= 5; ++i) {
    std::string key{static_cast<char>(kNotesNumber.service), static_cast<char>(kNotesNumber.table)};
    EncodeKey(NoteKey{1, i}, &key);
    EncodeRow(Event{static_cast<uint64_t>(i), {}}, &(*rows)[key]);
  }
  disk->Replace(std::move(rows));
  Store store(std::make_unique<MemoryBase>(disk));
  SampleTables tables(store);
  for (int64_t last = 5; last <= 15; last += 5) {
    std::function<void()> job;
    {
      absl::MutexLock lock(&store.mutex());
      int64_t next = 1;
      tables.notes.Scan({1, 0}, [&](const NoteKey& key, const Event& event) {
        EXPECT_EQ(std::get<1>(key), next);
        EXPECT_EQ(event.amount, static_cast<uint64_t>(next++));
        return true;
      });
      EXPECT_EQ(next, last + 1);
      tables.notes.ScanBack({1, last}, [&](const NoteKey& key, const Event&) {
        EXPECT_EQ(std::get<1>(key), --next);
        return true;
      });
      EXPECT_EQ(next, 1);
      EXPECT_EQ(tables.notes.Get({1, 3})->amount, 3U);
      for (int64_t i = last + 1; i <= last + 5; ++i) tables.notes.Put({1, i}, {uint64_t(i), {}});
      store.EndEntry();
      job = store.BeginCheckpoint();
    }
    job();
  }
}

using StoreDeathTest = StoreTest;

TEST_F(StoreDeathTest, StopsOnTwoTablesOfOneNumber) {
  EXPECT_DEATH((HashTable<uint64_t, Position>(store_, kEventsNumber, "again")),
               "events and again have the same number");
}

TEST_F(StoreDeathTest, StopsOnAKeyAboveItsBound) {
  EXPECT_DEATH(tables_.accounts.Put(std::string(2'000, 'k'), {}), "a key of table accounts takes");
}

TEST_F(StoreDeathTest, StopsOnANoteBeforeTheLast) {
  tables_.notes.Put({1, 5}, {});
  tables_.notes.Put({0, 4}, {});
  EXPECT_DEATH(tables_.notes.Put({1, 5}, {}), "table notes grows elsewhere than at its end");
}

TEST(SortedTableDeathTest, StopsOnWhatIsNotAsItWasSaidToBe) {
  Store store(std::make_unique<MemoryBase>(), {.check_known = true});
  SampleTables tables(store);
  store.mutex().Lock();
  EXPECT_DEATH(tables.events.EraseKnown({"e", 1}), "a known row of events is missing");
  tables.events.PutNew({"e", 1}, {});
  EXPECT_DEATH(tables.events.PutNew({"e", 1}, {}), "a new row of events is there already");
  store.EndEntry();
  const std::function<void()> job = store.BeginCheckpoint();
  EXPECT_DEATH(tables.events.PutNew({"e", 1}, {}), "a new row of events is there already");
  store.mutex().Unlock();
}

TEST_F(StoreDeathTest, StopsOnACheckpointWithinAnEntry) {
  tables_.accounts.Put("a", {});
  EXPECT_DEATH(store_.BeginCheckpoint(), "in the middle of an entry");
}

TEST_F(StoreDeathTest, StopsOnARowOfANewerVersion) {
  const auto disk = std::make_shared<MemoryDisk>();
  {
    Store newer(std::make_unique<MemoryBase>(disk));
    HashTable<uint64_t, Account> table(newer, {9, 9}, "sample");
    newer.mutex().Lock();
    table.Put(1, {});
    newer.EndEntry();
    const std::function<void()> job = newer.BeginCheckpoint();
    newer.mutex().Unlock();
    job();
  }
  Store older(std::make_unique<MemoryBase>(disk));
  HashTable<uint64_t, Position> table(older, {9, 9}, "sample");
  EXPECT_DEATH(table.Get(1), "table sample, key 09090000000000000001: .*newer version");
}

// Readers see whole entries while entries are applied and checkpoints come and go: every entry puts
// the same number into a row of each table.
void ReadersSeeWholeEntries(std::unique_ptr<Base> base, uint64_t entries) {
  Store store(std::move(base), {.checkpoint_rows = 30, .cache_rows_per_table = 8});
  SampleTables tables(store);
  std::atomic<bool> done = false;
  std::atomic<uint64_t> reads = 0;
  const auto read = [&] {
    uint64_t last = 0;
    while (!done.load()) {
      absl::ReaderMutexLock lock(&store.mutex());
      const uint64_t number = tables.position.Get(0).value_or(Position{}).entries;
      ASSERT_GE(number, last);
      last = number;
      if (number == 0) continue;
      const std::string name = std::to_string(number % 50);
      ASSERT_EQ(tables.accounts.Get(name)->balance, static_cast<int64_t>(number));
      uint64_t scanned = 0;
      tables.events.ScanBack({"e", INT64_MAX}, [&](const EventKey&, const Event& event) {
        scanned = event.amount;
        return false;
      });
      ASSERT_EQ(scanned, number);
      size_t rows = 0;
      tables.events.Scan({"e", INT64_MIN},
                         [&](const EventKey&, const Event&) { return ++rows < 100; });
      ASSERT_EQ(rows, std::min<uint64_t>(number, 20));
      std::vector<uint64_t> notes;
      tables.notes.ScanBack({1, INT64_MAX}, [&](const NoteKey&, const Event& event) {
        notes.push_back(event.amount);
        return notes.size() < 100;
      });
      ASSERT_EQ(notes.size(), std::min<uint64_t>(number, 100));
      for (uint64_t i = 0; i < notes.size(); ++i) ASSERT_EQ(notes[i], number - i);
      tables.notes.Scan({1, static_cast<int64_t>(notes.back())},
                        [&](const NoteKey&, const Event& event) {
                          EXPECT_EQ(event.amount, notes.back());
                          notes.pop_back();
                          return true;
                        });
      ASSERT_TRUE(notes.empty());
      reads.fetch_add(1);
    }
  };
  std::vector<std::thread> readers;
  readers.reserve(2);
  for (int i = 0; i < 2; ++i) readers.emplace_back(read);
  std::thread checkpoint;
  for (uint64_t number = 1; number <= entries || reads.load() < 20; ++number) {
    std::function<void()> job;
    {
      absl::MutexLock lock(&store.mutex());
      const auto signed_number = static_cast<int64_t>(number);
      tables.position.Put(0, {number});
      tables.accounts.Put(std::to_string(number % 50), {"EUR", signed_number, {}});
      tables.events.Put({"e", signed_number}, {number, {}});
      tables.events.Erase({"e", signed_number - 20});
      tables.notes.Put({1, signed_number}, {number, {}});
      tables.accounts.Find(std::to_string(number % 37));  // Moves rows in the cache.
      store.EndEntry();
      if (store.WantsCheckpoint()) job = store.BeginCheckpoint();
    }
    if (!job) continue;
    if (checkpoint.joinable()) checkpoint.join();
    checkpoint = std::thread(std::move(job));
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  if (checkpoint.joinable()) checkpoint.join();
}

TEST(StoreThreads, ReadersSeeWholeEntriesOverMemory) {
  ReadersSeeWholeEntries(std::make_unique<MemoryBase>(), 3'000);
}

TEST(StoreThreads, ReadersSeeWholeEntriesOverRocksDb) {
  TemporaryFolder folder;
  ReadersSeeWholeEntries(OpenOrDie(folder.path()), 1'500);
}

}  // namespace
}  // namespace holdfast::store::testing
