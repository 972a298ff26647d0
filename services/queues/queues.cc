#include "services/queues/queues.h"

#include <algorithm>

#include "services/queues/describe.h"
#include "services/queues/validate.h"
#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/base/timestamp.h"
#include "src/state_machine/registry.h"

namespace holdfast::queues {
namespace {

constexpr uint32_t kPartitionsDefault = 16;
constexpr uint32_t kVisibilityDefault = 30;
constexpr uint32_t kDeliveriesDefault = 5;
constexpr uint32_t kDedupWindowDefault = 7 * 24 * 3'600;
constexpr uint64_t kMessagesDefault = 1'000'000;
constexpr uint64_t kBytesDefault = uint64_t{1} << 30;

template <class Number>
Number Or(Number value, Number otherwise) {
  return value == 0 ? otherwise : value;
}

QueueRow RowOf(const CreateRequest& request) {
  QueueRow row;
  row.partitions = Or(request.partitions(), kPartitionsDefault);
  row.visibility_seconds = Or(request.visibility_seconds(), kVisibilityDefault);
  row.dead_letter = request.dead_letter();
  if (!row.dead_letter.empty()) {
    row.max_deliveries = Or(request.max_deliveries(), kDeliveriesDefault);
  }
  row.dedup_window_seconds = Or(request.dedup_window_seconds(), kDedupWindowDefault);
  row.max_messages = Or(request.max_messages(), kMessagesDefault);
  row.max_bytes = Or(request.max_bytes(), kBytesDefault);
  for (const std::string& group : request.groups()) {
    row.groups.push_back({group, ++row.last_group, false});
  }
  if (row.groups.empty()) row.groups.push_back({kDefault, ++row.last_group, false});
  return row;
}

bool SameGroups(const QueueRow& a, const QueueRow& b) {
  // Their numbers tell only in which order they came to be.
  return std::equal(a.groups.begin(), a.groups.end(), b.groups.begin(), b.groups.end(),
                    [](const GroupEntry& one, const GroupEntry& other) {
                      return one.name == other.name && one.partitioned == other.partitioned;
                    });
}

// The first property in which they differ, as the API names it.
std::string Difference(const QueueRow& a, const QueueRow& b) {
  if (a.partitions != b.partitions) return "partitions";
  if (a.visibility_seconds != b.visibility_seconds) return "visibility_seconds";
  if (a.max_deliveries != b.max_deliveries) return "max_deliveries";
  if (a.dedup_window_seconds != b.dedup_window_seconds) return "dedup_window_seconds";
  if (a.dead_letter != b.dead_letter) return "dead_letter";
  if (a.max_messages != b.max_messages) return "max_messages";
  if (a.max_bytes != b.max_bytes) return "max_bytes";
  if (!SameGroups(a, b)) return "groups";
  return "";
}

}  // namespace

std::optional<QueueRow> Queues::FindQueue(const std::string& name) {
  const QueueRow* row = tables_.queues.Find(name);
  return row == nullptr ? std::nullopt : std::optional(*row);
}

void Queues::FillQueue(const std::string& name, const QueueRow& row, Queue* queue) const {
  queue->set_name(name);
  queue->set_partitions(row.partitions);
  queue->set_visibility_seconds(row.visibility_seconds);
  queue->set_max_deliveries(row.max_deliveries);
  queue->set_dedup_window_seconds(row.dedup_window_seconds);
  queue->set_dead_letter(row.dead_letter);
  queue->set_max_messages(row.max_messages);
  queue->set_max_bytes(row.max_bytes);
  for (const GroupEntry& entry : row.groups) {
    Group* group = queue->add_groups();
    group->set_name(entry.name);
    group->set_partitioned(entry.partitioned);
  }
  FillTime(row.created_us, queue->mutable_created());
  const auto level = tables_.levels.Get(row.number);
  HOLDFAST_CHECK(level.has_value(), "a queue without a level: " + name);
  queue->set_messages(level->messages);
  queue->set_bytes(level->bytes);
}

void Queues::ReplyQueue(const std::string& name, QueueOutcome::Code outcome,
                        QueueReply* reply) const {
  reply->set_outcome(outcome);
  if (const auto row = tables_.queues.Get(name)) FillQueue(name, *row, reply->mutable_queue());
}

// Counts a queue that sends its dead letters there.
void Queues::Feed(const std::string& dead_letter, bool more) {
  if (dead_letter.empty()) return;
  auto target = FindQueue(dead_letter);
  HOLDFAST_CHECK(target.has_value(), "no dead-letter queue " + dead_letter);
  more ? ++target->feeders : --target->feeders;
  tables_.queues.Put(dead_letter, *std::move(target));
}

// Empty, with the queue's groups.
void Queues::NewNumber(const std::string& name, QueueRow* queue, Sequence last) {
  const MetaRow* found = tables_.meta.Find(kOnlyRow);
  MetaRow meta = found == nullptr ? MetaRow{} : *found;
  queue->number = ++meta.last_number;
  tables_.meta.Put(kOnlyRow, meta);
  LevelRow level;
  level.last = last;
  level.floor = last + 1;
  level.name = name;
  tables_.levels.Put(queue->number, std::move(level));
  for (const GroupEntry& group : queue->groups) {
    tables_.groups.Put({queue->number, group.number}, {});
  }
}

bool Queues::NewQueue(const CreateRequest& request, int64_t now_us) {
  const MetaRow* found = tables_.meta.Find(kOnlyRow);
  MetaRow meta = found == nullptr ? MetaRow{} : *found;
  if (meta.queues >= bounds::kQueuesMax) return false;
  QueueRow row = RowOf(request);
  row.id = ++meta.last_id;
  row.created_us = now_us;
  meta.queues += 1;
  tables_.meta.Put(kOnlyRow, meta);
  NewNumber(request.name(), &row, 0);
  Feed(row.dead_letter, true);
  tables_.queues.Put(request.name(), std::move(row));
  return true;
}

Result<void> Queues::Create(const CreateRequest& request, WriteContext& context,
                            QueueReply* reply) {
  QueueOutcome::Code outcome = QueueOutcome::created;
  if (const auto row = FindQueue(request.name())) {
    reply->set_field(Difference(*row, RowOf(request)));
    outcome = reply->field().empty() ? QueueOutcome::already_exists
                                     : QueueOutcome::exists_with_different_config;
  } else if (!request.dead_letter().empty() && !FindQueue(request.dead_letter())) {
    outcome = QueueOutcome::dead_letter_not_found;
  } else if (!NewQueue(request, context.now().us)) {
    outcome = QueueOutcome::too_many_queues;
  }
  ReplyQueue(request.name(), outcome, reply);
  return {};
}

Result<void> Queues::Update(const UpdateRequest& request, WriteContext& context,
                            QueueReply* reply) {
  auto row = FindQueue(request.name());
  QueueOutcome::Code outcome = QueueOutcome::updated;
  if (!row) {
    outcome = QueueOutcome::queue_not_found;
  } else if (request.has_dead_letter()
                 ? !request.dead_letter().empty() && !FindQueue(request.dead_letter())
                 : request.max_deliveries() != 0 && row->dead_letter.empty()) {
    outcome = QueueOutcome::dead_letter_not_found;
  } else if (request.partitions() != 0 && request.partitions() < row->partitions) {
    outcome = QueueOutcome::partitions_cannot_shrink;
  } else {
    const bool grows = request.partitions() > row->partitions;
    row->partitions = Or(request.partitions(), row->partitions);
    row->visibility_seconds = Or(request.visibility_seconds(), row->visibility_seconds);
    row->dedup_window_seconds = Or(request.dedup_window_seconds(), row->dedup_window_seconds);
    row->max_messages = Or(request.max_messages(), row->max_messages);
    row->max_bytes = Or(request.max_bytes(), row->max_bytes);
    const std::string before = row->dead_letter;
    if (request.has_dead_letter()) row->dead_letter = request.dead_letter();
    if (row->dead_letter.empty()) {
      row->max_deliveries = 0;
    } else {
      row->max_deliveries =
          Or(request.max_deliveries(), Or(row->max_deliveries, kDeliveriesDefault));
    }
    const std::string after = row->dead_letter;
    if (grows) {
      for (const GroupEntry& group : row->groups) {
        if (!group.partitioned) continue;
        context.SetTimer(context.now(),
                         TimerKey(timer::kRefile, ReadyKey(row->number, group.number, 0, 0)));
      }
    }
    tables_.queues.Put(request.name(), *std::move(row));
    if (before != after) {
      Feed(before, false);
      Feed(after, true);
    }
  }
  ReplyQueue(request.name(), outcome, reply);
  return {};
}

Result<void> Queues::Delete(const DeleteRequest& request, WriteContext& context,
                            QueueReply* reply) {
  const auto row = FindQueue(request.name());
  if (!row || row->feeders > 0) {
    ReplyQueue(request.name(), row ? QueueOutcome::in_use : QueueOutcome::queue_not_found, reply);
    return {};
  }
  Trash(row->number, *row, context);
  for (const GroupEntry& group : row->groups) WakeAll(*row, group, context);
  tables_.queues.Erase(request.name());
  Feed(row->dead_letter, false);
  MetaRow meta = *tables_.meta.Find(kOnlyRow);
  meta.queues -= 1;
  tables_.meta.Put(kOnlyRow, meta);
  reply->set_outcome(QueueOutcome::deleted);
  return {};
}

Result<void> Queues::Purge(const PurgeRequest& request, WriteContext& context, QueueReply* reply) {
  auto row = FindQueue(request.name());
  if (!row) {
    reply->set_outcome(QueueOutcome::queue_not_found);
    return {};
  }
  const QueueNumber old = row->number;
  Trash(old, *row, context);
  row->retired.clear();
  NewNumber(request.name(), &*row, tables_.levels.Find(old)->last);
  tables_.queues.Put(request.name(), *std::move(row));
  ReplyQueue(request.name(), QueueOutcome::purged, reply);
  return {};
}

Result<void> Queues::CreateGroup(const CreateGroupRequest& request, WriteContext& /*context*/,
                                 QueueReply* reply) {
  auto row = FindQueue(request.queue());
  QueueOutcome::Code outcome = QueueOutcome::created;
  if (!row) {
    outcome = QueueOutcome::queue_not_found;
  } else if (const GroupEntry* group = row->FindGroup(request.group())) {
    const bool same = group->partitioned == request.partitioned();
    if (!same) reply->set_field("partitioned");
    outcome = same ? QueueOutcome::already_exists : QueueOutcome::exists_with_different_config;
  } else if (row->groups.size() + row->retired.size() >= bounds::kQueueGroupsMax) {
    outcome = QueueOutcome::too_many_groups;
  } else {
    row->groups.push_back({request.group(), ++row->last_group, request.partitioned()});
    tables_.groups.Put({row->number, row->last_group}, {});
    tables_.queues.Put(request.queue(), *std::move(row));
  }
  ReplyQueue(request.queue(), outcome, reply);
  return {};
}

Result<void> Queues::DeleteGroup(const DeleteGroupRequest& request, WriteContext& context,
                                 QueueReply* reply) {
  auto row = FindQueue(request.queue());
  const GroupEntry* group = row ? row->FindGroup(request.group()) : nullptr;
  QueueOutcome::Code outcome = QueueOutcome::deleted;
  if (!row) {
    outcome = QueueOutcome::queue_not_found;
  } else if (group == nullptr) {
    outcome = QueueOutcome::group_not_found;
  } else if (row->groups.size() == 1) {
    outcome = QueueOutcome::last_group;
  } else {
    const GroupNumber number = group->number;
    WakeAll(*row, *group, context);
    const LevelRow level = *tables_.levels.Find(row->number);
    context.SetTimer(context.now(), TimerKey(timer::kGroup, GroupSweep(row->number, number,
                                                                       level.floor, level.last)));
    std::erase_if(row->groups, [&](const GroupEntry& entry) { return entry.number == number; });
    row->retired.push_back(number);
    tables_.queues.Put(request.queue(), *std::move(row));
  }
  ReplyQueue(request.queue(), outcome, reply);
  return {};
}

// --- The method table

void Register(state_machine::Registry& registry) {
  registry.Add("holdfast.queues.Queues", std::make_unique<Queues>(registry.store()))
      .Write("Create", &Queues::Create, &Validate)
      .Write("Update", &Queues::Update, &Validate)
      .Write("Delete", &Queues::Delete)
      .Read("Get", &Queues::Get)
      .Read("List", &Queues::List)
      .Write("CreateGroup", &Queues::CreateGroup, &Validate)
      .Write("DeleteGroup", &Queues::DeleteGroup)
      .Write("Publish", &Queues::Publish, &Validate)
      .Write("PublishBatch", &Queues::PublishBatch, &Validate)
      .Write("Pull", &Queues::Pull, &Validate)
      .Read("AwaitPull", &Queues::AwaitPull, &Validate)
      .Write("Ack", &Queues::Ack, &Validate)
      .Write("Nack", &Queues::Nack, &Validate)
      .Write("Extend", &Queues::Extend, &Validate)
      .Read("Peek", &Queues::Peek, &Validate)
      .Write("Purge", &Queues::Purge)
      .Read("Stats", &Queues::Stats)
      .Write("Redrive", &Queues::Redrive)
      .Write("Push", &Queues::Push, &Validate)
      .Write("Pop", &Queues::Pop);
}

}  // namespace holdfast::queues
