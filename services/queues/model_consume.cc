// The model's consumers: pulling, and what becomes of a delivery.
#include <algorithm>

#include "services/queues/describe.h"
#include "services/queues/model.h"
#include "services/queues/ring.h"
#include "src/base/timestamp.h"

namespace holdfast::queues {

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
  // Keys that a growth has placed elsewhere go there; a pull looks past them, up to twice.
  size_t left = std::max(request.max(), 1u);
  for (int round = 0; round < 3 && left > 0; ++round) {
    std::vector<std::string> first;
    for (; first.size() < left && !line.empty(); line.pop_front()) first.push_back(line.front());
    for (const std::string& lane : first) {
      const uint64_t home =
          group.partitioned ? PartitionOf(lane, queue.config.partitions()) : request.partition();
      if (home != request.partition()) {
        group.lines[home].push_back(lane);
        continue;
      }
      --left;
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
        Fill(queue, item.sequence, item.content, message);
        message->set_attempt(item.attempts);
        FillTime(now_.LogTimeOf(item.until_us), message->mutable_visible());
        break;
      }
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
    if (!dead.origins.empty()) {  // Of its way back only the last part is told in full.
      dead.origins.back().dead.clear_history();
      dead.origins.back().dead.clear_last_error();
    }
    Origin origin{{}, queue.id, group.number};
    origin.dead.set_queue(queue.name);
    origin.dead.set_group(group.name);
    origin.dead.set_sequence(sequence);
    FillTime(item.content.published_us, origin.dead.mutable_published());
    origin.dead.set_attempts(item.attempts);
    for (const Attempt& entry : item.history) *origin.dead.add_history() = entry;
    origin.dead.set_last_error(error);
    dead.origins.push_back(origin);
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
  if (reply.results_size() == 1) reply.set_outcome(reply.results(0).outcome());
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
  const bool only = request.group().empty() && queue.groups.size() == 1;
  GroupState* found = only ? &queue.groups.front() : FindGroup(queue, request.group());
  if (found == nullptr) {
    reply.set_outcome(RedriveOutcome::group_not_found);
    return reply;
  }
  GroupState& group = *found;
  std::set<std::string> left;
  uint32_t budget = request.max() == 0 ? 100 : request.max();
  for (;; --budget) {
    std::deque<std::string>& line = group.lines[0];
    const auto next = std::find_if(line.begin(), line.end(),
                                   [&](const std::string& one) { return !left.contains(one); });
    if (next == line.end()) break;
    if (budget == 0) {
      reply.set_more(true);
      break;
    }
    const std::string lane = *next;
    Item* first = nullptr;
    for (Item& item : group.items) {
      if (first == nullptr && LaneOf(item) == lane) first = &item;
    }
    Content back = first->content;
    State* target = nullptr;
    Origin origin;
    if (!back.origins.empty()) {
      origin = back.origins.back();
      back.origins.pop_back();
      target = Find(origin.dead.queue());
    }
    const bool is_there =
        target != nullptr && target->id == origin.queue &&
        std::any_of(target->groups.begin(), target->groups.end(),
                    [&](const GroupState& one) { return one.number == origin.group; });
    if (!is_there) {
      line.erase(next);
      line.push_back(lane);
      left.insert(lane);
      reply.set_left(reply.left() + 1);
      continue;
    }
    Put(*target, back, origin.group, now_us);
    Remove(queue, group, first->sequence, now_us);
    reply.set_moved(reply.moved() + 1);
  }
  return reply;
}

}  // namespace holdfast::queues
