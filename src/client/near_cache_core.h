// The near cache behind near_cache.h: its lines, what is under way for them, and the session that
// they hang on. Internal to the client.
//
// What a line does is line_state.h's to say; this carries it out. Nothing is sent while the mutex
// is held: a Turn gathers it and sends it when it lets go, as answers may come at once, on the
// same thread.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <google/protobuf/message.h>

#include <condition_variable>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "services/cache/cache.pb.h"
#include "src/client/line_state.h"
#include "src/client/near_cache.h"

namespace holdfast::client {

class NearCacheCore {
 public:
  NearCacheCore(Client& client, NearCacheOptions options);
  ~NearCacheCore();

  Result<NearValue> Get(const std::string& key);
  // nullopt: the key is to be absent.
  Result<void> Write(const std::string& key, std::optional<std::string> bytes,
                     std::chrono::milliseconds ttl);
  Result<void> Close();
  NearCacheStats stats() const;

 private:
  using Clock = std::chrono::steady_clock;
  using TimePoint = Clock::time_point;

  struct Line {
    std::string key;
    LineState state = LineState::kInvalid;
    uint64_t session = 0;
    uint64_t number = 0;
    bool found = false;
    std::string bytes;
    uint64_t version = 0;  // Of what the cluster had last.
    std::optional<TimePoint> expires;
    std::optional<LineEvent> postponed;
    // Of a line that is written locally: changes so far, and how many the write back that is under
    // way carries. One at a time: an earlier one that came late could find the line taken anew.
    uint64_t changes = 0;
    uint64_t carried = 0;
    bool writing_back = false;
    bool write_back_next = false;
    size_t counted = 0;  // Bytes.
    std::list<Line*>::iterator used;
  };

  class Turn;
  friend class Turn;

  // A call that is repeated until it is answered, or its session is over.
  struct Job {
    const char* method = nullptr;
    std::string request;
    std::string idempotency_key;
    uint64_t session = 0;
    bool repeatable = true;                // Without a key, if it has none.
    bool once = false;                     // Its end is dealt with, whatever it is.
    std::chrono::milliseconds timeout{0};  // 0: as all calls.
    // With the mutex held. An error only when it is given up.
    std::function<void(NearCacheCore&, Turn&, const Result<Reply>&)> done;
  };

  // near_cache_core.cc: lines
  Line& LineOf(const std::string& key);
  LineAction React(Turn& turn, Line& line, LineEvent event);
  void Take(Line& line, const cache::FetchReply& reply, TimePoint asked);
  // A question has ended with this; what was postponed counts now.
  void Answered(Turn& turn, Line& line, LineEvent event);
  void Settle(Turn& turn, Line& line);
  void Count(Line& line);
  void MakeRoom(Turn& turn);
  void Release(Turn& turn, const Line& line);
  void SendWriteBack(Turn& turn, Line& line, cache::Mode keep);
  void WroteBack(Turn& turn, const std::string& key, const Result<Reply>& reply);
  void Rescue(Turn& turn, Line& line);
  NearValue ValueOf(const Line& line) const;
  bool LeaseHolds() const { return session_ != 0 && Clock::now() < lease_until_; }

  // Asks for the line; blocks without the mutex. nullopt: try again. Only of a value is the line
  // still there, for the caller to settle.
  std::optional<Result<NearValue>> Fetch(Turn& turn, const std::string& key, cache::Mode mode,
                                         TimePoint deadline);
  std::optional<Result<void>> Store(Turn& turn, const std::string& key,
                                    const std::optional<std::string>& bytes,
                                    std::chrono::milliseconds ttl, TimePoint deadline);
  // False: the time is up.
  bool WaitForChange(Turn& turn, TimePoint deadline);
  // Without a key it may be repeated all the same.
  Result<Reply> CallNow(const char* method, const google::protobuf::Message& request,
                        TimePoint deadline, const std::string& idempotency_key = "");

  // near_cache_session.cc: the session, recalls, time
  void Run();
  void OpenSession(Turn& turn);
  void KeepAlive(Turn& turn);
  void LoseLease(Turn& turn, uint64_t session);
  void Follow(Turn& turn);
  void Recalled(Turn& turn, uint64_t session, const Result<Reply>& reply);
  void FlushDue(Turn& turn, TimePoint now);
  void JobEnded(Turn& turn, Job job, const Result<Reply>& reply);

  Client& client_;
  const NearCacheOptions options_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // A line is not busy any more, the session is another one ...
  std::condition_variable wake_;     // ... or there is something for the thread to do.
  absl::flat_hash_map<std::string, std::unique_ptr<Line>> lines_;
  std::list<Line*> uses_;  // What was used last is first.
  size_t bytes_ = 0;
  uint64_t last_number_ = 0;
  uint64_t last_write_ = 0;
  NearCacheStats stats_;

  uint64_t session_ = 0;  // 0: none.
  TimePoint lease_until_;
  TimePoint keep_alive_at_;
  bool opening_ = false;
  TimePoint open_at_;
  uint64_t cursor_ = 0;     // Of recalls.
  uint64_t following_ = 0;  // The session whose recalls are being asked for.
  TimePoint follow_at_;
  std::deque<std::pair<TimePoint, std::string>> dirty_;  // When to write back, oldest first.
  std::vector<Job> again_;                               // Failed, and to be repeated.
  TimePoint again_at_;

  std::map<uint64_t, std::optional<Pending>> under_way_;
  uint64_t last_call_ = 0;
  bool closing_ = false;
  bool closed_ = false;
  std::thread thread_;
};

// The mutex, held; and what is to be done once it is let go.
class NearCacheCore::Turn {
 public:
  explicit Turn(NearCacheCore& core) : core_(core), lock_(core.mutex_) {}
  ~Turn() { LetGo(); }
  Turn(const Turn&) = delete;

  void Send(Job job) { jobs_.push_back(std::move(job)); }
  void Release(uint64_t session, const std::string& key, uint64_t number);
  void Lost(const std::string& key) { lost_.push_back(key); }
  // Lets go of the mutex and does what has gathered.
  void LetGo();
  void TakeAgain() { lock_.lock(); }
  std::unique_lock<std::mutex>& lock() { return lock_; }

 private:
  NearCacheCore& core_;
  std::unique_lock<std::mutex> lock_;
  std::vector<Job> jobs_;
  std::map<uint64_t, cache::ReleaseRequest> releases_;  // By session.
  std::vector<std::string> lost_;
};

}  // namespace holdfast::client
