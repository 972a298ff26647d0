// A table that only grows at its ends: a journal, a history. Rows are put once and never changed or
// erased, and within a *group* each new key is greater than all before it. A group is the first
// part of a tuple key, or the whole table when the key is a single number.
//
//   store::AppendTable<uint64_t, TransferRow> transfers;                    // One group.
//   store::AppendTable<std::tuple<uint64_t, int64_t>, HistoryRow> history;  // One an account.
//
// What it saves over a SortedTable: a Put is one lookup of the group and an append, whatever the
// size of the delta, and to undo it is to take the last row off again. The rows that a group gained
// between two checkpoints are stored together, in blocks (block.h).
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/functional/function_ref.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "src/base/check.h"
#include "src/store/block.h"
#include "src/store/codec.h"
#include "src/store/footprint.h"
#include "src/store/store.h"
#include "src/store/table_base.h"

namespace holdfast::store {

// Invariant: of one group, every key in the base is less than every key in the frozen delta, and
// every key there less than every key in the delta. While the frozen delta is being dropped the
// base has its rows as well, in blocks that hold nothing older.
template <class Key, class Row>
class AppendTable : public TableBase {
 public:
  using Visit = absl::FunctionRef<bool(const Key&, const Row&)>;

  AppendTable(Store& store, TableNumber number, std::string name)
      : TableBase(store, number, std::move(name)) {}

  // A copy of the row. Under the shared lock.
  std::optional<Row> Get(const Key& key) const {
    if (const Row* row = FindInMemory(key)) return *row;
    std::string stored_key;
    AppendStoredKey(key, &stored_key);
    std::optional<Row> found;
    if constexpr (kHasGroups) {
      const std::unique_ptr<Cursor> cursor = base().NewCursor(GroupPrefix(key));
      cursor->SeekForPrev(stored_key);
      if (!cursor->Valid()) return std::nullopt;
      VisitBlock(*cursor, [&](const Key& at, const Row& row) {
        if (at == key) found = row;
        return at < key;
      });
    } else {
      std::string bytes;
      if (base().Get(stored_key, &bytes)) Decode(stored_key, bytes, &found.emplace());
    }
    return found;
  }

  // Apply thread. nullptr when absent; valid until the next call on this table.
  const Row* Find(const Key& key) {
    if (const Row* row = FindInMemory(key)) return row;
    found_ = Get(key);
    return found_.has_value() ? &*found_ : nullptr;
  }

  // Apply thread. Brings the end of the group of `key` into the processor's caches, for a later
  // Put.
  void LookAhead(const Key& key) const {
    if (const Rows* rows = RowsOf(delta_, key)) __builtin_prefetch(&rows->back() + 1, 1);
  }

  // Apply thread. A key that is not greater than the last of its group is a bug that stops the
  // node.
  void Put(const Key& key, Row row) {
    RecordPut(key, row);
    const Group group = GroupOf(key);
    Rows& rows = delta_[group];
    HOLDFAST_CHECK(rows.empty() || rows.back().first < key,
                   "table " + name() + " grows elsewhere than at its end");
    if (rows.capacity() == 0) rows.reserve(kRowsOfANewGroup);
    RowAdded(BytesOf(row));
    rows.emplace_back(key, std::move(row));
    undo_.push_back(group);
  }

  // Rows of the group of `from` with key >= from (Scan) or <= from (ScanBack), in order, until
  // visit returns false. visit must not change the table. Works under the shared lock and on the
  // apply thread.
  void Scan(const Key& from, Visit visit) const {
    const Rows* frozen = RowsOf(frozen_, from);
    const Rows* delta = RowsOf(delta_, from);
    const Key* first = FirstOf(frozen, delta);
    if (first == nullptr || from < *first) {
      if (!ScanBase(from, first, visit)) return;
    }
    for (const Rows* rows : {frozen, delta}) {
      if (rows == nullptr) continue;
      for (auto it = AtLeast(*rows, from); it != rows->end(); ++it) {
        if (!visit(it->first, it->second)) return;
      }
    }
  }
  void ScanBack(const Key& from, Visit visit) const {
    const Rows* frozen = RowsOf(frozen_, from);
    const Rows* delta = RowsOf(delta_, from);
    for (const Rows* rows : {delta, frozen}) {
      if (rows == nullptr) continue;
      for (auto it = Beyond(*rows, from); it != rows->begin();) {
        --it;
        if (!visit(it->first, it->second)) return;
      }
    }
    ScanBaseBack(from, FirstOf(frozen, delta), visit);
  }

