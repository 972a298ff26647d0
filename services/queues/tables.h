// The rows of the queues and the tables that hold them (docs/formats/store.md). Fields are appended
// to, never reordered or removed: rows outlive the build that wrote them.
//
// A *lane* is what has an order: all messages of one key, or one message without a key. A group
// works through a lane strictly one message after the other, so what it has done of a lane is all
// that comes before its *head*, the one message of the lane that waits, is delayed or is out.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "src/store/table.h"

namespace holdfast::queues {

// A queue's messages carry a number, not its name: purging gives the queue a new one, and what has
// the old number is swept away bit by bit.
using QueueNumber = uint64_t;
using GroupNumber = uint64_t;  // From 1, within a queue; never used twice.
using Sequence = uint64_t;     // From 1, within a queue, in the order of publication; never twice.
using Headers = std::map<std::string, std::string>;

inline constexpr uint64_t kOnlyRow = 0;
inline constexpr GroupNumber kAllGroups = 0;

struct GroupEntry {
  std::string name;
  GroupNumber number = 0;
  bool partitioned = false;

  bool operator==(const GroupEntry&) const = default;
  auto Fields() { return std::tie(name, number, partitioned); }
  auto Fields() const { return std::tie(name, number, partitioned); }
};

// By name. Changes only when the queue itself is changed.
struct QueueRow {
  uint64_t id = 0;  // Of the queue for ever; message ids are remembered under it.
  QueueNumber number = 0;
  uint32_t partitions = 0;
  uint32_t visibility_seconds = 0;
  uint32_t max_deliveries = 0;  // 0 without dead_letter.
  uint32_t dedup_window_seconds = 0;
  std::string dead_letter;
  uint64_t max_messages = 0;
  uint64_t max_bytes = 0;
  int64_t created_us = 0;
  uint32_t feeders = 0;  // How many queues send their dead letters here.
  GroupNumber last_group = 0;
  std::vector<GroupEntry> groups;    // In the order of creation; at least one.
  std::vector<GroupNumber> retired;  // Deleted; their claims on messages are being released.

  const GroupEntry* FindGroup(const std::string& name) const {
    for (const GroupEntry& group : groups) {
      if (group.name == name) return &group;
    }
    return nullptr;
  }

  auto Fields() {
    return std::tie(id, number, partitions, visibility_seconds, max_deliveries,
                    dedup_window_seconds, dead_letter, max_messages, max_bytes, created_us, feeders,
                    last_group, groups, retired);
  }
  auto Fields() const {
    return std::tie(id, number, partitions, visibility_seconds, max_deliveries,
                    dedup_window_seconds, dead_letter, max_messages, max_bytes, created_us, feeders,
                    last_group, groups, retired);
  }
};

// What changes with every message, by queue number.
struct LevelRow {
  Sequence last = 0;   // Given out so far.
  Sequence floor = 1;  // No message is kept below; a hint for scans, and may lag behind.
  uint64_t messages = 0;
  uint64_t bytes = 0;
  std::string name;  // Whose number this is.

  auto Fields() { return std::tie(last, floor, messages, bytes, name); }
  auto Fields() const { return std::tie(last, floor, messages, bytes, name); }
};

// Of one group of one queue number.
struct GroupRow {
  uint64_t messages = 0;  // Not done by the group.
  uint64_t ready = 0;     // Heads by state; the three add up to the lanes with a head.
  uint64_t in_flight = 0;
  uint64_t delayed = 0;
  uint64_t own = 0;  // Messages for this group alone (redriven ones).

  bool operator==(const GroupRow&) const = default;
  auto Fields() { return std::tie(messages, ready, in_flight, delayed, own); }
  auto Fields() const { return std::tie(messages, ready, in_flight, delayed, own); }
};

// What is ready of one group, or of one partition of a partitioned group: first come, first served.
struct PlaceRow {
  uint64_t next = 1;   // The order of the next lane that becomes ready.
  uint64_t first = 1;  // No lane is ready with a lower order: where a scan begins.
  uint64_t ready = 0;

