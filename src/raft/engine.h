// Raft as a pure function: one event in, effects out. No I/O, no clock, no threads, and no type of
// the library that does the work, so that it can be replaced behind this interface.
#pragma once

#include <memory>
#include <vector>

#include "src/raft/message.h"
#include "src/wal/log.h"

namespace holdfast::raft {

struct Outgoing {
  NodeId to;
  Message message;
  // Of an AppendEntries: how many entries from prev_index + 1 on the sender fills in from its log.
  uint32_t entry_count = 0;
};

// What must be done after an event, in this order: hard state (durable before all else), entries,
// messages. commit(), role(), timeout() of the engine may have changed with any event.
struct Effects {
  bool hard_state_changed = false;
  wal::HardState hard_state;
  LogIndex first;                   // Of `entries`: what the log holds from here on is dropped.
  std::vector<wal::Entry> entries;  // Empty: nothing to append.
  std::vector<Outgoing> messages;
};

struct EngineOptions {
  NodeId id;
  uint32_t election_timeout_ms = 400;  // Randomised from 1x to 2x.
  uint32_t heartbeat_ms = 80;          // Above round trip plus fsync tail, well below the former.
  // To one follower. So many of the greatest size stay below the peer link's queue
  // (kPeerQueueBytesMax): catching up must not break the link that it needs.
  uint32_t entries_in_flight_max = 48;
  uint32_t seed = 1;  // Of the election timeout's randomness.
};

// Not thread-safe, not reentrant. `now_ms` is monotonic. An internal error stops the node.
class Engine {
 public:
  virtual ~Engine() = default;

  // Once, first: what survived on disk. The log begins at most one entry behind the snapshot.
  virtual Effects Start(uint64_t now_ms, const wal::HardState& state, const wal::Log& log,
                        const Snapshot& snapshot) = 0;
  virtual Effects Receive(uint64_t now_ms, NodeId from, const Message& message) = 0;
  // Entries up to `index` are durable here. Only ever above the last such index.
  virtual Effects Persisted(uint64_t now_ms, LogIndex index) = 0;
  // At timeout() or later, never before.
  virtual Effects Tick(uint64_t now_ms) = 0;
  // As Tick, though the time has not come: stands for election, by a pre-vote first. Not as
  // leader; and nothing happens within 2 ms of the last message of one.
  virtual Effects Stand(uint64_t now_ms) = 0;
  // False when this server is not (or no longer) the leader: nothing happened.
  virtual bool Submit(uint64_t now_ms, std::vector<wal::Entry> entries, Effects* effects) = 0;
  // Hands leadership to `to`. False when that is not possible now: nothing happened.
  virtual bool Transfer(uint64_t now_ms, NodeId to, Effects* effects) = 0;
  // The committed configuration entry at `index` has been seen by the driver.
  virtual Effects ConfigurationCommitted(uint64_t now_ms, LogIndex index,
                                         const Membership& membership) = 0;

  // A checkpoint up to `index` is durable; entries below `keep_from`, which is not above `index`,
  // will be gone from the log. What others lack of them they need a snapshot for.
  virtual Effects Snapshotted(uint64_t now_ms, LogIndex index, LogIndex keep_from) = 0;

  virtual Role role() const = 0;
  virtual Term term() const = 0;
  virtual NodeId leader() const = 0;  // As far as known; 0: none.
  virtual LogIndex commit() const = 0;
  virtual LogIndex last_stored() const = 0;
  virtual uint64_t timeout_ms() const = 0;  // When Tick is due.
};

std::unique_ptr<Engine> NewLibraftEngine(const EngineOptions& options, Membership membership);

}  // namespace holdfast::raft
