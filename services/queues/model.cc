#include "services/queues/model.h"

#include <algorithm>
#include <tuple>

#include "services/queues/describe.h"
#include "services/queues/ring.h"

namespace holdfast::queues {

// The lane's name orders what falls due at one moment, and places it: both are the service's.
std::string Model::NameOf(const std::string& key, uint64_t sequence) {
  if (!key.empty()) return "k" + key;
  std::string name = "#";
  for (int shift = 56; shift >= 0; shift -= 8) name += static_cast<char>(sequence >> shift);
  return name;
}

Model::State* Model::Find(const std::string& name) {
  auto found = queues_.find(name);
  return found == queues_.end() ? nullptr : &found->second;
}

const Model::State* Model::Find(const std::string& name) const {
  const auto found = queues_.find(name);
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
      alarms_.insert(AlarmOf(queue, group, item));
    } else {
      EnterLine(queue, group, item);
    }
    return;
  }
}

void Model::PassTo(const Moment& at) {
  now_ = at;
  Refile();
  std::vector<Alarm> due;
  while (!alarms_.empty() && std::get<0>(*alarms_.begin()) <= at.log_us) {
    due.push_back(*alarms_.begin());
    alarms_.erase(alarms_.begin());
  }
  for (const Alarm& alarm : due) LookAt(alarm);
}

// After a growth.
void Model::Refile() {
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
}

Model::Alarm Model::AlarmOf(const State& queue, const GroupState& group, const Item& item) const {
  const bool out = item.state == Item::kOut;
  return {out ? now_.LogTimeOf(item.until_us) : item.until_us, queue.number, group.number,
          LaneOf(item)};
}

void Model::LookAt(const Alarm& alarm) {
  const auto& [due_us, number, group_number, lane] = alarm;
  for (auto& [name, queue] : queues_) {
    if (queue.number != number) continue;
    GroupState& group = queue.groups[group_number - 1];
    for (Item& item : group.items) {
      if (LaneOf(item) != lane) continue;
      if (item.state != Item::kDelayed && item.state != Item::kOut) return;
      const Alarm again = AlarmOf(queue, group, item);
      if (std::get<0>(again) > now_.log_us) {
        if (item.state == Item::kOut) alarms_.insert(again);
      } else if (item.state == Item::kOut) {
        FailItem(queue, group, item.sequence, "its time was over", 0, now_.log_us);
      } else {
        EnterLine(queue, group, item);
      }
      return;
    }
  }
}

QueueReply Model::ReplyOf(QueueOutcome::Code outcome, const std::string& name) const {
  QueueReply reply;
  reply.set_outcome(outcome);
  if (const State* queue = Find(name)) *reply.mutable_queue() = Describe(*queue);
  return reply;
}

