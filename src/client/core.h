// The client behind client.h: calls under way, a pipe to each node, retries and time. Internal to
// the client.
//
// A call is an Operation. It is in exactly one place at a time: waiting for an endpoint's pipe to
// come up, queued for a pipe, sent on it, or pausing before it is tried again; whoever takes it
// from there under the mutex decides what becomes of it. So it ends once, however reply, loss, time
// and cancellation race. Its function is called without the mutex.
//
// A pipe has no queue of its own: it asks for its next message when it can write one, and only then
// are requests encoded. So a call that ends before that leaves nothing behind, and was certainly
// not done; and what the client holds is its calls, which are bounded, and one message for each
// pipe.
//
// Threads: the callers', gRPC's, and one that waits for the next deadline.
#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>
#include <absl/container/flat_hash_map.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/pipe.pb.h"
#include "src/client/client.h"
#include "src/client/pipe.h"

namespace holdfast::client {

class Core : public Pipe::Events {
 public:
  Core(std::vector<std::string> endpoints, Options options);
  // Ends every call as a cancelled one, and every one that begins from here on at once, and waits
  // until all pipes are closed. The last thing that is asked of it.
  void Close();

  // Returns the call's number for Cancel.
  uint64_t Begin(const std::string& method, std::string request, const CallOptions& options,
                 Done done);
  void Cancel(uint64_t number);
  LogIndex position() const { return LogIndex(position_.load(std::memory_order_relaxed)); }

  bool OnMessage(Pipe& pipe, const grpc::ByteBuffer& message) override;
  std::string NextMessage(Pipe& pipe) override;
  void OnDown(Pipe& pipe, const grpc::Status& status) override;
  void OnGone() override;

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Why attempts failed, for when the time is up. What a node answered says more than that another
  // one cannot be reached, so it stays until a node says something newer.
  struct Finding {
    Error error;
    bool of_node = false;

    void Note(const Error& found, bool found_of_node) {
      if (found_of_node || !of_node) *this = {found, found_of_node};
    }
  };

  struct Operation {
    enum class Place { kConnecting, kQueued, kSent, kPausing };
    enum class Route { kNear, kLeader };

    uint64_t number = 0;
    PipeRequest request;  // As it is sent, but for id and timeout.
    Route route = Route::kNear;
    bool write = false;
    bool repeatable = false;  // Doing it twice is doing it once.
    bool maybe_done = false;  // A write that was sent, with an outcome that nobody knows.
    TimePoint deadline;
    TimePoint last_attempt;  // Later than this none begins: what is left is for answers to arrive.
    Done done;

    Place place = Place::kPausing;
    size_t endpoint = 0;
    size_t tried = 0;
    uint64_t sent_id = 0;  // From the queue on.
    TimePoint sent_at;
    TimePoint due;  // When time decides; in timers_ under it.
    std::chrono::milliseconds next_pause{0};
    Finding not_done;  // Of the attempts after which certainly nothing was done ...
    Finding unsure;    // ... and of those after which nobody knows.
  };

  // How an attempt ended other than with a reply.
  enum class End {
    kRefused,    // A definitive answer; no other node would say otherwise.
    kNotDone,    // Certainly nothing was done; may be tried again.
    kMaybeDone,  // Nobody knows.
  };

  // One node's address, and the pipe to it.
  struct Endpoint {
    std::string address;
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<grpc::GenericStub> stub;
    NodeId node;                 // Who answered there last; 0: nobody yet.
    std::shared_ptr<Pipe> pipe;  // Null when there is none, not even one coming up.
    bool up = false;             // The first message has come.
    bool closing = false;        // The node is going down: nothing new goes there.
    bool silent = false;         // It let the time of a call pass without a sign of life.
    TimePoint opened_at;
    TimePoint heard_at;
    // When to look whether it still speaks; see Watch. Max: no call is on it.
    TimePoint watch_at = TimePoint::max();
    std::chrono::steady_clock::duration patience{0};
    bool ping = false;    // A sign of life is to be asked for ...
    TimePoint pinged_at;  // ... and was; later than heard_at: it has given none.
    std::vector<Operation*> connecting;
    absl::btree_map<uint64_t, Operation*> queued;  // Up, and not sent yet: in order.
    absl::flat_hash_map<uint64_t, Operation*> sent;
    // Were sent, and their ends are to be told. Each was in `sent` when the write under way began,
    // or is in its message: no more than there may be calls and a message's.
    std::vector<uint64_t> cancelled;

    bool usable() const { return up && !closing && !silent; }
  };

  // The mutex, held; and what is to be done once it is let go.
  class Turn;

  uint64_t NewNumber() { return ++last_number_; }
  size_t Choose(const Operation& operation) const;
  std::optional<size_t> LeaderEndpoint() const;
  void LookForLeader(Turn& turn);
  void OpenPipe(Turn& turn, Endpoint& endpoint);
  void Attempt(Turn& turn, Operation& operation, size_t endpoint);
  void Queue(Turn& turn, Operation& operation, Endpoint& endpoint);
  std::chrono::milliseconds TimeForNode(const Operation& operation, TimePoint now) const;
  // `of_node`: the node said so, and not the lack of its answer.
  void AttemptEnded(Turn& turn, Operation& operation, End end, Error error, bool of_node = false);
  void Finish(Turn& turn, Operation& operation, Result<Reply> result);
  void FailFor(Turn& turn, Operation& operation, Error why);
  void TakeReply(Turn& turn, Endpoint& endpoint, PipeReply& reply);
  void SetTimer(Operation& operation, TimePoint due);
  void TimeIsUp(Turn& turn, Operation& operation, TimePoint now);
  static Error NoAnswer(const Endpoint& endpoint);
  void SetWatch(Endpoint& endpoint, TimePoint at);
  void Watch(Turn& turn, Endpoint& endpoint, TimePoint now);
  void HeardAfterAll(Endpoint& endpoint);
  void LeaveSilent(Turn& turn, Endpoint& endpoint);
  // Takes the operation from where it is.
  void TakeOut(Turn& turn, Operation& operation);
  void NotePosition(uint64_t position);
  void RunTimers();

  const Options options_;
  std::atomic<uint64_t> position_{0};
  const std::string key_prefix_;  // 128 random bits; with the call's number, unique for ever.

  std::mutex mutex_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Operation>> operations_;
  size_t bytes_ = 0;  // Of all operations.
  uint64_t last_number_ = 0;
  size_t near_ = 0;  // The endpoint that answered last of those that were not asked as leader.
  NodeId leader_;    // As the message with the highest term said; 0: nobody.
  Term leader_term_;
  size_t pipes_ = 0;  // Not gone yet.
  std::condition_variable all_gone_;
  std::minstd_rand random_;

  absl::btree_set<std::pair<TimePoint, Operation*>> timers_;
  TimePoint timer_wakes_at_ = TimePoint::min();  // Before now: it is awake.
  std::condition_variable timers_changed_;
  bool stopping_ = false;  // Nothing begins any more: no call, no pipe, no thread.
  std::thread timer_;      // Begins with the first call.
};

}  // namespace holdfast::client
