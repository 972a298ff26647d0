// The cache in the plainest words: a list of entries in the order of use, and of each key who holds
// its line and who stands in line for it; looked through from the beginning for everything. With
// the sessions that lines hang on.
//
// It knows no bounds but that of bytes, and evicts what a `Configure` leaves too much in one step.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "services/cache/cache.pb.h"
#include "services/sessions/model.h"
#include "src/base/bounds.h"

namespace holdfast::cache {

class Model {
 public:
  using Moment = sessions::Moment;

  // Its own: they are to be asked whatever the sessions are asked.
  sessions::Model& sessions() { return sessions_; }
  const sessions::Model& sessions() const { return sessions_; }
  sessions::SessionReply Close(const sessions::CloseRequest& request);

  // An entry of the log begins: what is due by then happens, in the order of the alarms' log time;
  // of those at one moment the sessions' come first.
  void Pass(const Moment& at);

  WriteReply Set(const SetRequest& request);
  WriteReply CompareAndSet(const CompareAndSetRequest& request);
  WriteReply Delete(const DeleteRequest& request);
  WriteReply Increment(const IncrementRequest& request);
  WriteReply SetMany(const SetManyRequest& request);
  WriteReply DeletePrefix(const DeletePrefixRequest& request);
  TouchReply Touch(const TouchRequest& request);
  StatsReply Configure(const ConfigureRequest& request);
  FetchReply Fetch(const FetchRequest& request);
  ReleaseReply Release(const ReleaseRequest& request);
  WriteBackReply WriteBack(const WriteBackRequest& request);

  // nullopt: there is no such key.
  std::optional<Entry> Get(const GetRequest& request) const;
  GetManyReply GetMany(const GetManyRequest& request) const;
  StatsReply Stats(const StatsRequest& request) const;
  FetchReply AwaitFetch(const FetchRequest& request) const;
  RecallsReply Recalls(const RecallsRequest& request) const;
  // Whether a write would find the lines of its keys free.
  template <class Request>
  WriteReply Await(const Request& request) const;

  std::vector<std::string> Keys() const;
  // The version that was written to the key last, whatever was evicted or has expired since; 0: it
  // was removed last, or never written.
  uint64_t LastWritten(const std::string& key) const {
    const auto found = last_written_.find(key);
    return found == last_written_.end() ? 0 : found->second;
  }
  // A key that somebody stands in line for though nothing is in the way; empty, as it must be:
  // none.
  std::string Forgotten() const;

 private:
  struct Stored {
    std::string key;
    std::string value;
    bool is_text = true;
    uint64_t version = 0;
    int64_t expires_us = 0;  // Log time; 0: never.
  };
  struct Holder {
    Mode mode = shared;
    uint64_t line = 0;
    uint64_t written = 0;
    uint64_t recall = 0;  // 0: it was not recalled.
    bool may_share = false;
  };
  struct Waiter {
    uint64_t ticket = 0;
    uint64_t session = 0;  // 0: writers without one, who share a place.
    uint64_t line = 0;
    bool writes = false;
    Mode mode = shared;
    int64_t deadline_us = 0;  // Lease time.
    bool alone() const { return writes || mode == exclusive; }
  };
  struct Line {
    std::map<uint64_t, Holder> holders;  // By session.
    std::vector<Waiter> waiters;         // In the order of coming.
  };
  struct Asker {
    uint64_t session = 0;
    uint64_t line = 0;
  };
  // 'e': an entry ends, by key; 'p': the time of a place in line is over, by ticket; 'v': there is
  // too much.
  struct Alarm {
    int64_t due_us = 0;
    char kind = 0;
    uint64_t ticket = 0;
    std::string key;
    auto operator<=>(const Alarm&) const = default;
  };

  template <class Request>
  static Asker AskerOf(const Request& request);
  template <class Request>
  std::vector<std::string> KeysOf(const Request& request) const;
  // Whether the session has ended, or others hold one of the keys; the reply then says so.
  template <class Request>
  bool Refused(const Request& request, const std::vector<std::string>& keys, WriteReply* reply);
  // Stores the value, if it fits, and leaves the place in line.
  template <class Values>
  void Store(const std::string& key, const Values& values, int64_t expires_us, const Asker& asker,
             WriteReply* reply);
  int64_t ExpiryOf(uint64_t ttl_ms) const;

  // --- Entries
  const Stored* Find(const std::string& key) const;
  uint64_t BytesKept() const;
  static uint64_t BytesOf(const Stored& entry);
  uint64_t Put(const std::string& key, std::string value, bool is_text, int64_t expires_us);
  bool Erase(const std::string& key);
  void Forget(const std::string& key);
  void Evict(size_t limit);
  bool Use(const std::string& key);
  bool Describe(const std::string& key, Entry* entry) const;

  // --- Lines
  Holder* HolderOf(const std::string& key, const Asker& asker);
  const Holder* HolderOf(const std::string& key, const Asker& asker) const;
  bool IsLate(const std::string& key, const Asker& asker) const;
  void DropSpent(const std::string& key, const Asker& asker);
  bool Blocked(const std::string& key, const Asker& asker, uint32_t wait_ms);
  // Of a key that did not block a write which another one of its keys blocks: a place that the
  // writer has in line here it keeps for another second.
  void NotYet(const std::string& key, const Asker& asker);
  bool Done(const std::string& key, const Asker& asker, bool hold);
  void Enqueue(const std::string& key, Waiter waiter);
  void Serve(const std::string& key);
  void SessionEnded(uint64_t session);
  void LookAt(const Alarm& alarm);

  Moment now_;
  sessions::Model sessions_;
  std::list<Stored> entries_;  // What was used longest ago is first.
  std::map<std::string, Line> lines_;
  std::map<std::string, uint64_t> last_written_;
  std::set<Alarm> alarms_;
  uint64_t bytes_max_ = bounds::kCacheBytesDefault;
  uint64_t last_version_ = 0;
  uint64_t last_ticket_ = 0;
  uint64_t last_recall_ = 0;
  uint64_t evicted_ = 0;
  uint64_t expired_ = 0;
};

}  // namespace holdfast::cache