QueueReply Model::Create(const CreateRequest& request, int64_t now_us) {
  State made;
  made.name = request.name();
  made.config = request;
  CreateRequest& config = made.config;
  if (config.partitions() == 0) config.set_partitions(16);
  if (config.visibility_seconds() == 0) config.set_visibility_seconds(30);
  if (config.dead_letter().empty()) config.set_max_deliveries(0);
  if (!config.dead_letter().empty() && config.max_deliveries() == 0) config.set_max_deliveries(5);
  if (config.dedup_window_seconds() == 0) config.set_dedup_window_seconds(7 * 24 * 3'600);
  if (config.max_messages() == 0) config.set_max_messages(1'000'000);
  if (config.max_bytes() == 0) config.set_max_bytes(uint64_t{1} << 30);
  if (config.groups().empty()) config.add_groups("default");
  for (const std::string& group : config.groups()) {
    made.groups.push_back({group, made.groups.size() + 1, false, {}, {}});
  }
  if (const State* known = Find(request.name())) {
    std::string field;
    const CreateRequest& old = known->config;
    const auto groups_of = [](const State& queue) {
      std::vector<std::pair<std::string, bool>> groups;
      for (const GroupState& group : queue.groups) {
        groups.emplace_back(group.name, group.partitioned);
      }
      return groups;
    };
    if (groups_of(*known) != groups_of(made)) field = "groups";
    if (old.max_bytes() != config.max_bytes()) field = "max_bytes";
    if (old.max_messages() != config.max_messages()) field = "max_messages";
    if (old.dead_letter() != config.dead_letter()) field = "dead_letter";
    if (old.dedup_window_seconds() != config.dedup_window_seconds()) field = "dedup_window_seconds";
    if (old.max_deliveries() != config.max_deliveries()) field = "max_deliveries";
    if (old.visibility_seconds() != config.visibility_seconds()) field = "visibility_seconds";
    if (old.partitions() != config.partitions()) field = "partitions";
    QueueReply reply = ReplyOf(
        field.empty() ? QueueOutcome::already_exists : QueueOutcome::exists_with_different_config,
        request.name());
    reply.set_field(field);
    return reply;
  }
  if (!config.dead_letter().empty() && Find(config.dead_letter()) == nullptr) {
    return ReplyOf(QueueOutcome::dead_letter_not_found, request.name());
  }
  made.id = ++last_id_;
  made.number = ++last_number_;
  made.created_us = now_us;
  queues_[request.name()] = made;
  return ReplyOf(QueueOutcome::created, request.name());
}

QueueReply Model::Update(const UpdateRequest& request, int64_t /*now_us*/) {
  State* queue = Find(request.name());
  if (queue == nullptr) return ReplyOf(QueueOutcome::queue_not_found, request.name());
  if (request.partitions() != 0 && request.partitions() < queue->config.partitions()) {
    return ReplyOf(QueueOutcome::partitions_cannot_shrink, request.name());
  }
  if (request.partitions() > queue->config.partitions()) {
    queue->config.set_partitions(request.partitions());
    grown_.insert(request.name());
  }
  return ReplyOf(QueueOutcome::updated, request.name());
}

QueueReply Model::CreateGroup(const CreateGroupRequest& request, int64_t /*now_us*/) {
  State* queue = Find(request.queue());
  if (queue == nullptr) return ReplyOf(QueueOutcome::queue_not_found, request.queue());
  if (const GroupState* group = FindGroup(*queue, request.group())) {
    const bool same = group->partitioned == request.partitioned();
    QueueReply reply =
        ReplyOf(same ? QueueOutcome::already_exists : QueueOutcome::exists_with_different_config,
                request.queue());
    if (!same) reply.set_field("partitioned");
    return reply;
  }
  queue->groups.push_back(
      {request.group(), queue->groups.size() + 1, request.partitioned(), {}, {}});
  return ReplyOf(QueueOutcome::created, request.queue());
}

QueueReply Model::Purge(const PurgeRequest& request, int64_t /*now_us*/) {
  State* queue = Find(request.name());
  if (queue == nullptr) return ReplyOf(QueueOutcome::queue_not_found, request.name());
  queue->number = ++last_number_;
  for (GroupState& group : queue->groups) {
    group.items.clear();
    group.lines.clear();
  }
  return ReplyOf(QueueOutcome::purged, request.name());
}

uint64_t Model::Put(State& queue, const Content& content, uint64_t only, int64_t now_us) {
  const uint64_t sequence = ++queue.last;
  const uint32_t partition = PartitionOf(NameOf(content.key, sequence), queue.config.partitions());
  for (GroupState& group : queue.groups) {
    if (only != 0 && only != group.number) continue;
    Item item;
    item.sequence = sequence;
    item.content = content;
    item.content.partition = partition;
    group.items.push_back(item);
    Settle(queue, group, LaneOf(item), now_us);
  }
  return sequence;
}

PublishReply Model::Publish(const PublishRequest& request, int64_t now_us) {
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
  if (Kept(*queue).size() >= queue->config.max_messages()) {
    reply.set_outcome(PublishOutcome::queue_full);
    return reply;
  }
  Content content;
  content.key = request.key();
  content.payload = request.payload();
  content.id = request.message_id();
  content.published_us = now_us;
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

PublishBatchReply Model::PublishBatch(const PublishBatchRequest& request, int64_t now_us) {
  PublishBatchReply reply;
  for (const NewMessage& message : request.messages()) {
    PublishRequest one;
    one.set_queue(request.queue());
    one.set_key(message.key());
    one.set_payload(message.payload());
    one.set_message_id(message.message_id());
    one.set_delay_ms(message.delay_ms());
    *reply.add_results() = Publish(one, now_us);
  }
  return reply;
}

PublishReply Model::Push(const PushRequest& request, int64_t now_us) {
  CreateRequest create;
  create.set_name("default");
  if (Find("default") == nullptr) Create(create, now_us);
  PublishRequest publish;
  publish.set_queue("default");
  publish.set_key(request.key());
  publish.set_payload(request.payload());
  publish.set_message_id(request.message_id());
  return Publish(publish, now_us);
}

PullOutcome::Code Model::Refused(const State* queue, const PullRequest& request) {
  if (queue == nullptr) return PullOutcome::queue_not_found;
  const std::string name = request.group().empty() ? "default" : request.group();
  for (const GroupState& group : queue->groups) {
    if (group.name != name) continue;
    if (group.partitioned && !request.has_partition()) return PullOutcome::partition_required;
    if (!group.partitioned && request.has_partition()) return PullOutcome::group_not_partitioned;
    const bool there = request.partition() < queue->config.partitions();
    return there ? PullOutcome::unspecified : PullOutcome::partition_not_found;
  }
  return PullOutcome::group_not_found;
}

PullReply Model::Pop(const PopRequest& /*request*/, int64_t now_us) {
  PullRequest pull;
  pull.set_queue("default");
  pull.set_consumer("pop");
  PullReply reply;
  reply.set_outcome(PullOutcome::empty);
  State* queue = Find("default");
  if (queue == nullptr) return reply;
  reply = Pull(pull, now_us);
  for (Message& message : *reply.mutable_messages()) {
    Remove(*queue, *FindGroup(*queue, ""), message.sequence(), now_us);
    message.clear_delivery();
    message.clear_visible();
  }
  return reply;
}

PullReply Model::Pull(const PullRequest& request, int64_t now_us) {
  PullReply reply;
  reply.set_outcome(Refused(Find(request.queue()), request));
  if (reply.outcome() != PullOutcome::unspecified) return reply;
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
      item.until_us = now_.lease_us() + int64_t{request.visibility_seconds() == 0
                                                    ? queue.config.visibility_seconds()
                                                    : request.visibility_seconds()} *
                                            1'000'000;
      alarms_.insert(AlarmOf(queue, group, item));
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
      FillTime(now_.LogTimeOf(item.until_us), message->mutable_visible());
      if (item.content.is_dead) *message->mutable_dead_letter() = item.content.dead;
      break;
    }
  }
  reply.set_outcome(reply.messages().empty() ? PullOutcome::empty : PullOutcome::pulled);
  return reply;
}