  auto Fields() { return std::tie(next, first, ready); }
  auto Fields() const { return std::tie(next, first, ready); }
};

// A message without what it carries. Never changes.
struct MessageRow {
  std::string key;
  std::string message_id;
  int64_t published_us = 0;
  int64_t due_us = 0;             // Not delivered before; 0: at once.
  uint64_t bytes = 0;             // What it counts for.
  uint32_t partition = 0;         // Where its key was placed when it was published.
  GroupNumber only = kAllGroups;  // For this group alone.
  bool dead = false;              // A dead letter: it has an origin.
  bool single = false;            // Of one group's concern from the beginning: no row of claims.

  auto Fields() {
    return std::tie(key, message_id, published_us, due_us, bytes, partition, only, dead, single);
  }
  auto Fields() const {
    return std::tie(key, message_id, published_us, due_us, bytes, partition, only, dead, single);
  }
};

// What a message carries. Read by Get alone, so that no cache of rows fills up with payloads.
struct BodyRow {
  std::string payload;
  bool is_text = true;
  Headers headers;

  auto Fields() { return std::tie(payload, is_text, headers); }
  auto Fields() const { return std::tie(payload, is_text, headers); }
};

struct AttemptEntry {
  int64_t time_us = 0;
  std::string consumer;
  std::string error;
  uint32_t attempt = 0;

  auto Fields() { return std::tie(time_us, consumer, error, attempt); }
  auto Fields() const { return std::tie(time_us, consumer, error, attempt); }
};

// How a message failed with one group so far. Read by Get alone, as bodies are.
struct HistoryRow {
  std::vector<AttemptEntry> attempts;  // The last kQueueHistoryMax.

  auto Fields() { return std::tie(attempts); }
  auto Fields() const { return std::tie(attempts); }
};

// Where a dead letter was before it became one there, and so on: its way back.
struct FormerEntry {
  std::string queue;
  uint64_t queue_id = 0;
  std::string group_name;
  GroupNumber group = 0;
  Sequence sequence = 0;
  uint32_t attempts = 0;

  auto Fields() { return std::tie(queue, queue_id, group_name, group, sequence, attempts); }
  auto Fields() const { return std::tie(queue, queue_id, group_name, group, sequence, attempts); }
};

// Of a dead letter: where it comes from. Read by Get alone, as bodies are.
struct OriginRow {
  std::string queue;
  uint64_t queue_id = 0;
  std::string group_name;
  GroupNumber group = 0;
  Sequence sequence = 0;
  int64_t published_us = 0;
  uint32_t attempts = 0;
  std::vector<AttemptEntry> history;
  // If it was a dead letter already: the last kQueueOriginsMax, the latest last.
  std::vector<FormerEntry> former;

  auto Fields() {
    return std::tie(queue, queue_id, group_name, group, sequence, published_us, attempts, history,
                    former);
  }
  auto Fields() const {
    return std::tie(queue, queue_id, group_name, group, sequence, published_us, attempts, history,
                    former);
  }
};

enum class HeadState : uint8_t { kReady = 1, kDelayed = 2, kOut = 3 };

// The message of a lane that a group is at.
struct HeadRow {
  Sequence sequence = 0;
  HeadState state = HeadState::kReady;
  uint32_t attempt = 0;  // Deliveries so far.
  uint64_t place = 0;    // Ready: where in the index; a partition, or 0.
  uint64_t order = 0;
  // Delayed: until when. Out: when the delivery ends, by lease time (state_machine/lease.h).
  int64_t at_us = 0;
  int64_t taken_us = 0;  // Out: since when.
  std::string consumer;  // Out: who has it.

  // Whether an earlier attempt has failed.
  bool has_history() const { return attempt > (state == HeadState::kOut ? 1u : 0u); }

  auto Fields() {
    return std::tie(sequence, state, attempt, place, order, at_us, taken_us, consumer);
  }
  auto Fields() const {
    return std::tie(sequence, state, attempt, place, order, at_us, taken_us, consumer);
  }
};

struct ReadyRow {
  std::string lane;
  auto Fields() { return std::tie(lane); }
  auto Fields() const { return std::tie(lane); }
};

struct LaneRow {
  auto Fields() { return std::tie(); }
  auto Fields() const { return std::tie(); }
};

// How many groups have still to be done with a message. Without a row: one.
struct ClaimsRow {
  uint32_t left = 0;
  auto Fields() { return std::tie(left); }
  auto Fields() const { return std::tie(left); }
};

// A message id within its window: what was published under it, as hashes.
struct IdRow {
  Sequence sequence = 0;
  int64_t published_us = 0;
  int64_t expires_us = 0;
  uint64_t delay_ms = 0;
  uint64_t key_hash = 0;
  uint64_t payload_hash = 0;
  uint64_t headers_hash = 0;
  bool is_text = true;

