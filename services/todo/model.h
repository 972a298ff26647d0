// To-do lists in the plainest words: each list is a row of tasks in order, looked through from the
// beginning for everything.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "services/todo/describe.h"
#include "services/todo/order.h"
#include "services/todo/todo.pb.h"
#include "src/base/bounds.h"
#include "src/base/timestamp.h"

namespace holdfast::todo {

class Model {
 public:
  void PassTo(int64_t now_us) { now_us_ = now_us; }

  // --- Writes
  TaskReply Add(const AddRequest& request) {
    if (!users_.contains(request.user()) && users_.size() >= bounds::kTodoUsersMax) {
      return Only(TaskOutcome::too_many_users);
    }
    const std::string list = request.list().empty() ? "tasks" : request.list();
    if (const auto full = Room(request.user(), list)) return Only(*full);
    User& user = users_[request.user()];
    Entry entry;
    entry.task.set_id(++user.last_id);
    entry.task.set_list(list);
    entry.task.set_title(request.title());
    entry.task.set_note(request.note());
    if (request.has_due()) FillTime(FloorUs(request.due()), entry.task.mutable_due());
    FillTime(now_us_, entry.task.mutable_created());
    Insert(user, std::move(entry), user.lists[list].size());
    return Changed(*Find(request.user(), user.last_id), TaskOutcome::added);
  }

  TaskReply Edit(const EditRequest& request) {
    Task* task = nullptr;
    if (auto refused = Refused(request, &task)) return *refused;
    const bool leaves = !request.list().empty() && request.list() != task->list();
    if (leaves) {
      if (const auto full = Room(request.user(), request.list())) return Told(*full, *task);
    }
    const std::string before = task->SerializeAsString();
    if (request.has_title()) task->set_title(request.title());
    if (request.has_note()) task->set_note(request.note());
    if (request.has_due()) FillTime(FloorUs(request.due()), task->mutable_due());
    if (request.clear_due()) task->clear_due();
    if (request.has_done()) SetDone(request.done(), task);
    if (leaves) {
      User& user = users_[request.user()];
      Entry entry = Take(user, task->list(), task->id());
      entry.task.set_list(request.list());
      Insert(user, std::move(entry), user.lists[request.list()].size());
      task = Find(request.user(), request.id());
    }
    if (task->SerializeAsString() == before) return Told(TaskOutcome::edited, *task);
    return Changed(*task, TaskOutcome::edited);
  }

  template <class Request>
  TaskReply Mark(const Request& request, bool done) {
    Task* task = nullptr;
    if (auto refused = Refused(request, &task)) return *refused;
    if (task->done() == done) {
      return Told(done ? TaskOutcome::already_done : TaskOutcome::already_open, *task);
    }
    SetDone(done, task);
    return Changed(*task, done ? TaskOutcome::completed : TaskOutcome::reopened);
  }
  TaskReply Complete(const CompleteRequest& request) { return Mark(request, true); }
  TaskReply Reopen(const ReopenRequest& request) { return Mark(request, false); }

  TaskReply Delete(const DeleteRequest& request) {
    Task* task = nullptr;
    if (auto refused = Refused(request, &task)) return *refused;
    const TaskReply reply = Told(TaskOutcome::deleted, *task);
    Take(users_[request.user()], reply.task().list(), request.id());
    return reply;
  }

  TaskReply Move(const MoveRequest& request) {
    Task* task = nullptr;
    if (auto refused = Refused(request, &task)) return *refused;
    const uint64_t anchor = request.before() != 0 ? request.before() : request.after();
    std::string list = task->list();
    if (anchor != 0) {
      const Task* there = Find(request.user(), anchor);
      if (there == nullptr) return Told(TaskOutcome::anchor_not_found, *task);
      list = there->list();
    }
    if (list != task->list()) {
      if (const auto full = Room(request.user(), list)) return Told(*full, *task);
    }
    User& user = users_[request.user()];
    const size_t old_at = IndexOf(user.lists[task->list()], request.id());
    const bool stays = list == task->list();
    // Where it would be if it were not there yet.
    std::vector<uint64_t> others;
    for (const Entry& entry : user.lists[list]) {
      if (entry.task.id() != request.id()) others.push_back(entry.task.id());
    }
    size_t at = request.first() ? 0 : others.size();
    for (size_t i = 0; i < others.size(); ++i) {
      if (others[i] == anchor) at = request.before() != 0 ? i : i + 1;
    }
    if (stays && at == old_at) return Told(TaskOutcome::moved, *task);
    Entry entry = Take(user, task->list(), request.id());
    entry.task.set_list(list);
    Insert(user, std::move(entry), at);
    return Changed(*Find(request.user(), request.id()), TaskOutcome::moved);
  }

