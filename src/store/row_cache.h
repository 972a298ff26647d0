// The rows of one table that are unchanged since the last checkpoint and were asked for lately.
//
// Two generations: new rows go into the young one; when it is full it becomes the old one, and what
// was old is forgotten. A hit in the old generation moves the row to the young one, so a row that
// is used stays. At most 2 x rows_max rows.
//
// Thread-compatible; the table's owner sees to it (Peek under the shared lock, all else under the
// exclusive one).
#pragma once

#include <absl/container/node_hash_map.h>
#include <absl/hash/hash.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "src/store/digest.h"  // For xxhash, inline.

namespace holdfast::store {

// Strings, which are most keys, by an inline hash; the rest as absl does. Callers choose keys, so
// the seed is one that they cannot know, as absl's is: an address, drawn anew for each process. No
// state and no reply follows the order of a hash table.
template <class Key>
struct KeyHash {
  size_t operator()(const Key& key) const {
    if constexpr (std::same_as<Key, std::string>) {
      return XXH3_64bits_withSeed(key.data(), key.size(), reinterpret_cast<uintptr_t>(&kSeed));
    } else {
      return absl::Hash<Key>()(key);
    }
  }
  static inline const char kSeed = 0;
};

template <class Key, class Row>
class RowCache {
 public:
  using Slot = std::optional<Row>;  // Without a row: known to be absent.
  // Rows stay where they are while the map grows.
  using Map = absl::node_hash_map<Key, Slot, KeyHash<Key>>;

  explicit RowCache(size_t rows_max) : rows_max_(rows_max) {}

  // The `hash` of the lookups below, and of any other Map.
  size_t Hash(const Key& key) const { return young_.hash_function()(key); }

  // Without effect on what stays; nullptr when unknown.
  const Slot* Peek(const Key& key, size_t hash) const {
    if (auto it = young_.find(key, hash); it != young_.end()) return &it->second;
    if (auto it = old_.find(key, hash); it != old_.end()) return &it->second;
    return nullptr;
  }

  // The pointer is valid until the next call that is not const.
  const Slot* Find(const Key& key, size_t hash) {
    if (auto it = young_.find(key, hash); it != young_.end()) return &it->second;
    auto it = old_.find(key, hash);
    if (it == old_.end()) return nullptr;
    Key own_key = key;  // `key` may lie in a row that is about to move.
    Slot slot = std::move(it->second);
    old_.erase(it);
    return Insert(std::move(own_key), std::move(slot));
  }

  const Slot* Insert(Key key, Slot slot) {
    if (young_.size() >= rows_max_) {
      old_ = std::move(young_);
      young_ = Map();
    }
    return &young_.insert_or_assign(std::move(key), std::move(slot)).first->second;
  }

  void Drop(const Key& key) {
    if (!young_.empty()) young_.erase(key);
    if (!old_.empty()) old_.erase(key);
  }

  // Takes the rows of a finished checkpoint as the new young generation, or nothing when they are
  // too many; either way `*rows` and the rest of what goes is handed back, to be freed elsewhere.
  //
  // A row of `*rows` may be outdated already, if the table has changed since: the table's delta
  // hides it, and the next Adopt brings the newer row in above it (or empties the cache).
  std::pair<Map, Map> Adopt(Map* rows) {
    if (rows->size() > rows_max_) return {std::exchange(young_, Map()), std::exchange(old_, Map())};
    Map gone = std::exchange(old_, std::move(young_));
    young_ = std::exchange(*rows, Map());
    return {std::move(gone), Map()};
  }

 private:
  size_t rows_max_;
  Map young_;
  Map old_;
};

}  // namespace holdfast::store
