// What the cache keeps: entries with their values, their order of use, and what is evicted from the
// end of it. Knows nothing of lines. Changes on the apply thread; what is const also under the
// store's shared lock.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/cache/tables.h"
#include "src/state_machine/service.h"

namespace holdfast::cache {

using state_machine::WriteContext;

struct Value {
  std::string bytes;
  bool is_text = true;
};

class Entries {
 public:
  explicit Entries(store::Store& store) : t_(store) {}

  // An entry whose time is over is absent, though its timer may not have fired yet.
  std::optional<EntryRow> Get(const std::string& key, LogTime now) const;
  std::string ValueOf(const std::string& key) const { return t_.values.Get(key)->value; }
  // Up to `limit` keys that begin with the prefix, in order.
  std::vector<std::string> Under(const std::string& prefix, LogTime now, size_t limit) const;

  // Whether there is room for it, once all else is evicted.
  bool Fits(const std::string& key, const Value& value) const {
    return BytesOf(key, value) <= meta().bytes_max;
  }
  // Stores what fits, evicts what was used longest ago, and returns the new version. `expires_us`:
  // log time, or 0.
  uint64_t Put(const std::string& key, Value value, int64_t expires_us, WriteContext& context);
  // False: it was absent.
  bool Erase(const std::string& key, WriteContext& context);
  // It was used now. False: it is absent.
  bool Touch(const std::string& key, WriteContext& context);

  void Configure(uint64_t bytes_max, WriteContext& context);
  // Timers are this one's or the lines', by the first byte of their key.
  static bool OwnsTimer(std::string_view key) { return key.front() == 'e' || key.front() == 'v'; }
  void OnTimer(std::string_view key, WriteContext& context);

  EntriesMeta meta() const { return t_.meta.Get(kOnlyRow).value_or(EntriesMeta{}); }
  const EntryTables& tables() const { return t_; }

 private:
  static uint64_t BytesOf(const std::string& key, const Value& value) {
    return key.size() + value.bytes.size() + bounds::kCacheEntryBytes;
  }
  void Remove(const std::string& key, const EntryRow& row, EntriesMeta* meta,
              WriteContext& context);
  // False: at most `limit` went, and it was not enough.
  bool EvictSome(size_t limit, EntriesMeta* meta, WriteContext& context);

  EntryTables t_;
};

}  // namespace holdfast::cache