  ClearDoneReply ClearDone(const ClearDoneRequest& request) {
    ClearDoneReply reply;
    const std::string list = request.list().empty() ? "tasks" : request.list();
    const auto user = users_.find(request.user());
    if (user == users_.end() || !user->second.lists.contains(list)) return reply;
    std::vector<uint64_t> done;
    for (const Entry& entry : user->second.lists[list]) {
      if (entry.task.done()) done.push_back(entry.task.id());
    }
    reply.set_more(done.size() > bounds::kTodoClearedMax);
    if (reply.more()) done.resize(bounds::kTodoClearedMax);
    for (const uint64_t id : done) Take(user->second, list, id);
    reply.set_cleared(static_cast<uint32_t>(done.size()));
    return reply;
  }

  // --- Reads
  std::optional<Task> Get(const GetRequest& request) const {
    const auto user = users_.find(request.user());
    if (user == users_.end()) return std::nullopt;
    for (const auto& [name, list] : user->second.lists) {
      for (const Entry& entry : list) {
        if (entry.task.id() == request.id()) return entry.task;
      }
    }
    return std::nullopt;
  }

  ListReply List(const ListRequest& request) const {
    struct Row {
      const Entry* entry;
      std::string cursor;
    };
    std::vector<Row> rows;  // All that could be on a page, in order.
    const bool by_due = ByDue(request);
    const auto user = users_.find(request.user());
    if (user != users_.end()) {
      for (const auto& [name, list] : user->second.lists) {
        if (!by_due && !request.list().empty() && name != request.list()) continue;
        for (const Entry& entry : list) {
          if (!by_due) rows.push_back({&entry, PlaceCursor{name, entry.rank}.Text()});
          if (!by_due || !entry.task.has_due()) continue;
          const int64_t due_us = FloorUs(entry.task.due());
          if (request.has_due_from() && due_us < CeilingUs(request.due_from())) continue;
          if (request.has_due_before() && due_us >= CeilingUs(request.due_before())) continue;
          rows.push_back({&entry, DueCursor{due_us, entry.task.id()}.Text()});
        }
      }
    }
    const auto due_and_id = [](const Row& row) {
      return std::pair(FloorUs(row.entry->task.due()), row.entry->task.id());
    };
    if (by_due) {
      std::sort(rows.begin(), rows.end(),
                [&](const Row& a, const Row& b) { return due_and_id(a) < due_and_id(b); });
    }
    std::erase_if(rows, [&](const Row& row) {
      if (request.cursor().empty()) return false;
      if (by_due) {
        const DueCursor cursor = *DueCursor::Parse(request.cursor());
        return due_and_id(row) <= std::pair(cursor.due_us, cursor.id);
      }
      const PlaceCursor cursor = *PlaceCursor::Parse(request.cursor());
      return std::pair(row.entry->task.list(), row.entry->rank) <=
             std::pair(cursor.list, cursor.rank);
    });
    ListReply reply;
    const size_t limit = request.limit() == 0 ? bounds::kPageRowsDefault : request.limit();
    size_t bytes = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (static_cast<size_t>(reply.tasks_size()) == limit || bytes >= bounds::kTodoPageBytesMax ||
          i == bounds::kPageRowsMax) {
        reply.set_next_cursor(rows[i - 1].cursor);
        break;
      }
      const Task& task = rows[i].entry->task;
      if (!request.list().empty() && task.list() != request.list()) continue;
      if (request.state() == TaskState::open && task.done()) continue;
      if (request.state() == TaskState::done && !task.done()) continue;
      if (task.title().find(request.contains()) == std::string::npos) continue;
      *reply.add_tasks() = task;
      bytes += task.ByteSizeLong();
    }
    return reply;
  }

