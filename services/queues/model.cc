#include "services/queues/model.h"

#include <algorithm>
#include <tuple>

#include "services/queues/describe.h"
#include "services/queues/ring.h"
#include "src/base/bounds.h"
#include "src/base/timestamp.h"

namespace holdfast::queues {
namespace {

std::map<std::string, std::string> HeadersOf(const PublishRequest& request) {
  return {request.headers().begin(), request.headers().end()};
}

}  // namespace

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
  return {out ? now_.LogTimeOf(item.until_us) : item.until_us, 'L', queue.number, group.number,
          LaneOf(item)};
}

void Model::LookAt(const Alarm& alarm) {
  const auto& [due_us, kind, number, group_number, lane] = alarm;
  for (auto& [name, queue] : queues_) {
    if (queue.number != number) continue;
    if (kind == 'G') return GiveUp(queue, group_number);
    const uint64_t wanted = group_number;
    const auto found = std::find_if(queue.groups.begin(), queue.groups.end(),
                                    [&](const GroupState& one) { return one.number == wanted; });
    if (found == queue.groups.end()) return;
    GroupState& group = *found;
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

// A deleted group looks at so many messages at a time, and gives up those that it has a claim on.
void Model::GiveUp(State& queue, uint64_t number) {
  const auto group = std::find_if(queue.retired.begin(), queue.retired.end(),
                                  [&](const GroupState& one) { return one.number == number; });
  if (group == queue.retired.end()) return;
  size_t seen = 0;
  const auto kept = Kept(queue);
  for (auto at = kept.lower_bound(group->next);
       at != kept.end() && at->first <= group->last && seen < bounds::kQueueSweptPerEntry; ++at) {
    ++seen;
    group->next = at->first + 1;
    const uint64_t sequence = at->first;
    std::erase_if(group->items, [&](const Item& item) { return item.sequence == sequence; });
  }
  if (seen < bounds::kQueueSweptPerEntry) {
    queue.retired.erase(group);
  } else {
    alarms_.emplace(now_.log_us + bounds::kQueueSweepPauseMs * 1'000, 'G', queue.number, number,
                    "");
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
    made.groups.push_back({group, ++made.last_group, false, {}, {}});
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
  queue->groups.push_back({request.group(), ++queue->last_group, request.partitioned(), {}, {}});
  return ReplyOf(QueueOutcome::created, request.queue());
}

QueueReply Model::Delete(const DeleteRequest& request, int64_t /*now_us*/) {
  if (Find(request.name()) == nullptr) {
    return ReplyOf(QueueOutcome::queue_not_found, request.name());
  }
  for (const auto& [name, queue] : queues_) {
    if (queue.config.dead_letter() == request.name()) {
      return ReplyOf(QueueOutcome::in_use, request.name());
    }
  }
  queues_.erase(request.name());
  grown_.erase(request.name());
  return ReplyOf(QueueOutcome::deleted, request.name());
}

QueueReply Model::DeleteGroup(const DeleteGroupRequest& request, int64_t now_us) {
  State* queue = Find(request.queue());
  if (queue == nullptr) return ReplyOf(QueueOutcome::queue_not_found, request.queue());
  GroupState* group = FindGroup(*queue, request.group());
  if (group == nullptr) return ReplyOf(QueueOutcome::group_not_found, request.queue());
  if (queue->groups.size() == 1) return ReplyOf(QueueOutcome::last_group, request.queue());
  group->last = queue->last;
  alarms_.emplace(now_us, 'G', queue->number, group->number, "");
  queue->retired.push_back(*group);
  std::erase_if(queue->groups, [&](const GroupState& one) { return one.name == request.group(); });
  return ReplyOf(QueueOutcome::deleted, request.queue());
}

QueueReply Model::Purge(const PurgeRequest& request, int64_t /*now_us*/) {
  State* queue = Find(request.name());
  if (queue == nullptr) return ReplyOf(QueueOutcome::queue_not_found, request.name());
  queue->number = ++last_number_;
  queue->retired.clear();
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
    } else if (HeadersOf(original) != HeadersOf(request)) {
      reply.set_field("headers");
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
  content.headers = HeadersOf(request);
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
    *one.mutable_headers() = message.headers();
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

}  // namespace holdfast::queues
