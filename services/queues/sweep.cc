// What timers do: ends of delays and deliveries, ids that may be forgotten, and work that is too
// large for one write, done bit by bit. Each bit names where the next one begins.

#include "services/queues/queues.h"
#include "src/base/bounds.h"
#include "src/base/check.h"

namespace holdfast::queues {
namespace {

template <class Key>
Key KeyOf(std::string_view bytes) {
  Key key;
  HOLDFAST_CHECK(store::DecodeKey(bytes, &key).has_value(), "queues: a timer without a key");
  return key;
}

// Nobody waits for what is swept, so whoever does something meanwhile has the time in between,
// however fast entries follow one another.
LogTime AfterPause(const WriteContext& context) {
  return {context.now().us + bounds::kQueueSweepPauseMs * 1'000};
}

}  // namespace

void Queues::OnTimer(WriteContext& context, std::string_view key) {
  const std::string_view rest = key.substr(1);
  switch (key[0]) {
    case timer::kHead: {
      Delivery delivery(tables_, moved_, context);
      delivery.Expire(KeyOf<HeadKey>(rest));
      delivery.Finish();
      return;
    }
    case timer::kId: {
      const auto id_key = KeyOf<IdKey>(rest);
      const IdRow* id = tables_.ids.Find(id_key);
      if (id != nullptr && id->expires_us <= context.now().us) tables_.ids.Erase(id_key);
      return;
    }
    case timer::kGroup: SweepGroup(context, KeyOf<GroupSweep>(rest)); return;
    case timer::kRefile: SweepPlaces(context, KeyOf<ReadyKey>(rest)); return;
    case timer::kTrash: SweepTrash(context, KeyOf<MessageKey>(rest)); return;
    default: HOLDFAST_CHECK(false, "queues: a timer of an unknown kind");
  }
}

// A deleted group does no longer keep anything: its claims are released in the order of the
// messages, as if it had acked them.
void Queues::SweepGroup(WriteContext& context, const GroupSweep& sweep) {
  const QueueNumber number = std::get<0>(sweep);
  const GroupNumber group = std::get<1>(sweep);
  const Sequence from = std::get<2>(sweep);
  const Sequence last = std::get<3>(sweep);
  const LevelRow* level = tables_.levels.Find(number);
  if (level == nullptr) return;
  const std::string name = level->name;
  auto queue = FindQueue(name);
  if (!queue || queue->number != number) return;  // Purged or deleted: all of it is swept away.
  std::vector<std::pair<Sequence, MessageRow>> messages;
  tables_.messages.Scan({number, from}, [&](const MessageKey& key, const MessageRow& row) {
    if (std::get<0>(key) != number || std::get<1>(key) > last) return false;
    messages.emplace_back(std::get<1>(key), row);
    return messages.size() < bounds::kQueueSweptPerEntry;
  });
  Delivery delivery(tables_, moved_, context);
  for (const auto& [sequence, row] : messages) {
    delivery.GiveUp(*queue, group, sequence, row, last);
  }
  delivery.Finish();
  if (messages.size() == bounds::kQueueSweptPerEntry) {
    context.SetTimer(
        AfterPause(context),
        TimerKey(timer::kGroup, GroupSweep(number, group, messages.back().first + 1, last)));
    return;
  }
  ErasePlaces(number, group);
  std::erase(queue->retired, group);
  tables_.queues.Put(name, *std::move(queue));
}

// After a growth: what waits is filed under the partition that its key has now. Who pulls meanwhile
// gets nothing of another partition (Delivery::Take looks).
void Queues::SweepPlaces(WriteContext& context, const ReadyKey& from) {
  const LevelRow* level = tables_.levels.Find(std::get<0>(from));
  const auto queue = level == nullptr ? std::nullopt : FindQueue(level->name);
  if (!queue || queue->number != std::get<0>(from)) return;
  for (const GroupEntry& group : queue->groups) {
    if (group.number != std::get<1>(from)) continue;
    Delivery delivery(tables_, moved_, context);
    // Keys, of which each changes a fraction of the rows that a message has.
    const auto next = delivery.Refile(*queue, group, from, 4 * bounds::kQueueSweptPerEntry);
    delivery.Finish();
    if (next) context.SetTimer(context.now(), TimerKey(timer::kRefile, *next));
  }
}

// Everything that has a number that no queue has any more, one number after the other, so that it
// takes the same small share of an entry whatever was deleted. Ids go by their own timers.
void Queues::Trash(QueueNumber number, const QueueRow& queue, WriteContext& context) {
  bool others = false;
  tables_.trash.Scan(0, [&](QueueNumber, const TrashRow&) {
    others = true;
    return false;
  });
  TrashRow trash{queue.retired};
  for (const GroupEntry& group : queue.groups) trash.groups.push_back(group.number);
  tables_.trash.Put(number, std::move(trash));
  if (others) return;  // Its turn comes.
  context.SetTimer(context.now(), TimerKey(timer::kTrash, MessageKey(number, 0)));
}

void Queues::SweepTrash(WriteContext& context, const MessageKey& from) {
  const QueueNumber number = std::get<0>(from);
  const Sequence first = std::get<1>(from);
  const TrashRow* found = tables_.trash.Find(number);
  if (found == nullptr) return;
  TrashRow trash = *found;
  std::vector<std::pair<Sequence, MessageRow>> messages;
  tables_.messages.Scan({number, first}, [&](const MessageKey& key, const MessageRow& row) {
    if (std::get<0>(key) != number) return false;
    messages.emplace_back(std::get<1>(key), row);
    return messages.size() < bounds::kQueueSweptPerEntry;
  });
  if (!messages.empty()) {
    SweepMessages(trash, number, messages, context);
    context.SetTimer(AfterPause(context),
                     TimerKey(timer::kTrash, MessageKey(number, messages.back().first + 1)));
    return;
  }
  if (!trash.groups.empty()) {  // One group's places are enough for one time.
    const GroupNumber group = trash.groups.back();
    ErasePlaces(number, group);
    trash.groups.pop_back();
    tables_.trash.Put(number, std::move(trash));
    context.SetTimer(AfterPause(context), TimerKey(timer::kTrash, from));
    return;
  }
  std::vector<uint64_t> partitions;
  tables_.counts.Scan({number, 0}, [&](const auto& key, const CountRow&) {
    if (std::get<0>(key) != number) return false;
    partitions.push_back(std::get<1>(key));
    return true;
  });
  for (const uint64_t partition : partitions) tables_.counts.Erase({number, partition});
  tables_.levels.Erase(number);
  tables_.trash.Erase(number);
  tables_.trash.Scan(0, [&](QueueNumber next, const TrashRow&) {
    context.SetTimer(AfterPause(context), TimerKey(timer::kTrash, MessageKey(next, 0)));
    return false;
  });
}

void Queues::SweepMessages(const TrashRow& trash, QueueNumber number,
                           const std::vector<std::pair<Sequence, MessageRow>>& messages,
                           WriteContext& context) {
  for (const auto& [sequence, row] : messages) {
    const std::string lane = LaneOf(row.key, sequence);
    for (const GroupNumber group : trash.groups) {
      const HeadKey key{number, group, lane};
      const HeadRow* head = tables_.heads.Find(key);
      if (head == nullptr || head->sequence != sequence) continue;
      if (head->state == HeadState::kReady) {
        tables_.ready.EraseKnown({number, group, head->place, head->order});
      } else {
        context.CancelTimer(Delivery::DueOf(*head, context), TimerKey(timer::kHead, key));
      }
      if (head->has_history()) tables_.histories.Erase({number, group, sequence});
      tables_.heads.EraseKnown(key);
    }
    if (HasKey(lane)) tables_.lanes.EraseKnown({number, row.only, lane, sequence});
    tables_.messages.EraseKnown({number, sequence});
    tables_.bodies.EraseKnown({number, sequence});
    if (!row.single) tables_.claims.Erase({number, sequence});
    if (row.dead) tables_.origins.EraseKnown({number, sequence});
  }
}

void Queues::ErasePlaces(QueueNumber number, GroupNumber group) {
  std::vector<PlaceKey> places;
  tables_.places.Scan({number, group, 0}, [&](const PlaceKey& key, const PlaceRow&) {
    if (std::get<0>(key) != number || std::get<1>(key) != group) return false;
    places.push_back(key);
    return true;
  });
  for (const PlaceKey& key : places) tables_.places.Erase(key);
  tables_.groups.Erase({number, group});
}

}  // namespace holdfast::queues