  auto Fields() {
    return std::tie(sequence, published_us, expires_us, delay_ms, key_hash, payload_hash,
                    headers_hash, is_text);
  }
  auto Fields() const {
    return std::tie(sequence, published_us, expires_us, delay_ms, key_hash, payload_hash,
                    headers_hash, is_text);
  }
};

struct CountRow {
  uint64_t messages = 0;
  auto Fields() { return std::tie(messages); }
  auto Fields() const { return std::tie(messages); }
};

// The numbers given out so far, and how many queues there are.
struct MetaRow {
  uint64_t last_id = 0;
  uint64_t last_number = 0;
  uint64_t queues = 0;
  auto Fields() { return std::tie(last_id, last_number, queues); }
  auto Fields() const { return std::tie(last_id, last_number, queues); }
};

// A number whose messages are being swept away.
struct TrashRow {
  std::vector<GroupNumber> groups;  // Those that had claims.
  auto Fields() { return std::tie(groups); }
  auto Fields() const { return std::tie(groups); }
};

using MessageKey = std::tuple<QueueNumber, Sequence>;
using GroupKey = std::tuple<QueueNumber, GroupNumber>;
using PlaceKey = std::tuple<QueueNumber, GroupNumber, uint64_t>;
using ReadyKey = std::tuple<QueueNumber, GroupNumber, uint64_t, uint64_t>;  // Place, order.
using HeadKey = std::tuple<QueueNumber, GroupNumber, std::string>;          // Lane.
// Audience (kAllGroups, or the group that it is for), lane, sequence. Keys only: a lane without a
// key is its one message.
using LaneKey = std::tuple<QueueNumber, GroupNumber, std::string, Sequence>;
using HistoryKey = std::tuple<QueueNumber, GroupNumber, Sequence>;
using IdKey = std::tuple<uint64_t, std::string>;  // Queue id, message id.

struct Tables {
  explicit Tables(store::Store& store)
      : queues(store, {5, 1}, "queues"),
        meta(store, {5, 2}, "queues meta"),
        levels(store, {5, 3}, "queues levels"),
        groups(store, {5, 4}, "queues groups"),
        places(store, {5, 5}, "queues places"),
        messages(store, {5, 6}, "queues messages"),
        bodies(store, {5, 7}, "queues bodies"),
        lanes(store, {5, 8}, "queues lanes"),
        heads(store, {5, 9}, "queues heads"),
        ready(store, {5, 10}, "queues ready"),
        claims(store, {5, 11}, "queues claims"),
        ids(store, {5, 12}, "queues ids"),
        histories(store, {5, 13}, "queues histories"),
        origins(store, {5, 14}, "queues origins"),
        counts(store, {5, 15}, "queues counts"),
        trash(store, {5, 16}, "queues trash") {}

  store::SortedTable<std::string, QueueRow> queues;
  store::HashTable<uint64_t, MetaRow> meta;
  store::HashTable<QueueNumber, LevelRow> levels;
  store::HashTable<GroupKey, GroupRow> groups;
  store::SortedTable<PlaceKey, PlaceRow> places;
  store::SortedTable<MessageKey, MessageRow> messages;
  store::SortedTable<MessageKey, BodyRow> bodies;
  store::SortedTable<LaneKey, LaneRow> lanes;
  store::HashTable<HeadKey, HeadRow> heads;
  store::SortedTable<ReadyKey, ReadyRow> ready;
  store::HashTable<MessageKey, ClaimsRow> claims;
  store::HashTable<IdKey, IdRow> ids;
  store::SortedTable<HistoryKey, HistoryRow> histories;
  store::SortedTable<MessageKey, OriginRow> origins;
  store::SortedTable<std::tuple<QueueNumber, uint64_t>, CountRow> counts;  // By partition.
  store::SortedTable<QueueNumber, TrashRow> trash;
};

}  // namespace holdfast::queues
