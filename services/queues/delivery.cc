#include "services/queues/delivery.h"

#include <algorithm>
#include <limits>

#include "services/queues/ring.h"
#include "src/base/bounds.h"
#include "src/base/check.h"

namespace holdfast::queues {
namespace {

constexpr Sequence kNoLast = std::numeric_limits<Sequence>::max();
// Names of lanes: one begins with each.
constexpr char kKeyed = 'k';
constexpr char kAlone = '#';

const GroupEntry* GroupOfNumber(const QueueRow& queue, GroupNumber number) {
  for (const GroupEntry& group : queue.groups) {
    if (group.number == number) return &group;
  }
  return nullptr;
}

template <class Row>
Row Known(const Row* row, const char* what) {
  HOLDFAST_CHECK(row != nullptr, std::string("queues: missing ") + what);
  return *row;
}

// Whether it has failed as often as it may.
bool IsSpent(const QueueRow& queue, const HeadRow& head) {
  return queue.max_deliveries > 0 && head.attempt >= queue.max_deliveries;
}

size_t BytesOf(const OriginRow& origin) {
  size_t bytes = origin.queue.size() + origin.group_name.size();
  for (const AttemptEntry& attempt : origin.history) {
    bytes += sizeof(attempt) + attempt.consumer.size() + attempt.error.size();
  }
  return bytes;
}

}  // namespace

std::string LaneOf(const std::string& key, Sequence sequence) {
  if (!key.empty()) return kKeyed + key;
  std::string lane(1, kAlone);
  store::EncodeKey(sequence, &lane);
  return lane;
}

bool HasKey(const std::string& lane) { return lane[0] == kKeyed; }

// By what a purge leaves as it is.
std::string TopicOf(const QueueRow& queue, GroupNumber group, uint64_t place) {
  std::string topic;
  store::EncodeKey(PlaceKey(queue.id, group, place), &topic);
  return topic;
}

void WakeAll(const QueueRow& queue, const GroupEntry& group, WriteContext& context) {
  const uint64_t places = group.partitioned ? queue.partitions : 1;
  for (uint64_t place = 0; place < places; ++place) {
    context.Touch(TopicOf(queue, group.number, place));
  }
}

void Delivery::Finish() {
  levels_.Write();
  groups_.Write();
  places_.Write();
  counts_.Write([this](const auto& key, CountRow row) {
    row.messages == 0 ? tables_.counts.Erase(key) : tables_.counts.Put(key, row);
  });
  for (const auto& [topic, lanes] : touched_) context_.Touch(topic, lanes);
  touched_.clear();
}

// --- In

Delivery::Added Delivery::Add(const QueueRow& queue, MessageRow message, BodyRow body) {
  LevelRow& level = levels_.ChangeKnown(queue.number);
  const Sequence sequence = ++level.last;
  level.messages += 1;
  level.bytes += message.bytes;

  const std::string lane = LaneOf(message.key, sequence);
  message.partition = PartitionOf(lane, queue.partitions);
  message.single = message.only != kAllGroups || queue.groups.size() == 1;
  counts_.Change({queue.number, message.partition}).messages += 1;
  tables_.messages.PutNew({queue.number, sequence}, message);
  tables_.bodies.PutNew({queue.number, sequence}, std::move(body));
  if (HasKey(lane)) tables_.lanes.PutNew({queue.number, message.only, lane, sequence}, {});
  if (message.only == kAllGroups) {
    if (!message.single) {
      tables_.claims.Put({queue.number, sequence}, {static_cast<uint32_t>(queue.groups.size())});
    }
    for (const GroupEntry& group : queue.groups) Claim(queue, group, lane, sequence, message);
  } else {
    Claim(queue, *GroupOfNumber(queue, message.only), lane, sequence, message);
  }
  return {sequence, message.partition};
}

void Delivery::Claim(const QueueRow& queue, const GroupEntry& group, const std::string& lane,
                     Sequence sequence, const MessageRow& message) {
  GroupRow& row = GroupOf(queue.number, group.number);
  row.messages += 1;
  if (message.only != kAllGroups) row.own += 1;
  if (tables_.heads.Find({queue.number, group.number, lane}) != nullptr) return;  // In its turn.
  NewHead(queue, group, lane, sequence, message.due_us);
}

void Delivery::NewHead(const QueueRow& queue, const GroupEntry& group, const std::string& lane,
                       Sequence sequence, int64_t due_us) {
  HeadRow head;
  head.sequence = sequence;
  if (due_us > now_us()) {
    Delay(queue.number, group.number, lane, &head, due_us);
  } else {
    Ready(queue, group, lane, &head);
  }
  tables_.heads.Put({queue.number, group.number, lane}, std::move(head));
}

// --- States of a head

void Delivery::Ready(const QueueRow& queue, const GroupEntry& group, const std::string& lane,
                     HeadRow* head) {
  const uint64_t place = group.partitioned ? PartitionOf(lane, queue.partitions) : 0;
  const PlaceKey key{queue.number, group.number, place};
  PlaceRow& row = places_.Change(key);
  head->state = HeadState::kReady;
  head->place = place;
  head->order = row.next++;
  head->at_us = head->taken_us = 0;
  head->consumer.clear();
  row.ready += 1;
  tables_.ready.PutNew({queue.number, group.number, place, head->order}, {lane});
  GroupOf(queue.number, group.number).ready += 1;
  touched_[TopicOf(queue, group.number, place)] += 1;
}

void Delivery::Delay(QueueNumber queue, GroupNumber group, const std::string& lane, HeadRow* head,
                     int64_t until_us) {
  head->state = HeadState::kDelayed;
  head->place = head->order = 0;
  head->at_us = until_us;
  head->taken_us = 0;
  head->consumer.clear();
  context_.SetTimer(LogTime{until_us}, TimerKey(timer::kHead, HeadKey(queue, group, lane)));
  GroupOf(queue, group).delayed += 1;
}

void Delivery::Leave(QueueNumber queue, GroupNumber group, const std::string& lane,
                     const HeadRow& head) {
  GroupRow& counts = GroupOf(queue, group);
  if (head.state == HeadState::kReady) {
    PlaceRow& row = places_.Change({queue, group, head.place});
    row.ready -= 1;
    if (row.first == head.order) row.first += 1;
    tables_.ready.EraseKnown({queue, group, head.place, head.order});
    counts.ready -= 1;
  } else {
    // After a failover a delivery's timer lies earlier, and finds nothing to do.
    context_.CancelTimer(DueOf(head, context_),
                         TimerKey(timer::kHead, HeadKey(queue, group, lane)));
    (head.state == HeadState::kOut ? counts.in_flight : counts.delayed) -= 1;
  }
}

// --- Out

std::vector<Delivery::Taken> Delivery::Take(const QueueRow& queue, const GroupEntry& group,
                                            const Pull& pull) {
  std::vector<Taken> taken;
  size_t bytes = 0;
  // Keys that a growth has placed elsewhere are in the way for some time: filed anew, and looked
  // past, up to twice.
  for (int round = 0; round < 3 && taken.size() < pull.messages_max; ++round) {
    const PlaceKey place{queue.number, group.number, pull.place};
    const PlaceRow* row = places_.Find(place);
    if (row == nullptr || row->ready == 0) break;
    std::vector<std::pair<uint64_t, std::string>> found;
    tables_.ready.Scan({queue.number, group.number, pull.place, row->first},
                       [&](const ReadyKey& key, const ReadyRow& ready) {
                         if (std::get<0>(key) != queue.number || std::get<1>(key) != group.number ||
                             std::get<2>(key) != pull.place) {
                           return false;
                         }
                         found.emplace_back(std::get<3>(key), ready.lane);
                         return taken.size() + found.size() < pull.messages_max;
                       });
    for (auto& [order, lane] : found) {
      Taken next;
      next.head = Known(tables_.heads.Find({queue.number, group.number, lane}), "head");
      const MessageKey key{queue.number, next.head.sequence};
      const bool elsewhere = group.partitioned && PartitionOf(lane, queue.partitions) != pull.place;
      if (!elsewhere) {
        next.message = Known(tables_.messages.Find(key), "message");
        bytes += next.message.bytes;
        if (next.message.dead) {
          next.origin = tables_.origins.Get(key);
          bytes += BytesOf(*next.origin);
        }
        if (!taken.empty() && bytes > pull.bytes_max) return taken;
        next.body = *tables_.bodies.Get(key);
      }
      // Nothing before it is left: the scan began at the first.
      places_.Change(place).first = order;
      Leave(queue.number, group.number, lane, next.head);
      if (elsewhere) {
        Ready(queue, group, lane, &next.head);
        tables_.heads.Put({queue.number, group.number, lane}, next.head);
        continue;
      }
      next.head.state = HeadState::kOut;
      next.head.attempt += 1;
      next.head.place = next.head.order = 0;
      next.head.at_us = pull.until.us;
      next.head.taken_us = now_us();
      next.head.consumer = pull.consumer;
      context_.SetLeaseTimer(pull.until,
                             TimerKey(timer::kHead, HeadKey(queue.number, group.number, lane)));
      GroupOf(queue.number, group.number).in_flight += 1;
      tables_.heads.Put({queue.number, group.number, lane}, next.head);
      next.lane = std::move(lane);
      taken.push_back(std::move(next));
    }
  }
  return taken;
}

void Delivery::Extend(QueueNumber queue, GroupNumber group, const std::string& lane, HeadRow head,
                      LeaseTime until) {
  const std::string key = TimerKey(timer::kHead, HeadKey(queue, group, lane));
  context_.CancelTimer(DueOf(head, context_), key);
  context_.SetLeaseTimer(until, key);
  head.at_us = until.us;
  tables_.heads.Put({queue, group, lane}, std::move(head));
}

LogTime Delivery::DueOf(const HeadRow& head, const WriteContext& context) {
  if (head.state != HeadState::kOut) return LogTime{head.at_us};
  return LogTime{context.now().us + head.at_us - context.lease_now().us};
}

void Delivery::Expire(const HeadKey& key) {
  const auto& [number, group_number, lane] = key;
  const HeadRow* found = tables_.heads.Find(key);
  if (found == nullptr || found->state == HeadState::kReady) return;
  if (DueOf(*found, context_) > context_.now()) {
    // A delivery lasts longer, by what passed without a leader.
    if (found->state == HeadState::kOut) {
      context_.SetLeaseTimer(LeaseTime{found->at_us}, TimerKey(timer::kHead, key));
    }
    return;
  }
  HeadRow head = *found;
  const LevelRow* level = tables_.levels.Find(number);
  const QueueRow* row = level == nullptr ? nullptr : tables_.queues.Find(level->name);
  if (row == nullptr || row->number != number) return;  // Swept soon.
  const QueueRow queue = *row;
  const GroupEntry* group = GroupOfNumber(queue, group_number);
  if (group == nullptr) return;  // Likewise.
  if (head.state == HeadState::kOut) {
    Fail(queue, *group, lane, std::move(head), "its time was over", 0);
  } else if (IsSpent(queue, head)) {
    if (HasRoom()) {
      Bury(queue, *group, lane, head);
    } else {
      context_.SetTimer(context_.now(), TimerKey(timer::kHead, key));
    }
  } else {
    Leave(number, group_number, lane, head);
    Ready(queue, *group, lane, &head);
    tables_.heads.Put(key, std::move(head));
  }
}

// --- Back

bool Delivery::Fail(const QueueRow& queue, const GroupEntry& group, const std::string& lane,
                    HeadRow head, const std::string& error, uint64_t delay_ms) {
  Record(queue.number, group.number, head, error);
  const bool is_spent = IsSpent(queue, head);
  if (is_spent && HasRoom()) {
    Bury(queue, group, lane, head);
    return true;
  }
  Leave(queue.number, group.number, lane, head);
  if (is_spent) {
    Delay(queue.number, group.number, lane, &head, now_us());  // Until the next entry.
  } else if (delay_ms > 0) {
    Delay(queue.number, group.number, lane, &head,
          now_us() + static_cast<int64_t>(delay_ms) * 1'000);
  } else {
    Ready(queue, group, lane, &head);
  }
  tables_.heads.Put({queue.number, group.number, lane}, std::move(head));
  return is_spent;
}

void Delivery::Record(QueueNumber queue, GroupNumber group, const HeadRow& head,
                      const std::string& error) {
  const HistoryKey key{queue, group, head.sequence};
  HistoryRow history;
  if (head.has_history()) history = *tables_.histories.Get(key);
  if (history.attempts.size() == bounds::kQueueHistoryMax) {
    history.attempts.erase(history.attempts.begin());
  }
  history.attempts.push_back({head.taken_us, head.consumer, error, head.attempt});
  tables_.histories.Put(key, std::move(history));
}

void Delivery::Bury(const QueueRow& queue, const GroupEntry& group, const std::string& lane,
                    const HeadRow& head) {
  const MessageKey key{queue.number, head.sequence};
  MessageRow message = Known(tables_.messages.Find(key), "message");
  BodyRow body = *tables_.bodies.Get(key);
  const QueueRow target = Known(tables_.queues.Find(queue.dead_letter), "dead-letter queue");
  OriginRow origin;
  origin.queue = tables_.levels.Find(queue.number)->name;
  origin.queue_id = queue.id;
  origin.group_name = group.name;
  origin.group = group.number;
  origin.sequence = head.sequence;
  origin.published_us = message.published_us;
  origin.attempts = head.attempt;
  const HistoryKey history{queue.number, group.number, head.sequence};
  origin.history = tables_.histories.Get(history)->attempts;
  if (message.dead) {  // For the second time: it is to find back all of its way.
    const OriginRow before = *tables_.origins.Get(key);
    origin.former = before.former;
    origin.former.push_back({before.queue, before.queue_id, before.group_name, before.group,
                             before.sequence, before.attempts});
    if (origin.former.size() > bounds::kQueueOriginsMax) origin.former.erase(origin.former.begin());
  }
  moved_.Count(context_.index(), message.bytes + BytesOf(origin));
  message.due_us = 0;
  message.only = kAllGroups;
  message.dead = true;
  // Past the bounds of the target as well: it is kept already, and must not be lost.
  const Sequence sequence = Add(target, std::move(message), std::move(body)).sequence;
  tables_.origins.PutNew({target.number, sequence}, std::move(origin));
  tables_.histories.Erase(history);
  Done(queue, group, lane, head);
}

void Delivery::SendBack(const QueueRow& queue, const GroupEntry& group, const std::string& lane,
                        const HeadRow& head, const QueueRow& target, OriginRow origin) {
  const MessageKey key{queue.number, head.sequence};
  MessageRow message = Known(tables_.messages.Find(key), "message");
  message.only = origin.group;
  message.published_us = origin.published_us;
  message.dead = !origin.former.empty();
  moved_.Count(context_.index(), message.bytes + BytesOf(origin));
  // As with dead letters: what is kept must not be lost for the bounds of the target.
  const Sequence sequence = Add(target, std::move(message), *tables_.bodies.Get(key)).sequence;
  if (!origin.former.empty()) {  // A dead letter there as well, of where it was before.
    const FormerEntry before = origin.former.back();
    origin.former.pop_back();
    tables_.origins.PutNew({target.number, sequence}, {before.queue,
                                                       before.queue_id,
                                                       before.group_name,
                                                       before.group,
                                                       before.sequence,
                                                       origin.published_us,
                                                       before.attempts,
                                                       {},
                                                       origin.former});
  }
  Done(queue, group, lane, head);
}

void Delivery::Requeue(const QueueRow& queue, const GroupEntry& group, const std::string& lane) {
  const HeadKey key{queue.number, group.number, lane};
  HeadRow head = Known(tables_.heads.Find(key), "head");
  Leave(queue.number, group.number, lane, head);
  Ready(queue, group, lane, &head);
  tables_.heads.Put(key, std::move(head));
}

std::optional<Delivery::InLine> Delivery::NextReady(QueueNumber queue, GroupNumber group,
                                                    uint64_t place, uint64_t after) {
  std::optional<InLine> next;
  const PlaceRow* row = places_.Find({queue, group, place});
  if (row == nullptr || row->ready == 0) return next;
  tables_.ready.Scan(
      {queue, group, place, std::max(row->first, after + 1)},
      [&](const ReadyKey& key, const ReadyRow& ready) {
        if (std::get<0>(key) == queue && std::get<1>(key) == group && std::get<2>(key) == place) {
          next = InLine{std::get<3>(key), ready.lane};
        }
        return false;
      });
  return next;
}

std::optional<ReadyKey> Delivery::Refile(const QueueRow& queue, const GroupEntry& group,
                                         const ReadyKey& from, size_t count) {
  std::vector<std::pair<ReadyKey, std::string>> found;
  std::optional<ReadyKey> next;
  tables_.ready.Scan(from, [&](const ReadyKey& key, const ReadyRow& ready) {
    if (std::get<0>(key) != queue.number || std::get<1>(key) != group.number) return false;
    if (found.size() == count) {
      next = key;
      return false;
    }
    found.emplace_back(key, ready.lane);
    return true;
  });
  for (const auto& [key, lane] : found) {
    if (PartitionOf(lane, queue.partitions) != std::get<2>(key)) Requeue(queue, group, lane);
  }
  return next;
}

// --- Away

void Delivery::Done(const QueueRow& queue, const GroupEntry& group, const std::string& lane,
                    const HeadRow& head) {
  Leave(queue.number, group.number, lane, head);
  if (head.has_history()) {
    tables_.histories.Erase({queue.number, group.number, head.sequence});
  }
  Advance(queue, group, lane, head.sequence, kNoLast);
  Release(queue.number, group.number, head.sequence);
}

void Delivery::GiveUp(const QueueRow& queue, GroupNumber group, Sequence sequence,
                      const MessageRow& message, Sequence last) {
  const std::string lane = LaneOf(message.key, sequence);
  const HeadRow* found = tables_.heads.Find({queue.number, group, lane});
  if (found == nullptr || found->sequence != sequence) return;  // Done before, or not for it.
  const HeadRow head = *found;
  Leave(queue.number, group, lane, head);
  if (head.has_history()) tables_.histories.Erase({queue.number, group, sequence});
  Advance(queue, GroupEntry{"", group, false}, lane, sequence, last);
  Release(queue.number, group, sequence);
}

void Delivery::Advance(const QueueRow& queue, const GroupEntry& group, const std::string& lane,
                       Sequence after, Sequence last) {
  const auto next = NextOf(queue.number, group.number, lane, after);
  if (!next || *next > last) {
    tables_.heads.EraseKnown({queue.number, group.number, lane});
    return;
  }
  const int64_t due_us = Known(tables_.messages.Find({queue.number, *next}), "message").due_us;
  NewHead(queue, group, lane, *next, due_us);
}

std::optional<Sequence> Delivery::NextOf(QueueNumber queue, GroupNumber group,
                                         const std::string& lane, Sequence after) {
  std::optional<Sequence> next;
  if (!HasKey(lane)) return next;
  const auto look = [&](GroupNumber audience) {
    tables_.lanes.Scan({queue, audience, lane, after + 1}, [&](const LaneKey& key, const LaneRow&) {
      if (std::get<0>(key) == queue && std::get<1>(key) == audience && std::get<2>(key) == lane) {
        next = std::min(next.value_or(kNoLast), std::get<3>(key));
      }
      return false;
    });
  };
  look(kAllGroups);
  if (GroupOf(queue, group).own > 0) look(group);
  return next;
}

void Delivery::Release(QueueNumber queue, GroupNumber group, Sequence sequence) {
  const MessageRow message = Known(tables_.messages.Find({queue, sequence}), "message");
  GroupRow& counts = GroupOf(queue, group);
  counts.messages -= 1;
  if (message.only != kAllGroups) counts.own -= 1;
  const ClaimsRow* claims = message.single ? nullptr : tables_.claims.Find({queue, sequence});
  if (claims != nullptr && claims->left > 1) {
    tables_.claims.Put({queue, sequence}, {claims->left - 1});
  } else {
    Remove(queue, sequence, message);
  }
}

void Delivery::Remove(QueueNumber queue, Sequence sequence, const MessageRow& message) {
  tables_.messages.EraseKnown({queue, sequence});
  tables_.bodies.EraseKnown({queue, sequence});
  if (!message.single) tables_.claims.Erase({queue, sequence});
  if (message.dead) tables_.origins.EraseKnown({queue, sequence});
  if (!message.key.empty()) {
    tables_.lanes.EraseKnown({queue, message.only, LaneOf(message.key, sequence), sequence});
  }
  counts_.ChangeKnown({queue, message.partition}).messages -= 1;
  LevelRow& level = levels_.ChangeKnown(queue);
  level.messages -= 1;
  level.bytes -= message.bytes;
  // Two steps for each message that goes: the floor catches up, at a bounded price.
  for (int step = 0; step < 2 && level.floor <= level.last; ++step) {
    if (level.floor != sequence && tables_.messages.Find({queue, level.floor}) != nullptr) break;
    level.floor += 1;
  }
}

}  // namespace holdfast::queues
