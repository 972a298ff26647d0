// Near caches in a simulated cluster: programs that hold lines of the cache and serve reads from
// them, as src/client/near_cache.h does on threads and sockets. What a line does is said by the
// same table (line_state.h), the session and its lease go by the same rules; the rest is written
// anew here, on simulated time, and hurt: a near cache dies and comes back with nothing, or is cut
// off from all nodes for longer than its session lasts and goes on serving as long as it may. What
// it has sent arrives late, twice, or when it is dead.
//
// Whatever is served from a line is given to the checker: it must not be older than what anyone had
// been told by then. And nobody reads a line here while another may write to it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "services/cache/cache.pb.h"
#include "sim/cluster.h"
#include "src/client/line_state.h"

namespace holdfast::sim {

class NearCaches {
 public:
  NearCaches(World& world, Cluster& cluster, Checker& checker, uint64_t count);
  ~NearCaches();
  // They are gone: nothing is asked any more, and what is answered, nobody hears.
  void Finish();

 private:
  using LineState = client::LineState;
  using LineEvent = client::LineEvent;

  struct Line {
    LineState state = LineState::kInvalid;
    uint64_t session = 0;
    uint64_t number = 0;
    bool found = false;
    std::string value;
    uint64_t version = 0;     // Of what the cluster had last.
    uint64_t expires_us = 0;  // 0: never.
    std::optional<LineEvent> postponed;
    bool writes = false;  // What was asked for to write locally is written once it is granted.
    // Changes so far, and how many the write back that is under way carries.
    uint64_t changes = 0;
    uint64_t carried = 0;
    bool writing_back = false;
    bool write_back_next = false;
  };
  struct Near {
    uint64_t id = 0;
    uint64_t life = 0;  // Grows with each death; what belongs to an earlier one is dropped.
    bool up = true;
    uint64_t cut_until_us = 0;
    bool writes_back = false;  // Writes::kBack.
    uint64_t ttl_ms = 0;
    LogIndex token;

    uint64_t session = 0;
    bool opening = false;
    uint64_t lease_until_us = 0;
    uint64_t keep_alive_at_us = 0;
    uint64_t cursor = 0;
    bool following = false;
    uint64_t numbers = 0;
    uint64_t write = 0;
    std::map<std::string, Line> lines;
  };
  // Null: it was given up.
  using Heard = std::function<void(const std::string* reply)>;
  struct Call {
    std::string method;
    std::shared_ptr<google::protobuf::Message> request;
    std::string key;        // Of all attempts; empty: each is a write of its own, or a read.
    uint64_t session = 0;   // It is given up when that is over; 0: it is not of a session.
    uint64_t until_us = 0;  // Or then; 0: never.
    uint64_t asked_us = 0;  // When it was first tried; 0: not yet ...
    LogIndex after;         // ... and what anyone had been told then.
    Heard heard;
    bool tried = false;
    bool done = false;
  };
  static Call CallOf(const char* method, std::shared_ptr<google::protobuf::Message> request,
                     std::string key = "");

  void TickLater(Near& near);
  void Tick(Near& near);
  void Die(Near& near);
  bool IsCut(const Near& near) const { return world_.events.now_us() < near.cut_until_us; }
  bool LeaseHolds(const Near& near) const {
    return near.session != 0 && world_.events.now_us() < near.lease_until_us;
  }
  uint64_t InMs(uint64_t ms) const { return world_.events.now_us() + ms * 1'000; }

  // --- The session
  void Open(Near& near);
  void KeepAlive(Near& near);
  void LoseLease(Near& near);
  void Follow(Near& near);
  void Recalled(Near& near, const cache::RecallsReply& reply);

  // --- Lines
  client::LineAction React(Near& near, const std::string& key, LineEvent event);
  void Settle(Near& near, const std::string& key);
  void Answered(Near& near, const std::string& key, LineEvent event);
  // The program reads, or writes.
  void Read(Near& near, const std::string& key);
  void Write(Near& near, const std::string& key);
  void Serve(Near& near, const std::string& key);
  void WriteHere(Near& near, const std::string& key);
  void Fetch(Near& near, const std::string& key, cache::Mode mode);
  void AskForLine(Near& near, const std::string& key, const cache::FetchRequest& request,
                  uint64_t until_us);
  void Fetched(Near& near, const std::string& key, const cache::FetchRequest& request,
               const cache::FetchReply* reply, uint64_t asked_us);
  void Store(Near& near, const std::string& key);
  // Asked again it is the same write: another node may go on with an earlier one.
  void SendStore(Near& near, const std::string& key, Call call,
                 const std::optional<std::string>& value, uint64_t expires_us);
  void Stored(Near& near, const std::string& key, const cache::WriteReply* reply,
              std::optional<std::string> value, uint64_t expires_us);
  void Release(Near& near, uint64_t session, const std::string& key, uint64_t number);
  void SendWriteBack(Near& near, const std::string& key, cache::Mode keep);
  void WroteBack(Near& near, const std::string& key, const cache::WriteBackReply* reply);
  void Rescue(Near& near, const std::string& key);
  // Nobody else may read or write what this one reads, if one of the two may write.
  void CheckAlone(const Near& near, const std::string& key) const;

  // --- Messages
  template <class Message>
  static std::optional<Message> ParsedOrNot(const std::string* bytes) {
    Message message;
    if (bytes == nullptr || !message.ParseFromString(*bytes)) return std::nullopt;
    return message;
  }
  template <class Request>
  static std::shared_ptr<google::protobuf::Message> Shared(Request request) {
    return std::make_shared<Request>(std::move(request));
  }
  void Send(Near& near, Call call);
  void Try(Near& near, const std::shared_ptr<Call>& call);
  void Hear(Near& near, const std::shared_ptr<Call>& call, const std::string& key,
            uint64_t tried_us, LogIndex after, const node::Reply& reply);

  World& world_;
  Cluster& cluster_;
  Checker& checker_;
  std::vector<std::unique_ptr<Near>> nears_;
  // Events and replies that outlive this find it gone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool finishing_ = false;
  uint64_t keys_ = 0;
  uint64_t values_ = 0;
};

}  // namespace holdfast::sim
