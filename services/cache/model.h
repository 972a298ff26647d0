// The cache in the plainest words: a list of entries in the order of use, who holds what, and a
// line for each key; looked through from the beginning for everything. Sessions live for ever here,
// and no time to wait runs out.
#pragma once

#include <algorithm>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "services/cache/cache.pb.h"
#include "src/base/bounds.h"

namespace holdfast::cache {

class Model {
 public:
  struct Entry {
    std::string key;
    std::string value;
    uint64_t version = 0;
    int64_t expires_us = 0;
  };
  struct Holder {
    uint64_t session = 0;
    Mode mode = shared;
    uint64_t line = 0;
    bool recalled = false;
    bool may_share = false;  // When recalled.
  };
  struct Waiter {
    uint64_t session = 0;
    uint64_t line = 0;
    bool writes = false;
    Mode mode = shared;
  };

  explicit Model(uint64_t bytes_max = bounds::kCacheBytesDefault) : bytes_max_(bytes_max) {}

  void PassTo(int64_t now_us) {
    now_us_ = now_us;
    std::erase_if(entries_, [&](const Entry& entry) {
      return entry.expires_us != 0 && entry.expires_us <= now_us;
    });
  }

  const Entry* Find(const std::string& key) const {
    for (const Entry& entry : entries_) {
      if (entry.key == key) return &entry;
    }
    return nullptr;
  }

