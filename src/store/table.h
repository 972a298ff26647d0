// Typed tables. A service declares its tables once, as members, and sees nothing of the disk.
//
//   struct Account {
//     std::string currency;
//     int64_t balance = 0;
//     auto Fields() { return std::tie(currency, balance); }        // Appended to, never reordered.
//     auto Fields() const { return std::tie(currency, balance); }
//   };
//   store::HashTable<std::string, Account> accounts{store, {kLedger, 1}, "accounts"};
//
// Key: uint64_t, int64_t, std::string or a std::tuple of them; its stored bytes sort as the key
// does. Row: Fields() of integers, bools, enums, strings, optionals, vectors and maps of these, and
// structs with Fields(); stored as docs/formats/store.md says. HashTable: point access.
// SortedTable: point access and scans. Both, and AppendTable (append_table.h): Get is const and may
// be called under the shared lock; Find, Put and Erase are the apply thread's.
//
// A table that is used as a queue (rows put at one end, erased at the other) is scanned from where
// the last scan ended, not from its beginning: a scan walks over the erased rows of the delta. Its
// rows are put by PutNew and erased by EraseKnown, which ask the disk nothing.
#pragma once

#include <absl/container/btree_map.h>
#include <absl/functional/function_ref.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/store/codec.h"
#include "src/store/footprint.h"
#include "src/store/key_filter.h"
#include "src/store/key_sorter.h"
#include "src/store/row_cache.h"
#include "src/store/store.h"
#include "src/store/table_base.h"

namespace holdfast::store {

// What lies below a row of a delta: in the frozen delta or the base.
enum class Below : uint8_t { kUnknown, kNothing, kRow };

// What a sorted table's delta says of a key: its row, or that it was erased; and, as far as it is
// known for nothing, what is below, so that an erase need not look.
template <class Row>
struct SortedSlot : std::optional<Row> {
  using std::optional<Row>::optional;
  using std::optional<Row>::operator=;
  Below below = Below::kUnknown;
};

// What both kinds of table share. `Delta` maps a key to its new row, or to nothing when the row was
// erased.
//
// Invariant: what a map further up says of a key hides what those below say, in the order delta,
// frozen delta, cache, base. The cache is filled from the base only with keys that no delta has,
// and a key that enters the delta leaves the cache; for the one exception see RowCache::Adopt.
template <class Key, class Row, class Delta>
class Table : public TableBase {
 public:
  // A copy of the row. Under the shared lock; leaves the cache as it is.
  std::optional<Row> Get(const Key& key) const {
    const size_t hash = Hash(key);
    if (const Slot* slot = FindChange(key, hash)) return *slot;
    if (const auto* slot = cache_.Peek(key, hash)) return *slot;
    if (!filter_.MayHave(hash)) return std::nullopt;
    std::string stored_key;
    std::string bytes;
    std::optional<Row> row;
    AppendStoredKey(key, &stored_key);
    if (base().Get(stored_key, &bytes)) Decode(stored_key, bytes, &row.emplace());
    return row;
  }

  // Apply thread. nullptr when absent; valid until the next call on this table.
  const Row* Find(const Key& key) {
    const size_t hash = Hash(key);
    if (const Slot* slot = FindChange(key, hash)) return Pointer(*slot);
    return FindClean(key, hash);
  }

  // Apply thread. The row if memory has it, to bring what a later Find will need into the
  // processor's caches: the misses of several rows overlap. Changes nothing.
  const Row* LookAhead(const Key& key) const {
    const size_t hash = Hash(key);
    if (const Slot* slot = FindChange(key, hash)) return Pointer(*slot);
    if (const auto* slot = cache_.Peek(key, hash)) return Pointer(*slot);
    filter_.Prefetch(hash);
    return nullptr;
  }

  // Apply thread. Here and elsewhere, `key` may be part of a row that Find returned.
  void Put(const Key& key, Row row) {
    RecordPut(key, row);
    if constexpr (kSorted) {
      auto [it, found] = Locate(key);
      if (found) {
        Replace(*it, std::move(row));
      } else {
        Enter(it, Key(key), std::move(row), WhatIsBelow(key));
      }
    } else {
      auto [it, is_new] = delta_.try_emplace(key, std::move(row));
      if (is_new) {
        Entered(*it);
      } else {
        Replace(*it, std::move(row));
      }
    }
  }

  // A row that was looked up once, to be put again: Lookup gives it, Put takes it. Of a hash table.
  class Handle {
   public:
    // As Find returned it: nullptr when absent; valid until the next call on the table.
    const Row* row() const { return row_; }