  ListsReply Lists(const ListsRequest& request) const {
    ListsReply reply;
    const auto user = users_.find(request.user());
    if (user == users_.end()) return reply;
    for (const auto& [name, list] : user->second.lists) {
      TaskList* told = reply.add_lists();
      told->set_list(name);
      told->set_tasks(static_cast<uint32_t>(list.size()));
      for (const Entry& entry : list) told->set_done(told->done() + (entry.task.done() ? 1 : 0));
    }
    return reply;
  }

  std::vector<std::string> Users() const {
    std::vector<std::string> users;
    for (const auto& [name, user] : users_) users.push_back(name);
    return users;
  }

 private:
  // Ranks matter to nothing but cursors.
  struct Entry {
    Task task;
    uint64_t rank = 0;
  };
  using Entries = std::vector<Entry>;
  struct User {
    uint64_t last_id = 0;
    std::map<std::string, Entries> lists;  // None of them empty.
  };

  static TaskReply Only(TaskOutcome::Code outcome) {
    TaskReply reply;
    reply.set_outcome(outcome);
    return reply;
  }
  static TaskReply Told(TaskOutcome::Code outcome, const Task& task) {
    TaskReply reply = Only(outcome);
    *reply.mutable_task() = task;
    return reply;
  }
  TaskReply Changed(Task& task, TaskOutcome::Code outcome) {
    task.set_version(task.version() + 1);
    FillTime(now_us_, task.mutable_changed());
    return Told(outcome, task);
  }
  void SetDone(bool done, Task* task) {
    if (task->done() == done) return;
    task->set_done(done);
    task->clear_completed();
    if (done) FillTime(now_us_, task->mutable_completed());
  }

  Task* Find(const std::string& name, uint64_t id) {
    const auto user = users_.find(name);
    if (user == users_.end()) return nullptr;
    for (auto& [list_name, list] : user->second.lists) {
      for (Entry& entry : list) {
        if (entry.task.id() == id) return &entry.task;
      }
    }
    return nullptr;
  }
  template <class Request>
  std::optional<TaskReply> Refused(const Request& request, Task** task) {
    *task = Find(request.user(), request.id());
    if (*task == nullptr) return Only(TaskOutcome::task_not_found);
    if (request.version() != 0 && request.version() != (*task)->version()) {
      return Told(TaskOutcome::version_mismatch, **task);
    }
    return std::nullopt;
  }
  std::optional<TaskOutcome::Code> Room(const std::string& name, const std::string& list) const {
    const auto user = users_.find(name);
    if (user == users_.end()) return std::nullopt;
    const auto there = user->second.lists.find(list);
    if (there == user->second.lists.end()) {
      if (user->second.lists.size() >= bounds::kTodoListsMax) return TaskOutcome::too_many_lists;
    } else if (there->second.size() >= bounds::kTodoListTasksMax) {
      return TaskOutcome::too_many_tasks;
    }
    return std::nullopt;
  }
  static size_t IndexOf(const Entries& list, uint64_t id) {
    size_t at = 0;
    while (list[at].task.id() != id) ++at;
    return at;
  }
  static Entry Take(User& user, const std::string& list_name, uint64_t id) {
    const std::string name = list_name;  // It may be the task's own.
    Entries& list = user.lists[name];
    const auto at = list.begin() + static_cast<std::ptrdiff_t>(IndexOf(list, id));
    Entry entry = std::move(*at);
    list.erase(at);
    if (list.empty()) user.lists.erase(name);
    return entry;
  }
  static void Insert(User& user, Entry entry, size_t at) {
    Entries& list = user.lists[entry.task.list()];
    const auto rank = [&] {
      return RankBetween(at == 0 ? std::nullopt : std::optional(list[at - 1].rank),
                         at == list.size() ? std::nullopt : std::optional(list[at].rank));
    };
    if (!rank()) {
      for (size_t i = 0; i < list.size(); ++i) list[i].rank = kRankFirst + i * kRankStep;
    }
    entry.rank = *rank();
    list.insert(list.begin() + static_cast<std::ptrdiff_t>(at), std::move(entry));
  }

  int64_t now_us_ = 0;
  std::map<std::string, User> users_;
};

}  // namespace holdfast::todo
