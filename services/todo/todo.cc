#include "services/todo/todo.h"

#include <utility>
#include <vector>

#include "services/todo/describe.h"
#include "services/todo/validate.h"
#include "src/base/bounds.h"
#include "src/base/timestamp.h"
#include "src/state_machine/registry.h"

namespace holdfast::todo {

template <class Request>
Todo::Found Todo::FindTask(const Request& request) {
  const TaskRow* row = tables_.tasks.Find({request.user(), request.id()});
  if (row == nullptr) return {TaskOutcome::task_not_found, std::nullopt};
  const bool fits = request.version() == 0 || request.version() == row->version;
  return {fits ? TaskOutcome::unspecified : TaskOutcome::version_mismatch, *row};
}

TaskOutcome::Code Todo::Room(const std::string& user, const std::string& list) {
  if (const ListRow* row = tables_.lists.Find({user, list})) {
    return row->tasks < bounds::kTodoListTasksMax ? TaskOutcome::unspecified
                                                  : TaskOutcome::too_many_tasks;
  }
  const UserRow* owner = tables_.users.Find(user);
  if (owner != nullptr && owner->lists >= bounds::kTodoListsMax) return TaskOutcome::too_many_lists;
  return TaskOutcome::unspecified;
}

void Todo::Tell(const std::string& user, uint64_t id, const TaskRow& row, TaskReply* reply) {
  FillTask(id, tables_.places.Find({user, id})->list, row, reply->mutable_task());
}

void Todo::Change(const std::string& user, uint64_t id, TaskRow row, WriteContext& context,
                  TaskReply* reply) {
  ++row.version;
  row.changed_us = context.now().us;
  Tell(user, id, row, reply);
  tables_.tasks.Put({user, id}, std::move(row));
}

Result<void> Todo::Add(const AddRequest& request, WriteContext& context, TaskReply* reply) {
  const std::string& user = request.user();
  const UserRow* known = tables_.users.Find(user);
  MetaRow meta = tables_.meta.Get(kOnlyRow).value_or(MetaRow());
  if (known == nullptr && meta.users >= bounds::kTodoUsersMax) {
    reply->set_outcome(TaskOutcome::too_many_users);
    return {};
  }
  std::string list = ListOf(request.list());
  if (const auto full = Room(user, list); full != TaskOutcome::unspecified) {
    reply->set_outcome(full);
    return {};
  }
  UserRow owner = known == nullptr ? UserRow() : *known;
  if (known == nullptr) {
    ++meta.users;
    tables_.meta.Put(kOnlyRow, meta);
  }
  const uint64_t id = ++owner.last_id;
  tables_.users.Put(user, owner);
  TaskRow row;
  row.title = request.title();
  row.note = request.note();
  if (request.has_due()) row.due_us = FloorUs(request.due());
  row.created_us = row.changed_us = context.now().us;
  if (row.due_us) tables_.due.Put({user, *row.due_us, id}, {});
  order_.Enter(user, id, false, {std::move(list), Order::Where::kLast});
  Tell(user, id, row, reply);
  tables_.tasks.PutNew({user, id}, std::move(row));
  reply->set_outcome(TaskOutcome::added);
  return {};
}

Result<void> Todo::Edit(const EditRequest& request, WriteContext& context, TaskReply* reply) {
  const std::string& user = request.user();
  const uint64_t id = request.id();
  const Found found = FindTask(request);
  if (found.refused != TaskOutcome::unspecified) {
    reply->set_outcome(found.refused);
    if (found.row) Tell(user, id, *found.row, reply);
    return {};
  }
  const std::string list = tables_.places.Find({user, id})->list;
  const bool leaves = !request.list().empty() && request.list() != list;
  if (leaves) {
    if (const auto full = Room(user, request.list()); full != TaskOutcome::unspecified) {
      reply->set_outcome(full);
      Tell(user, id, *found.row, reply);
      return {};
    }
  }
  TaskRow row = *found.row;
  if (request.has_title()) row.title = request.title();
  if (request.has_note()) row.note = request.note();
  if (request.has_due()) row.due_us = FloorUs(request.due());
  if (request.clear_due()) row.due_us.reset();
  if (request.has_done() && request.done() != row.done()) {
    row.completed_us = request.done() ? std::optional(context.now().us) : std::nullopt;
  }
  reply->set_outcome(TaskOutcome::edited);
  if (row.Fields() == found.row->Fields() && !leaves) {
    Tell(user, id, row, reply);
    return {};
  }
  if (row.due_us != found.row->due_us) {
    if (found.row->due_us) tables_.due.EraseKnown({user, *found.row->due_us, id});
    if (row.due_us) tables_.due.Put({user, *row.due_us, id}, {});
  }
  if (leaves) {
    order_.Leave(user, id);
    order_.Enter(user, id, row.done(), {request.list(), Order::Where::kLast});
  } else if (row.done() != found.row->done()) {
    order_.SetDone(user, id, row.done());
  }
  Change(user, id, std::move(row), context, reply);
  return {};
}

template <class Request>
void Todo::SetDone(const Request& request, bool done, WriteContext& context, TaskReply* reply) {
  const std::string& user = request.user();
  Found found = FindTask(request);
  reply->set_outcome(found.refused);
  if (!found.row) return;
  if (found.refused == TaskOutcome::unspecified && found.row->done() == done) {
    reply->set_outcome(done ? TaskOutcome::already_done : TaskOutcome::already_open);
  }
  if (reply->outcome() != TaskOutcome::unspecified) {
    Tell(user, request.id(), *found.row, reply);
    return;
  }
  found.row->completed_us = done ? std::optional(context.now().us) : std::nullopt;
  order_.SetDone(user, request.id(), done);
  Change(user, request.id(), *std::move(found.row), context, reply);
  reply->set_outcome(done ? TaskOutcome::completed : TaskOutcome::reopened);
}

Result<void> Todo::Complete(const CompleteRequest& request, WriteContext& context,
                            TaskReply* reply) {
  SetDone(request, true, context, reply);
  return {};
}

Result<void> Todo::Reopen(const ReopenRequest& request, WriteContext& context, TaskReply* reply) {
  SetDone(request, false, context, reply);
  return {};
}

void Todo::Remove(const std::string& user, uint64_t id) {
  const TaskRow* row = tables_.tasks.Find({user, id});
  if (row->due_us) tables_.due.EraseKnown({user, *row->due_us, id});
  order_.Leave(user, id);
  tables_.tasks.EraseKnown({user, id});
}

Result<void> Todo::Delete(const DeleteRequest& request, WriteContext& /*context*/,
                          TaskReply* reply) {
  const Found found = FindTask(request);
  reply->set_outcome(found.refused);
  if (!found.row) return {};
  Tell(request.user(), request.id(), *found.row, reply);
  if (found.refused != TaskOutcome::unspecified) return {};
  Remove(request.user(), request.id());
  reply->set_outcome(TaskOutcome::deleted);
  return {};
}

Result<void> Todo::Move(const MoveRequest& request, WriteContext& context, TaskReply* reply) {
  const std::string& user = request.user();
  const uint64_t id = request.id();
  const Found found = FindTask(request);
  const auto refuse = [&](TaskOutcome::Code outcome) -> Result<void> {
    reply->set_outcome(outcome);
    if (found.row) Tell(user, id, *found.row, reply);
    return {};
  };
  if (found.refused != TaskOutcome::unspecified) return refuse(found.refused);
  const PlaceRow place = *tables_.places.Find({user, id});
  Order::Spot spot{place.list, request.first() ? Order::Where::kFirst : Order::Where::kLast};
  if (const uint64_t anchor = request.before() + request.after(); anchor != 0) {
    const PlaceRow* there = tables_.places.Find({user, anchor});
    if (there == nullptr) return refuse(TaskOutcome::anchor_not_found);
    spot = {there->list, request.before() != 0 ? Order::Where::kBefore : Order::Where::kAfter,
            there->rank};
  }
  if (spot.list != place.list) {
    const auto full = Room(user, spot.list);
    if (full != TaskOutcome::unspecified) return refuse(full);
  }
  reply->set_outcome(TaskOutcome::moved);
  if (order_.IsAt(user, place, spot)) {
    Tell(user, id, *found.row, reply);
    return {};
  }
  order_.Leave(user, id);
  order_.Enter(user, id, found.row->done(), std::move(spot));
  Change(user, id, *found.row, context, reply);
  return {};
}

Result<void> Todo::ClearDone(const ClearDoneRequest& request, WriteContext& /*context*/,
                             ClearDoneReply* reply) {
  const std::string& user = request.user();
  const std::string list = ListOf(request.list());
  // As many as there are: a list of which nothing is done costs nothing, however long it is.
  const ListRow* counts = tables_.lists.Find({user, list});
  const uint32_t all = counts == nullptr ? 0 : counts->done;
  if (all == 0) return {};
  reply->set_more(all > bounds::kTodoClearedMax);
  const size_t count = std::min(all, bounds::kTodoClearedMax);
  std::vector<uint64_t> done;
  tables_.order.Scan({user, list, 0}, [&](const OrderKey& key, const OrderRow& row) {
    if (std::get<0>(key) != user || std::get<1>(key) != list) return false;
    if (row.done) done.push_back(row.id);
    return done.size() < count;
  });
  for (const uint64_t id : done) Remove(user, id);
  reply->set_cleared(static_cast<uint32_t>(done.size()));
  return {};
}

void Register(state_machine::Registry& registry) {
  registry.Add("holdfast.todo.Todo", std::make_unique<Todo>(registry.store()))
      .Write("Add", &Todo::Add, &Validate)
      .Write("Edit", &Todo::Edit, &Validate)
      .Write("Complete", &Todo::Complete, &Validate)
      .Write("Reopen", &Todo::Reopen, &Validate)
      .Write("Delete", &Todo::Delete, &Validate)
      .Write("Move", &Todo::Move, &Validate)
      .Write("ClearDone", &Todo::ClearDone, &Validate)
      .Read("Get", &Todo::Get, &Validate)
      .Read("List", &Todo::List, &Validate)
      .Read("Lists", &Todo::Lists, &Validate);
}

}  // namespace holdfast::todo