   private:
    friend class Table;
    const Row* row_ = nullptr;
    typename Delta::value_type* in_delta_ = nullptr;
  };

  // Apply thread. The handle is good for one Put of the same key, as long as that key is not
  // changed otherwise and nothing is rolled back; changes of other keys do not matter.
  Handle Lookup(const Key& key) {
    static_assert(!kSorted, "rows of a B-tree move");
    const size_t hash = Hash(key);
    Handle handle;
    if (auto it = delta_.find(key, hash); it != delta_.end()) {
      handle.in_delta_ = &*it;
      handle.row_ = Pointer(it->second);
    } else if (const Slot* slot = FindFrozen(key, hash)) {
      handle.row_ = Pointer(*slot);
    } else {
      handle.row_ = FindClean(key, hash);
    }
    return handle;
  }

  // Apply thread. As Put, without looking again.
  void Put(const Handle& handle, const Key& key, Row&& row) {
    if (handle.in_delta_ == nullptr) {
      Put(key, std::move(row));
      return;
    }
    RecordPut(key, row);
    Replace(*handle.in_delta_, std::move(row));
  }

  // Apply thread. As Put, of a key that the table does not have, as its number is given out once or
  // another row says so: it is not looked for, then or when the row is erased. Of a sorted table.
  void PutNew(const Key& key, Row row) {
    static_assert(kSorted, "a hash table knows by itself");
    const auto [it, found] = Locate(key);
    HOLDFAST_CHECK(!found || !it->second.has_value(), Known("new", "there already"));
    if (!found && check_known()) HOLDFAST_CHECK(!ExistsBelow(key), Known("new", "there already"));
    RecordPut(key, row);
    if (found) {
      Replace(*it, std::move(row));
    } else {
      Enter(it, Key(key), std::move(row), Below::kNothing);
    }
  }

  // Apply thread. No-op when absent: nothing is recorded.
  void Erase(const Key& key) {
    const auto [it, found] = Locate(key);
    if (found) {
      EraseChanged(it);
      // Find may let go of the row that the key is part of. NOLINTNEXTLINE(performance-*)
    } else if (const Key own_key = key; Find(own_key) != nullptr) {
      EraseBelow(own_key);
    }
  }

  // Apply thread. As Erase, of a row that another one says is there: it is not looked for.
  void EraseKnown(const Key& key) {
    const auto [it, found] = Locate(key);
    if (found) {
      HOLDFAST_CHECK(it->second.has_value(), Known("known", "missing"));
      EraseChanged(it);
      return;
    }
    if (check_known()) HOLDFAST_CHECK(ExistsBelow(key), Known("known", "missing"));
    EraseBelow(key);
  }

 protected:
  using Slot = typename Delta::mapped_type;
  static constexpr bool kSorted = !std::is_same_v<Delta, typename RowCache<Key, Row>::Map>;

  Table(Store& store, TableNumber number, std::string name)
      : TableBase(store, number, std::move(name)), cache_(cache_rows_max()) {}

  Delta delta_;   // Changed since the last checkpoint began.
  Delta frozen_;  // Being written by a checkpoint; empty when none is under way.

 private:
  // Where a change was made: rows of a hash table stay where they are, those of a B-tree move.
  using Place = std::conditional_t<kSorted, Key, typename Delta::value_type*>;
  // What the delta said of a key before the change; Nothing when it did not have it.
  struct Nothing {};
  using Before = std::variant<Nothing, Slot>;
  struct Undo {
    template <class Said>
    Undo(Place at, Said&& said) : place(std::move(at)), before(std::forward<Said>(said)) {}
    Place place;
    Before before;
  };

  // One row of the delta in memory. Both containers keep some of their room free: hash tables an
  // eighth to a half, B-trees a quarter of what they fill at random.
  static constexpr size_t kSlotBytes = (sizeof(typename Delta::value_type) + 1) * 3 / 2;
  static size_t HeapOf(const std::optional<Row>& slot) { return HeapBytes(slot); }
  static size_t BytesOf(const Key& key, const std::optional<Row>& slot) {
    return kSlotBytes + HeapBytes(key) + HeapOf(slot);
  }

  static const Row* Pointer(const std::optional<Row>& slot) {
    return slot.has_value() ? &*slot : nullptr;
  }

  // All hash tables of a table hash alike: once is enough for a lookup that asks several.
  size_t Hash(const Key& key) const { return cache_.Hash(key); }

  static auto FindIn(const Delta& delta, const Key& key, size_t hash) {
    if constexpr (kSorted) {
      return delta.find(key);
    } else {
      return delta.find(key, hash);
    }
  }