 private:
  using Rows = std::vector<std::pair<Key, Row>>;

  static constexpr size_t kRowsOfANewGroup = 4;
  // A vector that grows by doubling is three quarters full.
  static constexpr size_t kRowBytes = sizeof(typename Rows::value_type) * 4 / 3;
  static size_t BytesOf(const Row& row) { return kRowBytes + HeapBytes(row); }

  static constexpr bool kHasGroups = codec::kIs<Key, std::tuple>;
  static auto GroupOf(const Key& key) {
    if constexpr (kHasGroups) {
      static_assert(std::is_integral_v<std::tuple_element_t<0, Key>>, "groups are numbers");
      return std::get<0>(key);
    } else {
      return uint64_t{0};
    }
  }
  using Group = decltype(GroupOf(std::declval<Key>()));
  using Delta = absl::flat_hash_map<Group, Rows>;

  // nullptr when there is none.
  static const Rows* RowsOf(const Delta& delta, const Key& key) {
    if (delta.empty()) return nullptr;
    auto it = delta.find(GroupOf(key));
    return it == delta.end() || it->second.empty() ? nullptr : &it->second;
  }
  static const Key* FirstOf(const Rows* older, const Rows* newer) {
    if (older != nullptr) return &older->front().first;
    return newer != nullptr ? &newer->front().first : nullptr;
  }
  static auto AtLeast(const Rows& rows, const Key& key) {
    return std::lower_bound(rows.begin(), rows.end(), key,
                            [](const auto& row, const Key& k) { return row.first < k; });
  }
  static auto Beyond(const Rows& rows, const Key& key) {
    return std::upper_bound(rows.begin(), rows.end(), key,
                            [](const Key& k, const auto& row) { return k < row.first; });
  }

  const Row* FindInMemory(const Key& key) const {
    for (const Delta* delta : {&delta_, &frozen_}) {
      const Rows* rows = RowsOf(*delta, key);
      if (rows == nullptr || key < rows->front().first) continue;
      if (rows->back().first == key) return &rows->back().second;  // What was just put.
      auto it = AtLeast(*rows, key);
      return it != rows->end() && it->first == key ? &it->second : nullptr;
    }
    return nullptr;
  }

  // Stored keys of the group of `key` begin with this.
  std::string GroupPrefix(const Key& key) const {
    std::string bytes(prefix());
    if constexpr (kHasGroups) EncodeKey(GroupOf(key), &bytes);
    return bytes;
  }

  // The rows of what the cursor stands at.
  void VisitBlock(const Cursor& cursor, Visit visit) const {
    Key key;
    DecodeStoredKey(cursor.key(), &key);
    VisitBlock(key, cursor.key(), cursor.value(), visit);
  }
  void VisitBlock(const Key& key, std::string_view stored_key, std::string_view bytes,
                  Visit visit) const {
    Row row;
    if constexpr (kHasGroups) {
      if (auto decoded = DecodeBlock(bytes, key, &row, visit); !decoded) {
        Corrupt(stored_key, decoded.error());
      }
    } else {
      Decode(stored_key, bytes, &row);
      visit(key, row);
    }
  }

