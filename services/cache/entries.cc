#include "services/cache/entries.h"

#include <utility>
#include <vector>

namespace holdfast::cache {
namespace {

// The first byte of a timer's key says what it is for (OwnsTimer).
constexpr char kExpiry = 'e';
constexpr char kEviction = 'v';

std::string ExpiryTimer(const std::string& key) { return kExpiry + key; }

}  // namespace

std::optional<EntryRow> Entries::Get(const std::string& key, LogTime now) const {
  auto row = t_.entries.Get(key);
  if (row && row->expires_us != 0 && row->expires_us <= now.us) return std::nullopt;
  return row;
}

std::vector<std::string> Entries::Under(const std::string& prefix, LogTime now,
                                        size_t limit) const {
  std::vector<std::string> keys;
  t_.entries.Scan(prefix, [&](const std::string& key, const EntryRow& row) {
    if (!key.starts_with(prefix) || keys.size() == limit) return false;
    if (row.expires_us == 0 || row.expires_us > now.us) keys.push_back(key);
    return true;
  });
  return keys;
}

void Entries::Remove(const std::string& key, const EntryRow& row, EntriesMeta* meta,
                     WriteContext& context) {
  if (row.expires_us != 0) context.CancelTimer(LogTime{row.expires_us}, ExpiryTimer(key));
  meta->bytes -= row.bytes;
  --meta->entries;
  t_.uses.EraseKnown(row.touch);
  t_.entries.EraseKnown(key);
}

bool Entries::EvictSome(size_t limit, EntriesMeta* meta, WriteContext& context) {
  if (meta->bytes <= meta->bytes_max) return true;
  std::vector<std::pair<std::string, EntryRow>> victims;
  uint64_t freed = 0;
  t_.uses.Scan(meta->first_touch, [&](uint64_t touch, const KeyRow& use) {
    if (meta->bytes - freed <= meta->bytes_max || victims.size() == limit) return false;
    victims.emplace_back(use.key, *t_.entries.Get(use.key));
    freed += victims.back().second.bytes;
    meta->first_touch = touch + 1;
    return true;
  });
  for (const auto& [key, row] : victims) {
    Remove(key, row, meta, context);
    t_.values.EraseKnown(key);
  }
  meta->evicted += victims.size();
  return meta->bytes <= meta->bytes_max;
}

uint64_t Entries::Put(const std::string& key, Value value, int64_t expires_us,
                      WriteContext& context) {
  EntriesMeta now = meta();
  const auto before = t_.entries.Get(key);
  if (before) Remove(key, *before, &now, context);
  EntryRow row;
  row.version = ++now.last_version;
  row.touch = ++now.last_touch;
  row.expires_us = expires_us;
  row.bytes = BytesOf(key, value);
  row.is_text = value.is_text;
  now.bytes += row.bytes;
  ++now.entries;
  if (expires_us != 0) context.SetTimer(LogTime{expires_us}, ExpiryTimer(key));
  t_.entries.PutNew(key, row);
  ValueRow bytes{std::move(value.bytes)};
  before ? t_.values.Put(key, std::move(bytes)) : t_.values.PutNew(key, std::move(bytes));
  t_.uses.PutNew(row.touch, KeyRow{key});
  // It is the last in the order of use, and fits alone: it stays. As every entry counts
  // kCacheEntryBytes at least, so many are enough: what fits before fits afterwards.
  EvictSome(row.bytes / bounds::kCacheEntryBytes + 1, &now, context);
  t_.meta.Put(kOnlyRow, now);
  return row.version;
}

bool Entries::Erase(const std::string& key, WriteContext& context) {
  const auto row = t_.entries.Get(key);
  if (!row) return false;
  EntriesMeta now = meta();
  Remove(key, *row, &now, context);
  t_.values.EraseKnown(key);
  t_.meta.Put(kOnlyRow, now);
  return row->expires_us == 0 || row->expires_us > context.now().us;
}

bool Entries::Touch(const std::string& key, WriteContext& context) {
  auto row = Get(key, context.now());
  if (!row) return false;
  EntriesMeta now = meta();
  t_.uses.EraseKnown(row->touch);
  row->touch = ++now.last_touch;
  t_.uses.PutNew(row->touch, KeyRow{key});
  t_.entries.Put(key, *row);
  t_.meta.Put(kOnlyRow, now);
  return true;
}

void Entries::Configure(uint64_t bytes_max, WriteContext& context) {
  EntriesMeta now = meta();
  now.bytes_max = bytes_max;
  t_.meta.Put(kOnlyRow, now);
  context.SetTimer(context.now(), std::string(1, kEviction));
}

void Entries::OnTimer(std::string_view key, WriteContext& context) {
  EntriesMeta now = meta();
  if (key.front() == kEviction) {
    const bool done = EvictSome(bounds::kCacheSweptPerEntry, &now, context);
    if (!done) context.SetTimer(context.now(), key);
  } else {
    const std::string name(key.substr(1));
    const auto row = t_.entries.Get(name);
    if (!row || row->expires_us == 0 || row->expires_us > context.now().us) return;
    Remove(name, *row, &now, context);
    t_.values.EraseKnown(name);
    ++now.expired;
  }
  t_.meta.Put(kOnlyRow, now);
}

}  // namespace holdfast::cache