  const Slot* FindChange(const Key& key, size_t hash) const {
    if (auto it = FindIn(delta_, key, hash); it != delta_.end()) return &it->second;
    return FindFrozen(key, hash);
  }

  const Slot* FindFrozen(const Key& key, size_t hash) const {
    if (frozen_.empty()) return nullptr;
    auto it = FindIn(frozen_, key, hash);
    return it != frozen_.end() ? &it->second : nullptr;
  }

  // A row that neither delta speaks of.
  const Row* FindClean(const Key& key, size_t hash) {
    if (const auto* slot = cache_.Find(key, hash)) return Pointer(*slot);
    if (!filter_.MayHave(hash)) return nullptr;
    key_buffer_.clear();
    AppendStoredKey(key, &key_buffer_);
    if (!base().Get(key_buffer_, &row_buffer_)) return nullptr;
    Row row;
    Decode(key_buffer_, row_buffer_, &row);
    return Pointer(*cache_.Insert(Key(key), std::move(row)));
  }

  std::string Known(const char* kind, const char* state) const {
    return std::string("a ") + kind + " row of " + name() + " is " + state;
  }

  // Of a key that the delta does not have; as far as memory knows.
  Below WhatIsBelow(const Key& key) const {
    const size_t hash = Hash(key);
    if (const Slot* slot = FindFrozen(key, hash)) {
      return slot->has_value() ? Below::kRow : Below::kNothing;
    }
    return cache_.Peek(key, hash) != nullptr ? Below::kRow : Below::kUnknown;
  }

  bool ExistsBelow(const Key& key) {
    if (const Slot* slot = FindFrozen(key, Hash(key))) return slot->has_value();
    key_buffer_.clear();
    AppendStoredKey(key, &key_buffer_);
    return base().Get(key_buffer_, &row_buffer_);
  }

  // Where in the delta the key is, or belongs.
  std::pair<typename Delta::iterator, bool> Locate(const Key& key) {
    if constexpr (kSorted) {
      auto it = delta_.lower_bound(key);
      return {it, it != delta_.end() && it->first == key};
    } else {
      auto it = delta_.find(key);
      return {it, it != delta_.end()};
    }
  }

  // Puts another row, or nothing, under a key of the delta.
  template <class RowOrNothing>
  void Replace(typename Delta::value_type& at, RowOrNothing&& slot) {
    const size_t before = HeapOf(at.second);
    undo_.emplace_back(PlaceOf(at), std::move(at.second));
    at.second = std::forward<RowOrNothing>(slot);
    BytesChanged(before, HeapOf(at.second));
  }

  // Erases what the delta says of a key.
  void EraseChanged(typename Delta::iterator it) {
    if (!it->second.has_value()) return;
    RecordErase(it->first);
    Replace(*it, std::nullopt);
    if constexpr (kSorted) {
      // A sorted table is scanned, and a scan walks over every row erased: keep only those that
      // hide something below.
      Below& below = it->second.below;
      if (below == Below::kUnknown) below = ExistsBelow(it->first) ? Below::kRow : Below::kNothing;
      if (below == Below::kNothing) {
        RowRemoved(BytesOf(it->first, it->second));
        delta_.erase(it);
      }
    }
  }
  // Erases what only the frozen delta or the base has. `key` may lie in a row that goes.
  void EraseBelow(const Key& key) {
    RecordErase(key);
    Key own_key = key;
    const auto place = Locate(own_key).first;
    Enter(place, std::move(own_key), std::nullopt, Below::kRow);
  }

  // The delta gets a key it does not have; it belongs `where`.
  template <class RowOrNothing>
  void Enter(typename Delta::iterator where, Key key, RowOrNothing&& row, Below below) {
    // What a hash table's cache has of the key may stay: the delta hides it, and becomes the
    // cache's younger generation when it is written. A sorted table's delta does not.
    if (kSorted) cache_.Drop(key);
    Slot slot(std::forward<RowOrNothing>(row));
    if constexpr (kSorted) slot.below = below;
    Entered(*delta_.try_emplace(where, std::move(key), std::move(slot)));
  }
  void Entered(typename Delta::value_type& at) {
    RowAdded(BytesOf(at.first, at.second));
    undo_.emplace_back(PlaceOf(at), Nothing());
  }

  static Place PlaceOf(typename Delta::value_type& at) {
    if constexpr (kSorted) {
      return at.first;
    } else {
      return &at;
    }
  }