  // Rows of the base from `from` on and before `end`, if there is one; false when visit said so.
  bool ScanBase(const Key& from, const Key* end, Visit visit) const {
    const std::unique_ptr<Cursor> cursor = base().NewCursor(GroupPrefix(from));
    std::string stored_key;
    AppendStoredKey(from, &stored_key);
    // The block with `from` may begin before it.
    cursor->SeekForPrev(stored_key);
    if (!cursor->Valid()) cursor->Seek(stored_key);
    bool go_on = true;
    Key first;
    for (; go_on && cursor->Valid(); cursor->Next()) {
      DecodeStoredKey(cursor->key(), &first);
      if (end != nullptr && !(first < *end)) return true;
      VisitBlock(first, cursor->key(), cursor->value(), [&](const Key& key, const Row& row) {
        go_on = key < from || visit(key, row);
        return go_on;
      });
    }
    return go_on;
  }
  void ScanBaseBack(const Key& from, const Key* end, Visit visit) const {
    const bool at_end = end != nullptr && !(from < *end);
    const std::unique_ptr<Cursor> cursor = base().NewCursor(GroupPrefix(from));
    std::string stored_key;
    AppendStoredKey(at_end ? *end : from, &stored_key);
    Key first;
    Rows block;
    for (cursor->SeekForPrev(stored_key); cursor->Valid(); cursor->Prev()) {
      DecodeStoredKey(cursor->key(), &first);
      if (at_end && !(first < *end)) continue;
      block.clear();
      VisitBlock(first, cursor->key(), cursor->value(), [&](const Key& key, const Row& row) {
        if (from < key) return false;
        block.emplace_back(key, row);
        return true;
      });
      for (auto it = block.rbegin(); it != block.rend(); ++it) {
        if (!visit(it->first, it->second)) return;
      }
    }
  }

  void UndoChange() override {
    HOLDFAST_CHECK(!undo_.empty(), "table " + name() + " has nothing to undo");
    Rows& rows = delta_[undo_.back()];
    undo_.pop_back();
    RowRemoved(BytesOf(rows.back().second));
    rows.pop_back();
  }
  void ForgetUndo() override { undo_.clear(); }

  void Freeze() override {
    HOLDFAST_CHECK(frozen_.empty(), "table " + name() + " is frozen already");
    std::swap(delta_, frozen_);
    // The next one will be about as large, at most twice (Store::Overfull): it need not grow step
    // by step, at a pause each. Room that is not used takes addresses, no memory.
    delta_.reserve(2 * frozen_.size());
    if constexpr (!kHasGroups) {
      if (!frozen_.empty()) delta_[0].reserve(2 * frozen_.begin()->second.size());
    }
  }

  ChangeReader DeltaChanges() const override { return Changes(delta_); }
  ChangeReader FrozenChanges() const override { return Changes(frozen_); }

  ChangeReader Changes(const Delta& delta) const {
    std::vector<std::pair<Group, const Rows*>> groups;
    groups.reserve(delta.size());
    for (const auto& [group, rows] : delta) groups.emplace_back(group, &rows);
    std::sort(groups.begin(), groups.end());
    return [this, groups = std::move(groups), group = size_t{0}, next = size_t{0},
            key = std::string(), bytes = std::string()]() mutable -> std::optional<Change> {
      while (group < groups.size() && next == groups[group].second->size()) {
        ++group;
        next = 0;
      }
      if (group == groups.size()) return std::nullopt;
      const Rows& rows = *groups[group].second;
      key.clear();
      AppendStoredKey(rows[next].first, &key);
      bytes.clear();
      if constexpr (kHasGroups) {
        EncodeBlock(rows, &next, &bytes);
      } else {
        EncodeRow(rows[next++].second, &bytes);
      }
      return Change{key, bytes};
    };
  }

  void VisitStored(std::string_view stored_key, std::string_view bytes,
                   VisitBytes visit) const override {
    Key first;
    DecodeStoredKey(stored_key, &first);
    std::string key_bytes;
    std::string row_bytes;
    VisitBlock(first, stored_key, bytes, [&](const Key& key, const Row& row) {
      key_bytes.clear();
      EncodeKey(key, &key_bytes);
      row_bytes.clear();
      EncodeRow(row, &row_bytes);
      visit(key_bytes, row_bytes);
      return true;
    });
  }

  void DropFrozen(std::vector<std::shared_ptr<void>>* garbage) override {
    if (frozen_.empty()) return;
    garbage->push_back(std::make_shared<Delta>(std::exchange(frozen_, Delta())));
  }

  Delta delta_;               // Since the last checkpoint began.
  Delta frozen_;              // Being written by a checkpoint; empty when none is under way.
  std::vector<Group> undo_;   // Of the current entry, oldest first: where each row was added.
  std::optional<Row> found_;  // What Find found in the base.
};

}  // namespace holdfast::store
