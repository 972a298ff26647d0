// What the model has, as the reads of the service show it.
#include <algorithm>

#include "services/queues/describe.h"
#include "services/queues/model.h"
#include "services/queues/ring.h"
#include "src/base/timestamp.h"

namespace holdfast::queues {

std::map<uint64_t, const Model::Content*> Model::Kept(const State& queue) {
  std::map<uint64_t, const Content*> kept;
  for (const auto* groups : {&queue.groups, &queue.retired}) {
    for (const GroupState& group : *groups) {
      for (const Item& item : group.items) kept[item.sequence] = &item.content;
    }
  }
  return kept;
}

void Model::Fill(const State& queue, uint64_t sequence, const Content& content, Message* message) {
  message->set_sequence(sequence);
  message->set_key(content.key);
  message->set_payload(content.payload);
  message->set_message_id(content.id);
  message->mutable_headers()->insert(content.headers.begin(), content.headers.end());
  message->set_partition(PartitionOf(NameOf(content.key, sequence), queue.config.partitions()));
  FillTime(content.published_us, message->mutable_published());
  if (!content.origins.empty()) *message->mutable_dead_letter() = content.origins.back().dead;
}

Queue Model::Describe(const State& state) {
  Queue queue;
  queue.set_name(state.name);
  queue.set_partitions(state.config.partitions());
  queue.set_visibility_seconds(state.config.visibility_seconds());
  queue.set_max_deliveries(state.config.max_deliveries());
  queue.set_dedup_window_seconds(state.config.dedup_window_seconds());
  queue.set_dead_letter(state.config.dead_letter());
  queue.set_max_messages(state.config.max_messages());
  queue.set_max_bytes(state.config.max_bytes());
  for (const GroupState& group : state.groups) {
    queue.add_groups()->set_name(group.name);
    queue.mutable_groups(queue.groups_size() - 1)->set_partitioned(group.partitioned);
  }
  FillTime(state.created_us, queue.mutable_created());
  for (const auto& [sequence, content] : Kept(state)) {
    queue.set_messages(queue.messages() + 1);
    uint64_t bytes = content->key.size() + content->payload.size() + content->id.size();
    for (const auto& [header, value] : content->headers) bytes += header.size() + value.size();
    queue.set_bytes(queue.bytes() + bytes);
  }
  return queue;
}

PullReply Model::Await(const PullRequest& request) const {
  PullReply reply;
  const State* queue = Find(request.queue());
  reply.set_outcome(Refused(queue, request));
  if (reply.outcome() != PullOutcome::unspecified) return reply;
  reply.set_outcome(PullOutcome::empty);
  for (const GroupState& group : queue->groups) {
    if (group.name != (request.group().empty() ? "default" : request.group())) continue;
    const auto line = group.lines.find(request.partition());
    if (line != group.lines.end() && !line->second.empty()) {
      reply.set_outcome(PullOutcome::available);
    }
  }
  return reply;
}

std::optional<Queue> Model::Get(const GetRequest& request) const {
  const State* queue = Find(request.name());
  if (queue == nullptr) return std::nullopt;
  return Describe(*queue);
}

ListReply Model::List(const ListRequest& request) const {
  ListReply reply;
  const int limit = request.limit() == 0 ? 100 : static_cast<int>(request.limit());
  for (const auto& [name, queue] : queues_) {
    if (name < request.cursor()) continue;
    if (reply.queues_size() == limit) {
      reply.set_next_cursor(name);
      break;
    }
    *reply.add_queues() = Describe(queue);
  }
  return reply;
}

std::optional<StatsReply> Model::Stats(const StatsRequest& request) const {
  const State* queue = Find(request.queue());
  if (queue == nullptr) return std::nullopt;
  StatsReply reply;
  for (const GroupState& group : queue->groups) {
    GroupStats* stats = reply.add_groups();
    stats->set_name(group.name);
    stats->set_partitioned(group.partitioned);
    stats->set_messages(group.items.size());
    for (const Item& item : group.items) {
      if (item.state == Item::kInLine) stats->set_ready(stats->ready() + 1);
      if (item.state == Item::kOut) stats->set_in_flight(stats->in_flight() + 1);
      if (item.state == Item::kDelayed) stats->set_delayed(stats->delayed() + 1);
    }
  }
  const Queue all = Describe(*queue);
  reply.set_messages(all.messages());
  reply.set_bytes(all.bytes());
  reply.set_published(queue->last);
  std::map<uint32_t, uint64_t> partitions;
  for (const auto& [sequence, content] : Kept(*queue)) ++partitions[content->partition];
  for (const auto& [partition, messages] : partitions) {
    if (!request.partitions()) break;
    reply.add_partitions()->set_partition(partition);
    reply.mutable_partitions(reply.partitions_size() - 1)->set_messages(messages);
  }
  return reply;
}

std::optional<PeekReply> Model::Peek(const PeekRequest& request) const {
  const State* queue = Find(request.queue());
  if (queue == nullptr) return std::nullopt;
  PeekReply reply;
  const int limit = request.limit() == 0 ? 100 : static_cast<int>(request.limit());
  const uint64_t from = request.cursor().empty() ? 0 : std::stoull(request.cursor());
  for (const auto& [sequence, content] : Kept(*queue)) {
    if (sequence < from) continue;
    if (reply.messages_size() == limit) {
      reply.set_next_cursor(std::to_string(sequence));
      break;
    }
    Message* message = reply.add_messages();
    Fill(*queue, sequence, *content, message);
    if (content->due_us > now_.log_us) FillTime(content->due_us, message->mutable_visible());
  }
  return reply;
}

}  // namespace holdfast::queues