  void UndoChange() override {
    HOLDFAST_CHECK(!undo_.empty(), "table " + name() + " has nothing to undo");
    auto [place, before] = std::move(undo_.back());
    undo_.pop_back();
    if constexpr (kSorted) {
      auto [it, found] = Locate(place);
      UndoAt(it, found, std::move(place), std::move(before));
    } else if (std::holds_alternative<Nothing>(before)) {
      RowRemoved(BytesOf(place->first, place->second));
      delta_.erase(place->first);
    } else {
      BytesChanged(HeapOf(place->second), HeapOf(std::get<Slot>(before)));
      place->second = std::move(std::get<Slot>(before));
    }
  }

  // An erase may have taken the row out of the delta altogether.
  void UndoAt(typename Delta::iterator it, bool found, Key key, Before before) {
    if (std::holds_alternative<Nothing>(before)) {
      if (!found) return;
      RowRemoved(BytesOf(it->first, it->second));
      delta_.erase(it);
      return;
    }
    Slot& slot = std::get<Slot>(before);
    if (found) {
      BytesChanged(HeapOf(it->second), HeapOf(slot));
      it->second = std::move(slot);
    } else {
      RowAdded(BytesOf(key, slot));
      delta_.try_emplace(it, std::move(key), std::move(slot));
    }
  }

  void ForgetUndo() override { undo_.clear(); }

  void Freeze() override {
    HOLDFAST_CHECK(frozen_.empty(), "table " + name() + " is frozen already");
    std::swap(delta_, frozen_);
    // The next one will be about as large, at most twice (Store::Overfull): it need not grow step
    // by step, at a pause each.
    if constexpr (!kSorted) delta_.reserve(2 * frozen_.size());
  }

  void LearnFrozen() override {
    if (kSorted) return;
    for (const auto& [key, slot] : frozen_) filter_.Add(Hash(key));
  }
  bool LearnKeys() override {
    if (kSorted || learned_) return false;
    if (learning_ == nullptr) {
      learning_ = base().NewCursor(prefix());
      learning_->Seek(prefix());
    }
    Key key{};
    for (size_t i = 0; i < bounds::kLearnedRowsPerStep && learning_->Valid(); ++i) {
      DecodeStoredKey(learning_->key(), &key);
      filter_.Add(Hash(key));
      learning_->Next();
    }
    if (learning_->Valid()) return true;
    filter_.Complete();
    learning_ = nullptr;
    learned_ = true;
    return false;
  }

  ChangeReader DeltaChanges() const override { return Changes(delta_); }
  ChangeReader FrozenChanges() const override { return Changes(frozen_); }

  ChangeReader Changes(const Delta& delta) const {
    if constexpr (kSorted) {
      return [this, it = delta.begin(), end = delta.end(), key = std::string(),
              bytes = std::string()]() mutable -> std::optional<Change> {
        if (it == end) return std::nullopt;
        const auto& [row_key, slot] = *it++;
        key.clear();
        AppendStoredKey(row_key, &key);
        return ChangeOf(key, slot, &bytes);
      };
    } else {
      auto sorter = std::make_shared<KeySorter<typename Delta::value_type>>(delta.size());
      for (const auto& row : delta) {
        sorter->Add(&row, [&](std::string* out) { AppendStoredKey(row.first, out); });
      }
      sorter->Sort();
      return [sorter, next = size_t{0}, bytes = std::string()]() mutable -> std::optional<Change> {
        if (next == sorter->entries().size()) return std::nullopt;
        const auto& entry = sorter->entries()[next++];
        return ChangeOf(sorter->key(entry), entry.row->second, &bytes);
      };
    }
  }
  static Change ChangeOf(std::string_view key, const Slot& slot, std::string* bytes) {
    if (!slot.has_value()) return Change{key, std::nullopt};
    bytes->clear();
    EncodeRow(*slot, bytes);
    return Change{key, *bytes};
  }

  void DropFrozen(std::vector<std::shared_ptr<void>>* garbage) override {
    if (frozen_.empty()) return;
    if constexpr (!kSorted) {
      garbage->push_back(
          std::make_shared<decltype(cache_.Adopt(&frozen_))>(cache_.Adopt(&frozen_)));
    }
    garbage->push_back(std::make_shared<Delta>(std::exchange(frozen_, Delta())));
  }

  RowCache<Key, Row> cache_;
  KeyFilter filter_;                  // Of a hash table.
  std::unique_ptr<Cursor> learning_;  // Where LearnKeys stands.
  bool learned_ = false;
  std::vector<Undo> undo_;  // Of the current entry, oldest first.
  std::string key_buffer_;  // Of the apply thread.
  std::string row_buffer_;
};

template <class Key, class Row>
class HashTable : public Table<Key, Row, typename RowCache<Key, Row>::Map> {
 public:
  HashTable(Store& store, TableNumber number, std::string name)
      : Table<Key, Row, typename RowCache<Key, Row>::Map>(store, number, std::move(name)) {}
};

template <class Key, class Row>
class SortedTable : public Table<Key, Row, absl::btree_map<Key, SortedSlot<Row>>> {
 public:
  using Visit = absl::FunctionRef<bool(const Key&, const Row&)>;