void Model::Remove(State& queue, GroupState& group, uint64_t sequence, int64_t now_us) {
  const Item& done = *FindItem(group, sequence);
  const std::string lane = LaneOf(done);
  LeaveLine(group, lane);
  alarms_.erase(AlarmOf(queue, group, done));
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
  alarms_.erase(AlarmOf(queue, group, item));
  if (delay_us > 0) {
    item.state = Item::kDelayed;
    item.until_us = now_us + delay_us;
    alarms_.insert(AlarmOf(queue, group, item));
  } else {
    EnterLine(queue, group, item);
  }
  return false;
}

bool Model::Out(State& queue, const std::string& delivery, GroupState** group, Item** item) {
  const auto id = DeliveryId::Parse(delivery);
  for (GroupState& candidate : queue.groups) {
    if (id->queue != queue.number || candidate.number != id->group) continue;
    *group = &candidate;
    *item = FindItem(candidate, id->sequence);
    return *item != nullptr && (*item)->state == Item::kOut && (*item)->attempts == id->attempt &&
           now_.lease_us() < (*item)->until_us;
  }
  return false;
}

template <class Request, class Act>
AckReply Model::ForEach(const Request& request, Act act) {
  AckReply reply;
  State* queue = Find(request.queue());
  for (const std::string& delivery : request.deliveries()) {
    AckResult* result = reply.add_results();
    GroupState* group = nullptr;
    Item* item = nullptr;
    if (queue == nullptr) {
      result->set_outcome(AckOutcome::queue_not_found);
    } else if (Out(*queue, delivery, &group, &item)) {
      act(*queue, *group, *item, result);
    } else {
      result->set_outcome(AckOutcome::expired);
    }
  }
  return reply;
}

AckReply Model::Ack(const AckRequest& request, int64_t now_us) {
  return ForEach(request, [&](State& queue, GroupState& group, Item& item, auto* result) {
    Remove(queue, group, item.sequence, now_us);
    result->set_outcome(AckOutcome::acked);
  });
}

AckReply Model::Nack(const NackRequest& request, int64_t now_us) {
  const int64_t delay_us = static_cast<int64_t>(request.delay_ms()) * 1'000;
  return ForEach(request, [&](State& queue, GroupState& group, Item& item, auto* result) {
    if (FailItem(queue, group, item.sequence, request.error(), delay_us, now_us)) {
      result->set_outcome(AckOutcome::dead_lettered);
    } else {
      result->set_outcome(AckOutcome::retried);
      FillTime(now_us + delay_us, result->mutable_visible());
    }
  });
}

AckReply Model::Extend(const ExtendRequest& request, int64_t /*now_us*/) {
  return ForEach(request, [&](State& queue, GroupState& group, Item& item, auto* result) {
    const uint32_t seconds = request.visibility_seconds() == 0 ? queue.config.visibility_seconds()
                                                               : request.visibility_seconds();
    alarms_.erase(AlarmOf(queue, group, item));
    item.until_us = now_.lease_us() + int64_t{seconds} * 1'000'000;
    alarms_.insert(AlarmOf(queue, group, item));
    result->set_outcome(AckOutcome::extended);
    FillTime(now_.LogTimeOf(item.until_us), result->mutable_visible());
  });
}

RedriveReply Model::Redrive(const RedriveRequest& request, int64_t now_us) {
  RedriveReply reply;
  reply.set_outcome(RedriveOutcome::queue_not_found);
  if (Find(request.queue()) == nullptr) return reply;
  reply.set_outcome(RedriveOutcome::redriven);
  State& queue = *Find(request.queue());
  GroupState& group = *FindGroup(queue, "default");
  std::set<std::string> left;
  for (uint32_t budget = request.max() == 0 ? 100 : request.max(); budget > 0; --budget) {
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

}  // namespace holdfast::queues
