#include "services/queues/model.h"

#include <algorithm>
#include <tuple>

#include "services/queues/describe.h"
#include "services/queues/ring.h"

namespace holdfast::queues {
namespace {

// The lane's name orders what falls due at one moment, and places it: both are the service's.
std::string NameOf(const std::string& key, uint64_t sequence) {
  if (!key.empty()) return "k" + key;
  std::string name = "#";
  for (int shift = 56; shift >= 0; shift -= 8) name += static_cast<char>(sequence >> shift);
  return name;
}

}  // namespace

Model::State* Model::Find(const std::string& name) {
  auto found = queues_.find(name);
  return found == queues_.end() ? nullptr : &found->second;
}

Model::GroupState* Model::FindGroup(State& queue, const std::string& name) {
  for (GroupState& group : queue.groups) {
    if (group.name == (name.empty() ? "default" : name)) return &group;
  }
  return nullptr;
}

std::string Model::LaneOf(const Item& item) { return NameOf(item.content.key, item.sequence); }

Model::Item* Model::FindItem(GroupState& group, uint64_t sequence) {
  for (Item& item : group.items) {
    if (item.sequence == sequence) return &item;
  }
  return nullptr;
}

void Model::EnterLine(State& queue, GroupState& group, Item& item) {
  item.state = Item::kInLine;
  const uint64_t place =
      group.partitioned ? PartitionOf(LaneOf(item), queue.config.partitions()) : 0;
  group.lines[place].push_back(LaneOf(item));
}

void Model::LeaveLine(GroupState& group, const std::string& lane) {
  for (auto& [place, line] : group.lines) std::erase(line, lane);
}

void Model::Settle(State& queue, GroupState& group, const std::string& lane, int64_t now_us) {
  for (Item& item : group.items) {
    if (LaneOf(item) != lane) continue;
    if (item.state != Item::kWaits) return;
    if (item.content.due_us > now_us) {
      item.state = Item::kDelayed;
      item.until_us = item.content.due_us;
    } else {
      EnterLine(queue, group, item);
    }
    return;
  }
}

void Model::PassTo(int64_t now_us) {
  for (const std::string& name : grown_) {
    State& queue = queues_[name];
    for (GroupState& group : queue.groups) {
      if (!group.partitioned) continue;
      const auto before = group.lines;
      for (const auto& [place, line] : before) {
        for (const std::string& lane : line) {
          const uint64_t home = PartitionOf(lane, queue.config.partitions());
          if (home == place) continue;
          LeaveLine(group, lane);
          group.lines[home].push_back(lane);
        }
      }
    }
  }
  grown_.clear();
  std::set<std::tuple<int64_t, uint64_t, uint64_t, std::string, std::string, uint64_t>> due;
  for (auto& [name, queue] : queues_) {
    for (GroupState& group : queue.groups) {
      for (const Item& item : group.items) {
        if (item.state != Item::kDelayed && item.state != Item::kOut) continue;
        if (item.until_us > now_us) continue;
        due.insert({item.until_us, queue.number, group.number, LaneOf(item), name, item.sequence});
      }
    }
  }
  for (const auto& [until_us, number, group_number, lane, name, sequence] : due) {
    State& queue = queues_[name];
    for (GroupState& group : queue.groups) {
      if (group.number != group_number) continue;
      Item& item = *FindItem(group, sequence);
      if (item.state == Item::kDelayed) {
        EnterLine(queue, group, item);
      } else {
        FailItem(queue, group, sequence, "its time was over", 0, now_us);
      }
    }
  }
}

QueueReply Model::Create(const CreateRequest& request, int64_t now_us) {
  PassTo(now_us);
  State& queue = queues_[request.name()];
  queue.name = request.name();
  queue.id = ++last_id_;
  queue.number = ++last_number_;
  queue.config = request;
  queue.groups.push_back({"default", 1, false, {}, {}});
  return {};
}

void Model::Grow(const UpdateRequest& request, int64_t now_us) {
  PassTo(now_us);
  State& queue = *Find(request.name());
  if (request.partitions() <= queue.config.partitions()) return;
  queue.config.set_partitions(request.partitions());
  grown_.insert(request.name());
}

void Model::AddGroup(const CreateGroupRequest& request, int64_t now_us) {
  PassTo(now_us);
  State& queue = *Find(request.queue());
  queue.groups.push_back({request.group(), queue.groups.size() + 1, request.partitioned(), {}, {}});
}

void Model::Purge(const PurgeRequest& request, int64_t now_us) {
  PassTo(now_us);
  State& queue = *Find(request.name());
  queue.number = ++last_number_;
  for (GroupState& group : queue.groups) {
    group.items.clear();
    group.lines.clear();
  }
}

uint64_t Model::Put(State& queue, const Content& content, uint64_t only, int64_t now_us) {
  const uint64_t sequence = ++queue.last;
  for (GroupState& group : queue.groups) {
    if (only != 0 && only != group.number) continue;
    Item item;
    item.sequence = sequence;
    item.content = content;
    group.items.push_back(item);
    Settle(queue, group, LaneOf(item), now_us);
  }
  return sequence;
}

PublishReply Model::Publish(const PublishRequest& request, int64_t now_us) {
  PassTo(now_us);
  PublishReply reply;
  State* queue = Find(request.queue());
  if (queue == nullptr) {
    reply.set_outcome(PublishOutcome::queue_not_found);
    return reply;
  }
  const auto known = queue->ids.find(request.message_id());
  if (!request.message_id().empty() && known != queue->ids.end() &&
      now_us < known->second.expires_us) {
    const PublishRequest& original = known->second.request;
    reply = known->second.reply;
    // Where its key is placed now.
    reply.set_partition(
        PartitionOf(NameOf(request.key(), reply.sequence()), queue->config.partitions()));
    if (original.key() != request.key()) {
      reply.set_field("key");
    } else if (original.payload() != request.payload()) {
      reply.set_field("payload");
    } else if (original.delay_ms() != request.delay_ms()) {
      reply.set_field("delay_ms");
    }
    reply.set_duplicate(reply.field().empty());
    reply.set_outcome(reply.duplicate() ? PublishOutcome::already_published
                                        : PublishOutcome::exists_with_different_content);
    return reply;
  }
  std::set<uint64_t> kept;
  for (const GroupState& group : queue->groups) {
    for (const Item& item : group.items) kept.insert(item.sequence);
  }
  if (kept.size() >= queue->config.max_messages()) {
    reply.set_outcome(PublishOutcome::queue_full);
    return reply;
  }
  Content content{
      request.key(), request.payload(), request.message_id(), now_us, 0, false, {}, 0, 0};
  if (request.delay_ms() > 0) {
    content.due_us = now_us + static_cast<int64_t>(request.delay_ms()) * 1'000;
  }
  reply.set_sequence(Put(*queue, content, 0, now_us));
  reply.set_partition(
      PartitionOf(NameOf(request.key(), reply.sequence()), queue->config.partitions()));
  reply.set_outcome(PublishOutcome::published);
  FillTime(now_us, reply.mutable_published());
  if (!request.message_id().empty()) {
    queue->ids[request.message_id()] = {
        request, reply, now_us + int64_t{queue->config.dedup_window_seconds()} * 1'000'000};
  }
  return reply;
}

PullReply Model::Pull(const PullRequest& request, int64_t now_us) {
  PassTo(now_us);
  PullReply reply;
  State& queue = *Find(request.queue());
  GroupState& group = *FindGroup(queue, request.group());
  std::deque<std::string>& line = group.lines[request.partition()];
  for (uint32_t i = 0; i < std::max(request.max(), 1u) && !line.empty(); ++i) {
    const std::string lane = line.front();
    line.pop_front();
    for (Item& item : group.items) {
      if (LaneOf(item) != lane) continue;
      item.state = Item::kOut;
      item.attempts += 1;
      item.taken_us = now_us;
      item.until_us =
          now_us + int64_t{request.visibility_seconds() == 0 ? queue.config.visibility_seconds()
                                                             : request.visibility_seconds()} *
                       1'000'000;
      item.consumer = request.consumer();
      Message* message = reply.add_messages();
      message->set_delivery(std::to_string(queue.number) + "-" + std::to_string(group.number) +
                            "-" + std::to_string(item.sequence) + "-" +
                            std::to_string(item.attempts));
      message->set_sequence(item.sequence);
      message->set_key(item.content.key);
      message->set_payload(item.content.payload);
      message->set_message_id(item.content.id);
      message->set_attempt(item.attempts);
      message->set_partition(PartitionOf(lane, queue.config.partitions()));
      FillTime(item.content.published_us, message->mutable_published());
      FillTime(item.until_us, message->mutable_visible());
      if (item.content.is_dead) *message->mutable_dead_letter() = item.content.dead;
      break;
    }
  }
  reply.set_outcome(reply.messages().empty() ? PullOutcome::empty : PullOutcome::pulled);
  return reply;
}

void Model::Remove(State& queue, GroupState& group, uint64_t sequence, int64_t now_us) {
  const std::string lane = LaneOf(*FindItem(group, sequence));
  LeaveLine(group, lane);
  std::erase_if(group.items, [&](const Item& item) { return item.sequence == sequence; });
  Settle(queue, group, lane, now_us);
}

bool Model::FailItem(State& queue, GroupState& group, uint64_t sequence, const std::string& error,
                     int64_t delay_us, int64_t now_us) {
  Item& item = *FindItem(group, sequence);
  Attempt attempt;
  FillTime(item.taken_us, attempt.mutable_time());
  attempt.set_consumer(item.consumer);
  attempt.set_error(error);
  attempt.set_attempt(item.attempts);
  item.history.push_back(attempt);
  if (!queue.config.dead_letter().empty() && item.attempts >= queue.config.max_deliveries()) {
    Content dead = item.content;
    dead.due_us = 0;
    dead.is_dead = true;
    dead.dead.Clear();
    dead.dead.set_queue(queue.name);
    dead.dead.set_group(group.name);
    dead.dead.set_sequence(sequence);
    FillTime(item.content.published_us, dead.dead.mutable_published());
    dead.dead.set_attempts(item.attempts);
    for (const Attempt& entry : item.history) *dead.dead.add_history() = entry;
    dead.dead.set_last_error(error);
    dead.origin_queue = queue.id;
    dead.origin_group = group.number;
    Put(*Find(queue.config.dead_letter()), dead, 0, now_us);
    Remove(queue, group, sequence, now_us);
    return true;
  }
  if (delay_us > 0) {
    item.state = Item::kDelayed;
    item.until_us = now_us + delay_us;
  } else {
    EnterLine(queue, group, item);
  }
  return false;
}

bool Model::Out(State& queue, const std::string& delivery, int64_t now_us, GroupState** group,
                Item** item) {
  const auto id = DeliveryId::Parse(delivery);
  for (GroupState& candidate : queue.groups) {
    if (id->queue != queue.number || candidate.number != id->group) continue;
    *group = &candidate;
    *item = FindItem(candidate, id->sequence);
    return *item != nullptr && (*item)->state == Item::kOut && (*item)->attempts == id->attempt &&
           now_us < (*item)->until_us;
  }
  return false;
}

template <class Request, class Act>
AckReply Model::ForEach(const Request& request, int64_t now_us, Act act) {
  PassTo(now_us);
  AckReply reply;
  State& queue = *Find(request.queue());
  for (const std::string& delivery : request.deliveries()) {
    AckResult* result = reply.add_results();
    GroupState* group = nullptr;
    Item* item = nullptr;
    if (Out(queue, delivery, now_us, &group, &item)) {
      act(queue, *group, *item, result);
    } else {
      result->set_outcome(AckOutcome::expired);
    }
  }
  return reply;
}

AckReply Model::Ack(const AckRequest& request, int64_t now_us) {
  return ForEach(request, now_us, [&](State& queue, GroupState& group, Item& item, auto* result) {
    Remove(queue, group, item.sequence, now_us);
    result->set_outcome(AckOutcome::acked);
  });
}

AckReply Model::Nack(const NackRequest& request, int64_t now_us) {
  const int64_t delay_us = static_cast<int64_t>(request.delay_ms()) * 1'000;
  return ForEach(request, now_us, [&](State& queue, GroupState& group, Item& item, auto* result) {
    if (FailItem(queue, group, item.sequence, request.error(), delay_us, now_us)) {
      result->set_outcome(AckOutcome::dead_lettered);
    } else {
      result->set_outcome(AckOutcome::retried);
      FillTime(now_us + delay_us, result->mutable_visible());
    }
  });
}

AckReply Model::Extend(const ExtendRequest& request, int64_t now_us) {
  return ForEach(request, now_us, [&](State& queue, GroupState&, Item& item, auto* result) {
    item.until_us =
        now_us + int64_t{request.visibility_seconds() == 0 ? queue.config.visibility_seconds()
                                                           : request.visibility_seconds()} *
                     1'000'000;
    result->set_outcome(AckOutcome::extended);
    FillTime(item.until_us, result->mutable_visible());
  });
}

RedriveReply Model::Redrive(const RedriveRequest& request, int64_t now_us) {
  PassTo(now_us);
  RedriveReply reply;
  reply.set_outcome(RedriveOutcome::redriven);
  State& queue = *Find(request.queue());
  GroupState& group = *FindGroup(queue, "default");
  std::set<std::string> left;
  for (uint32_t budget = request.max(); budget > 0; --budget) {
    std::deque<std::string>& line = group.lines[0];
    if (line.empty() || left.contains(line.front())) break;
    const std::string lane = line.front();
    Item* first = nullptr;
    for (Item& item : group.items) {
      if (first == nullptr && LaneOf(item) == lane) first = &item;
    }
    State* target = first->content.is_dead ? Find(first->content.dead.queue()) : nullptr;
    if (target == nullptr) {
      line.pop_front();
      line.push_back(lane);
      left.insert(lane);
      reply.set_left(reply.left() + 1);
      continue;
    }
    Content back = first->content;
    back.is_dead = false;
    Put(*target, back, back.origin_group, now_us);
    Remove(queue, group, first->sequence, now_us);
    reply.set_moved(reply.moved() + 1);
  }
  return reply;
}

StatsReply Model::Stats(const std::string& name) const {
  const State& queue = queues_.at(name);
  StatsReply reply;
  std::map<uint64_t, uint64_t> kept;  // Sequence -> bytes.
  for (const GroupState& group : queue.groups) {
    GroupStats* stats = reply.add_groups();
    stats->set_name(group.name);
    stats->set_partitioned(group.partitioned);
    stats->set_messages(group.items.size());
    for (const Item& item : group.items) {
      kept[item.sequence] =
          item.content.key.size() + item.content.payload.size() + item.content.id.size();
      if (item.state == Item::kInLine) stats->set_ready(stats->ready() + 1);
      if (item.state == Item::kOut) stats->set_in_flight(stats->in_flight() + 1);
      if (item.state == Item::kDelayed) stats->set_delayed(stats->delayed() + 1);
    }
  }
  reply.set_messages(kept.size());
  for (const auto& [sequence, bytes] : kept) reply.set_bytes(reply.bytes() + bytes);
  reply.set_published(queue.last);
  return reply;
}

}  // namespace holdfast::queues