  SortedTable(Store& store, TableNumber number, std::string name)
      : Table<Key, Row, Delta>(store, number, std::move(name)) {}

  // Rows with key >= from (Scan) or <= from (ScanBack), in order, until visit returns false.
  // visit must not change the table. Works under the shared lock and on the apply thread.
  void Scan(const Key& from, Visit visit) const { Walk<false>(from, SIZE_MAX, visit); }
  void ScanBack(const Key& from, Visit visit) const { Walk<true>(from, SIZE_MAX, visit); }
  // As Scan, for a table whose rows go: stops after `steps` rows, those that are erased but not yet
  // written among them, and says where to go on; nullopt: the end, or visit returned false.
  std::optional<Key> ScanWithin(const Key& from, size_t steps, Visit visit) const {
    return Walk<false>(from, steps, visit);
  }

 private:
  using Delta = absl::btree_map<Key, SortedSlot<Row>>;

  // Changes of one delta from `from` on.
  template <bool kBack>
  class DeltaWalk {
   public:
    DeltaWalk(const Delta& delta, const Key& from)
        : delta_(delta), it_(kBack ? delta.upper_bound(from) : delta.lower_bound(from)) {}
    const Key* key() const {
      if (it_ == (kBack ? delta_.begin() : delta_.end())) return nullptr;
      return kBack ? &std::prev(it_)->first : &it_->first;
    }
    const SortedSlot<Row>& slot() const { return kBack ? std::prev(it_)->second : it_->second; }
    void Step() { kBack ? --it_ : ++it_; }

   private:
    const Delta& delta_;
    // An iterator at the end need not know a position.
    typename Delta::const_iterator
        it_;  // NOLINT(clang-analyzer-optin.cplusplus.UninitializedObject)
  };

  // Rows of the base from `from` on.
  template <bool kBack>
  class BaseWalk {
   public:
    BaseWalk(const SortedTable& table, const Key& from)
        : table_(table), cursor_(table.base().NewCursor(table.prefix())) {
      std::string stored_key;
      table.AppendStoredKey(from, &stored_key);
      kBack ? cursor_->SeekForPrev(stored_key) : cursor_->Seek(stored_key);
      ReadKey();
    }
    const Key* key() const { return valid_ ? &key_ : nullptr; }
    Row row() const {
      Row row;
      table_.Decode(cursor_->key(), cursor_->value(), &row);
      return row;
    }
    void Step() {
      kBack ? cursor_->Prev() : cursor_->Next();
      ReadKey();
    }

   private:
    void ReadKey() {
      valid_ = cursor_->Valid();
      if (!valid_) return;
      table_.DecodeStoredKey(cursor_->key(), &key_);
    }

    const SortedTable& table_;
    std::unique_ptr<Cursor> cursor_;
    bool valid_ = false;
    Key key_;
  };

  // Merges what is above with what is below; the newest word on a key counts.
  template <bool kBack>
  std::optional<Key> Walk(const Key& from, size_t steps, Visit visit) const {
    DeltaWalk<kBack> delta(this->delta_, from);
    DeltaWalk<kBack> frozen(this->frozen_, from);
    BaseWalk<kBack> base(*this, from);
    const auto first = [](const Key* a, const Key* b) {
      if (a == nullptr || b == nullptr) return a == nullptr ? b : a;
      return (kBack ? *a < *b : *b < *a) ? b : a;
    };
    for (;; --steps) {
      const Key* key = first(delta.key(), first(frozen.key(), base.key()));
      if (key == nullptr) return std::nullopt;
      if (steps == 0) return *key;
      const bool in_delta = delta.key() != nullptr && *delta.key() == *key;
      const bool in_frozen = frozen.key() != nullptr && *frozen.key() == *key;
      const bool in_base = base.key() != nullptr && *base.key() == *key;
      if (in_delta || in_frozen) {
        const SortedSlot<Row>& slot = in_delta ? delta.slot() : frozen.slot();
        if (slot.has_value() && !visit(*key, *slot)) return std::nullopt;
      } else if (!visit(*key, base.row())) {
        return std::nullopt;
      }
      if (in_base) base.Step();
      if (in_frozen) frozen.Step();
      if (in_delta) delta.Step();
    }
  }
};

}  // namespace holdfast::store
