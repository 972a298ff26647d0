// How messages move: into the lanes of the groups, out to consumers, back, and away.
//
//            Add                    Take                 Done
//   (lane idle) --> ready ----------------> out ----------------> the lane's next message
//        |            ^ ^                    |
//        | delay      | | time is over, nack | nack with delay     max_deliveries reached:
//        v            | +--------------------+--------+            Add to the dead-letter queue,
//     delayed --------+                               v            then as Done
//        ^   its time has come                     delayed
//
// Only the head of a lane has a state, so a lane is in order whatever happens to its messages.
// Made for one write, on the apply thread. Finish writes the counters that nearly every step
// changes, each once, and tells those who wait: until then they are to be asked for here.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/queues/tables.h"
#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/state_machine/service.h"

namespace holdfast::queues {

using state_machine::LeaseTime;
using state_machine::WriteContext;

// What has an order: a key, or one message without a key.
std::string LaneOf(const std::string& key, Sequence sequence);
bool HasKey(const std::string& lane);

// Whom a reader of a group, or of one partition of a partitioned group, waits for.
std::string TopicOf(const QueueRow& queue, GroupNumber group, uint64_t place);
// Whoever waits at the group is to look again: it, or all of its queue, goes.
void WakeAll(const QueueRow& queue, const GroupEntry& group, WriteContext& context);

// Keys of timers begin with a letter that says what is due.
namespace timer {
inline constexpr char kHead = 'L';    // HeadKey: a delay or a delivery ends.
inline constexpr char kId = 'I';      // IdKey: a message id may be forgotten.
inline constexpr char kGroup = 'G';   // GroupSweep: the claims of a deleted group.
inline constexpr char kRefile = 'R';  // ReadyKey: keys that are placed elsewhere after a growth.
inline constexpr char kTrash = 'T';   // MessageKey: what has a number that no queue has.
}  // namespace timer
// Queue number, group, where to go on, the last message that it had a claim on.
using GroupSweep = std::tuple<QueueNumber, GroupNumber, Sequence, Sequence>;

template <class Key>
std::string TimerKey(char kind, const Key& key) {
  std::string bytes(1, kind);
  store::EncodeKey(key, &bytes);
  return bytes;
}

// Rows of a table that are changed again and again, and written once.
template <class Table, class Key, class Row>
class Kept {
 public:
  explicit Kept(Table& table) : table_(table) {}

  // As it is by now; nullptr when there is none. Valid until the next call.
  const Row* Find(const Key& key) {
    const auto it = changed_.find(key);
    return it == changed_.end() ? table_.Find(key) : &it->second;
  }
  // To be changed; a new one when there is none. Valid until Write.
  Row& Change(const Key& key) {
    const auto [it, is_new] = changed_.try_emplace(key);
    if (is_new) {
      if (const Row* row = table_.Find(key)) it->second = *row;
    }
    return it->second;
  }
  // To be changed; it is there.
  Row& ChangeKnown(const Key& key) {
    HOLDFAST_CHECK(Find(key) != nullptr, "queues: missing " + table_.name());
    return Change(key);
  }
  // `write(key, row)` for each that was changed, in order of key.
  template <class WriteRow>
  void Write(WriteRow write) {
    for (auto& [key, row] : changed_) write(key, std::move(row));
    changed_.clear();
  }
  void Write() {
    Write([this](const Key& key, Row row) { table_.Put(key, std::move(row)); });
  }

 private:
  Table& table_;
  std::map<Key, Row> changed_;
};

// What an entry has moved of dead letters: into their queues, and back. It bounds what one entry
// writes beside what it carries. Known on the apply thread only; nothing of it is stored.
class Moved {
 public:
  // Whether the entry may move one more; the last of them goes past the bound.
  bool HasRoom(LogIndex entry) const {
    return entry != entry_ || bytes_ < bounds::kQueueMovedBytesPerEntry;
  }
  void Count(LogIndex entry, size_t bytes) {
    bytes_ = (entry == entry_ ? bytes_ : 0) + bytes;
    entry_ = entry;
  }

 private:
  LogIndex entry_;
  size_t bytes_ = 0;
};

class Delivery {
 public:
  Delivery(Tables& tables, Moved& moved, WriteContext& context)
      : tables_(tables),
        moved_(moved),
        context_(context),
        levels_(tables.levels),
        groups_(tables.groups),
        places_(tables.places),
        counts_(tables.counts) {}

  int64_t now_us() const { return context_.now().us; }
  // Of a queue that there is; valid until the next call.
  const LevelRow& Level(QueueNumber queue) { return *levels_.Find(queue); }
  // When a delivery ends that begins now and lasts for so long: no failover shortens it.
  LeaseTime After(int64_t us) const { return {context_.lease_now().us + us}; }

  struct Added {
    Sequence sequence = 0;
    uint32_t partition = 0;
  };
  // Puts a message into the queue; fills in what the row leaves open (partition).
  Added Add(const QueueRow& queue, MessageRow message, BodyRow body);

