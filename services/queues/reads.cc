#include <charconv>

#include "services/queues/describe.h"
#include "services/queues/queues.h"
#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/base/timestamp.h"

namespace holdfast::queues {
namespace {

Error NoQueue(const std::string& name) { return NotFound("there is no queue '" + name + "'"); }

size_t RowsOf(uint32_t limit) { return limit == 0 ? bounds::kPageRowsDefault : limit; }

}  // namespace

Result<void> Queues::Get(const GetRequest& request, const ReadContext& /*context*/,
                         Queue* reply) const {
  const auto row = tables_.queues.Get(request.name());
  if (!row) return Fail(NoQueue(request.name()));
  FillQueue(request.name(), *row, reply);
  return {};
}

Result<void> Queues::List(const ListRequest& request, const ReadContext& /*context*/,
                          ListReply* reply) const {
  size_t left = RowsOf(request.limit());
  tables_.queues.Scan(request.cursor(), [&](const std::string& name, const QueueRow& row) {
    if (left == 0) {
      reply->set_next_cursor(name);
      return false;
    }
    --left;
    FillQueue(name, row, reply->add_queues());
    return true;
  });
  return {};
}

Result<void> Queues::Peek(const PeekRequest& request, const ReadContext& context,
                          PeekReply* reply) const {
  const auto queue = tables_.queues.Get(request.queue());
  if (!queue) return Fail(NoQueue(request.queue()));
  const auto level = tables_.levels.Get(queue->number);
  HOLDFAST_CHECK(level.has_value(), "a queue without a level: " + request.queue());
  Sequence from = level->floor;
  if (!request.cursor().empty()) {
    Sequence cursor = 0;
    std::from_chars(request.cursor().data(), request.cursor().data() + request.cursor().size(),
                    cursor);
    from = std::max(from, cursor);
  }
  size_t left = RowsOf(request.limit());
  size_t bytes = 0;
  tables_.messages.Scan({queue->number, from}, [&](const MessageKey& key, const MessageRow& row) {
    if (std::get<0>(key) != queue->number) return false;
    if (left == 0 || bytes > bounds::kQueuePullBytesMax) {
      reply->set_next_cursor(std::to_string(std::get<1>(key)));
      return false;
    }
    --left;
    Message* message = reply->add_messages();
    FillMessage(std::get<1>(key), row, *tables_.bodies.Get(key), queue->partitions, message);
    if (row.due_us > context.now.us) FillTime(row.due_us, message->mutable_visible());
    if (row.dead) FillDeadLetter(*tables_.origins.Get(key), message->mutable_dead_letter());
    bytes += message->ByteSizeLong();
    return true;
  });
  return {};
}

Result<void> Queues::Stats(const StatsRequest& request, const ReadContext& /*context*/,
                           StatsReply* reply) const {
  const auto queue = tables_.queues.Get(request.queue());
  if (!queue) return Fail(NoQueue(request.queue()));
  const auto level = tables_.levels.Get(queue->number);
  HOLDFAST_CHECK(level.has_value(), "a queue without a level: " + request.queue());
  reply->set_messages(level->messages);
  reply->set_bytes(level->bytes);
  reply->set_published(level->last);
  for (const GroupEntry& entry : queue->groups) {
    const auto row = tables_.groups.Get({queue->number, entry.number});
    GroupStats* group = reply->add_groups();
    group->set_name(entry.name);
    group->set_partitioned(entry.partitioned);
    group->set_messages(row->messages);
    group->set_ready(row->ready);
    group->set_in_flight(row->in_flight);
    group->set_delayed(row->delayed);
  }
  if (!request.partitions()) return {};
  tables_.counts.Scan({queue->number, 0}, [&](const auto& key, const CountRow& row) {
    if (std::get<0>(key) != queue->number) return false;
    PartitionStats* partition = reply->add_partitions();
    partition->set_partition(static_cast<uint32_t>(std::get<1>(key)));
    partition->set_messages(row.messages);
    return true;
  });
  return {};
}

}  // namespace holdfast::queues