  // --- Writes; 0 for the session: nobody's.
  WriteOutcome::Code Set(const std::string& key, const std::string& value, uint64_t ttl_ms,
                         uint64_t session, uint64_t line) {
    if (IsLate(key, session, line)) return WriteOutcome::superseded;
    if (Blocked(key, session, line)) return WriteOutcome::held;
    Put(key, value, ttl_ms == 0 ? 0 : now_us_ + static_cast<int64_t>(ttl_ms) * 1'000);
    Done(key, session, line, true);
    return WriteOutcome::stored;
  }
  WriteOutcome::Code CompareAndSet(const std::string& key, const std::string& value,
                                   uint64_t version) {
    if (Blocked(key, 0, 0)) return WriteOutcome::held;
    const Entry* entry = Find(key);
    const bool matches = (entry == nullptr ? 0 : entry->version) == version;
    if (matches) Put(key, value, 0);
    Done(key, 0, 0, false);
    return matches ? WriteOutcome::stored : WriteOutcome::version_mismatch;
  }
  WriteOutcome::Code Delete(const std::string& key, uint64_t session, uint64_t line) {
    if (IsLate(key, session, line)) return WriteOutcome::superseded;
    if (Blocked(key, session, line)) return WriteOutcome::held;
    const bool there = Find(key) != nullptr;
    Forget(key);
    Done(key, session, line, true);
    return there ? WriteOutcome::deleted : WriteOutcome::not_found;
  }
  WriteOutcome::Code Increment(const std::string& key, int64_t by) {
    if (Blocked(key, 0, 0)) return WriteOutcome::held;
    const Entry* entry = Find(key);
    const bool is_number =
        entry == nullptr || entry->value.find_first_not_of("-0123456789") == std::string::npos;
    if (is_number) {
      const int64_t before = entry == nullptr ? 0 : std::stoll(entry->value);
      Put(key, std::to_string(before + by), entry == nullptr ? 0 : entry->expires_us);
    }
    Done(key, 0, 0, false);
    return is_number ? WriteOutcome::stored : WriteOutcome::not_a_number;
  }
  WriteOutcome::Code DeletePrefix(const std::string& prefix) {
    std::vector<std::string> keys;
    for (const Entry& entry : entries_) {
      if (entry.key.starts_with(prefix)) keys.push_back(entry.key);
    }
    std::sort(keys.begin(), keys.end());
    bool blocked = false;
    for (const std::string& key : keys) blocked |= Blocked(key, 0, 0);
    if (blocked) return WriteOutcome::held;
    for (const std::string& key : keys) {
      Forget(key);
      Done(key, 0, 0, false);
    }
    return WriteOutcome::deleted;
  }
  bool Touch(const std::string& key) {
    for (auto it = entries_.begin(); it != entries_.end(); ++it) {
      if (it->key != key) continue;
      entries_.splice(entries_.end(), entries_, it);
      return true;
    }
    return false;
  }

  // --- Lines
  FetchOutcome::Code Fetch(const std::string& key, uint64_t session, uint64_t line, Mode mode) {
    if (IsLate(key, session, line)) return FetchOutcome::superseded;
    const Holder* held = HolderOf(key, session);
    if (held != nullptr && held->line == line) return Granted(key);
    GiveUp(key, session);
    Enqueue(key, Waiter{session, line, false, mode});
    Serve(key);
    const Holder* own = HolderOf(key, session);
    return own != nullptr && own->line == line ? Granted(key) : FetchOutcome::waiting;
  }
  bool Release(const std::string& key, uint64_t session, uint64_t line) {
    const Holder* own = HolderOf(key, session);
    if (own == nullptr || own->line != line) return false;
    GiveUp(key, session);
    Serve(key);
    return true;
  }
  WriteBackOutcome::Code WriteBack(const WriteBackRequest& request) {
    Holder* own = HolderOf(request.key(), request.session());
    if (own == nullptr || own->line != request.line() || own->mode != exclusive) {
      return WriteBackOutcome::not_held;
    }
    if (request.change() == put) Put(request.key(), request.value(), 0);
    if (request.change() == erase) Forget(request.key());
    if (request.keep() == shared) {
      own->mode = shared;
      if (own->may_share) own->recalled = own->may_share = false;
    } else if (request.keep() != exclusive) {
      GiveUp(request.key(), request.session());
    }
    Serve(request.key());
    return WriteBackOutcome::written;
  }

  const std::vector<Holder>& HoldersOf(const std::string& key) { return holders_[key]; }
  const std::list<Entry>& entries() const { return entries_; }

 private:
  FetchOutcome::Code Granted(const std::string& key) {
    Touch(key);
    return FetchOutcome::granted;
  }
  Holder* HolderOf(const std::string& key, uint64_t session) {
    for (Holder& holder : holders_[key]) {
      if (holder.session == session) return &holder;
    }
    return nullptr;
  }
  void GiveUp(const std::string& key, uint64_t session) {
    std::erase_if(holders_[key], [&](const Holder& h) { return h.session == session; });
  }
  void Enqueue(const std::string& key, const Waiter& waiter) {
    for (Waiter& other : lines_[key]) {
      if (other.session != waiter.session) continue;
      other = waiter;
      return;
    }
    lines_[key].push_back(waiter);
  }
  bool IsLate(const std::string& key, uint64_t session, uint64_t line) {
    if (session == 0) return false;
    const Holder* own = HolderOf(key, session);
    if (own != nullptr && own->line > line) return true;
    return std::any_of(lines_[key].begin(), lines_[key].end(), [&](const Waiter& waiter) {
      return waiter.session == session && waiter.line > line;
    });
  }
  bool Blocked(const std::string& key, uint64_t session, uint64_t line) {
    if (session != 0) GiveUp(key, session);
    if (holders_[key].empty()) return false;
    Enqueue(key, Waiter{session, line, true, shared});
    Serve(key);
    return true;
  }
  void Done(const std::string& key, uint64_t session, uint64_t line, bool hold) {
    std::erase_if(lines_[key], [&](const Waiter& w) { return w.writes && w.session == session; });
    if (hold && session != 0 && lines_[key].empty()) {
      holders_[key].push_back(Holder{session, shared, line});
    }
    Serve(key);
  }
  void Serve(const std::string& key) {
    std::vector<Waiter>& line = lines_[key];
    std::vector<Holder>& holders = holders_[key];
    while (!line.empty()) {
      const Waiter first = line.front();
      const bool alone = first.writes || first.mode == exclusive;
      bool in_the_way = false;
      for (Holder& holder : holders) {
        if (holder.session == first.session) continue;
        if (!alone && holder.mode == shared) continue;
        in_the_way = true;
        if (!holder.recalled) {
          holder.recalled = true;
          holder.may_share = !alone;
        } else if (alone) {
          holder.may_share = false;
        }
      }
      if (in_the_way || first.writes) return;
      line.erase(line.begin());
      GiveUp(key, first.session);
      const bool exclusively =
          first.mode == exclusive || (first.mode == any && holders.empty() && line.empty());
      holders.push_back(Holder{first.session, exclusively ? exclusive : shared, first.line});
    }
  }
  void Put(const std::string& key, const std::string& value, int64_t expires_us) {
    Forget(key);
    entries_.push_back(Entry{key, value, ++last_version_, expires_us});
    const auto bytes = [&] {
      uint64_t sum = 0;
      for (const Entry& entry : entries_) {
        sum += entry.key.size() + entry.value.size() + bounds::kCacheEntryBytes;
      }
      return sum;
    };
    while (bytes() > bytes_max_) entries_.pop_front();
  }
  void Forget(const std::string& key) {
    std::erase_if(entries_, [&](const Entry& entry) { return entry.key == key; });
  }

  const uint64_t bytes_max_;
  int64_t now_us_ = 0;
  uint64_t last_version_ = 0;
  std::list<Entry> entries_;  // What was used longest ago is first.
  std::map<std::string, std::vector<Holder>> holders_;
  std::map<std::string, std::vector<Waiter>> lines_;
};

}  // namespace holdfast::cache