  struct Taken {
    std::string lane;
    HeadRow head;
    MessageRow message;
    BodyRow body;
    std::optional<OriginRow> origin;  // Of a dead letter.
  };
  struct Pull {
    uint64_t place = 0;
    size_t messages_max = 0;
    size_t bytes_max = 0;  // The first message is taken whatever its size.
    LeaseTime until;       // When the deliveries end.
    std::string consumer;
  };
  // Delivers what is ready, first come first served.
  std::vector<Taken> Take(const QueueRow& queue, const GroupEntry& group, const Pull& pull);

  // The group is done with the head of a lane, which is `head` now.
  void Done(const QueueRow& queue, const GroupEntry& group, const std::string& lane,
            const HeadRow& head);
  // A delivery has failed: the message comes again, not before so long, or is a dead letter (true),
  // which moves with a later entry when this one has moved enough.
  bool Fail(const QueueRow& queue, const GroupEntry& group, const std::string& lane, HeadRow head,
            const std::string& error, uint64_t delay_ms);
  // A delivery ends later than it would have.
  void Extend(QueueNumber queue, GroupNumber group, const std::string& lane, HeadRow head,
              LeaseTime until);
  // The log time at which the head, which is delayed or out, is to be looked at.
  static LogTime DueOf(const HeadRow& head, const WriteContext& context);
  // The time of a delayed or delivered head is over, if it is.
  void Expire(const HeadKey& key);

  // What is ready and filed under another partition than its own is filed anew; `from` is where to
  // begin. Looks at so many; where to go on, if there is more.
  std::optional<ReadyKey> Refile(const QueueRow& queue, const GroupEntry& group,
                                 const ReadyKey& from, size_t count);
  // Gives up the claim of a deleted group on one message, if it has one.
  void GiveUp(const QueueRow& queue, GroupNumber group, Sequence sequence,
              const MessageRow& message, Sequence last);
  // Takes a ready lane to the back of the line.
  void Requeue(const QueueRow& queue, const GroupEntry& group, const std::string& lane);
  // The first ready lane of a place behind this order.
  struct InLine {
    uint64_t order = 0;
    std::string lane;
  };
  std::optional<InLine> NextReady(QueueNumber queue, GroupNumber group, uint64_t place,
                                  uint64_t after);
  // Whether this entry may move a dead letter.
  bool HasRoom() const { return moved_.HasRoom(context_.index()); }
  // Publishes a dead letter, the head of a lane, where it came from; it is done with here.
  void SendBack(const QueueRow& queue, const GroupEntry& group, const std::string& lane,
                const HeadRow& head, const QueueRow& target, OriginRow origin);

  void Finish();

 private:
  void Claim(const QueueRow& queue, const GroupEntry& group, const std::string& lane,
             Sequence sequence, const MessageRow& message);
  void NewHead(const QueueRow& queue, const GroupEntry& group, const std::string& lane,
               Sequence sequence, int64_t due_us);
  // Into a state, and out of it; the caller puts the row.
  void Ready(const QueueRow& queue, const GroupEntry& group, const std::string& lane,
             HeadRow* head);
  void Delay(QueueNumber queue, GroupNumber group, const std::string& lane, HeadRow* head,
             int64_t until_us);
  void Leave(QueueNumber queue, GroupNumber group, const std::string& lane, const HeadRow& head);
  // To the next message of the lane up to `last`.
  void Advance(const QueueRow& queue, const GroupEntry& group, const std::string& lane,
               Sequence after, Sequence last);
  std::optional<Sequence> NextOf(QueueNumber queue, GroupNumber group, const std::string& lane,
                                 Sequence after);
  void Release(QueueNumber queue, GroupNumber group, Sequence sequence);
  void Remove(QueueNumber queue, Sequence sequence, const MessageRow& message);
  void Record(QueueNumber queue, GroupNumber group, const HeadRow& head, const std::string& error);
  // Its last delivery has failed: into the dead-letter queue, and Done.
  void Bury(const QueueRow& queue, const GroupEntry& group, const std::string& lane,
            const HeadRow& head);

  GroupRow& GroupOf(QueueNumber queue, GroupNumber group) {
    return groups_.ChangeKnown({queue, group});
  }

  Tables& tables_;
  Moved& moved_;
  WriteContext& context_;
  Kept<decltype(Tables::levels), QueueNumber, LevelRow> levels_;
  Kept<decltype(Tables::groups), GroupKey, GroupRow> groups_;
  Kept<decltype(Tables::places), PlaceKey, PlaceRow> places_;
  Kept<decltype(Tables::counts), std::tuple<QueueNumber, uint64_t>, CountRow> counts_;
  std::map<std::string, uint32_t> touched_;  // Topic -> lanes that became ready.
};

}  // namespace holdfast::queues
