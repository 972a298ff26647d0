// What must hold after every entry; see tables.h.
#include <map>

#include "services/todo/todo.h"

namespace holdfast::todo {
namespace {

// Up to so many tasks everything is counted anew each time.
constexpr uint64_t kCountedMax = 2'048;

}  // namespace

std::optional<std::string> Todo::CheckInvariants() const {
  std::optional<std::string> broken;
  const auto expect = [&broken](bool holds, const std::string& what) {
    if (!holds && !broken) broken = what;
  };
  uint64_t users = 0, tasks = 0, dues = 0;
  tables_.users.Scan("", [&](const std::string&, const UserRow&) {
    ++users;
    return true;
  });
  expect(tables_.meta.Get(kOnlyRow).value_or(MetaRow()).users == users, "miscounted users");
  std::map<std::string, uint32_t> lists_of;
  tables_.lists.Scan({"", ""}, [&](const ListKey& key, const ListRow& row) {
    const auto& [user, list] = key;
    expect(row.tasks >= 1 && row.done <= row.tasks, "the counts of list " + list);
    ++lists_of[user];
    tasks += row.tasks;
    return true;
  });
  tables_.users.Scan("", [&](const std::string& user, const UserRow& row) {
    expect(row.lists == lists_of[user], "miscounted lists of user " + user);
    lists_of.erase(user);
    return true;
  });
  expect(lists_of.empty(), "lists of nobody");
  if (broken || tasks > kCountedMax) return broken;

  std::map<ListKey, ListRow> counts;
  tables_.order.Scan({"", "", 0}, [&](const OrderKey& key, const OrderRow& row) {
    const auto& [user, list, rank] = key;
    ListRow& count = counts[{user, list}];
    ++count.tasks;
    count.done += row.done ? 1 : 0;
    const std::string name = "task " + std::to_string(row.id) + " of user " + user;
    const auto place = tables_.places.Get({user, row.id});
    expect(place && place->list == list && place->rank == rank, name + " is elsewhere");
    expect(rank > 0 && rank < kRankEnd, name + " has no possible rank");
    const auto task = tables_.tasks.Get({user, row.id});
    expect(task && task->done() == row.done, name + " is done and not done");
    return true;
  });
  tables_.lists.Scan({"", ""}, [&](const ListKey& key, const ListRow& row) {
    const ListRow& count = counts[key];
    expect(count.tasks == row.tasks && count.done == row.done, "miscounted " + std::get<1>(key));
    return true;
  });
  tables_.due.Scan({"", std::numeric_limits<int64_t>::min(), 0},
                   [&](const DueKey& key, const NoRow&) {
                     const auto& [user, due_us, id] = key;
                     ++dues;
                     const auto task = tables_.tasks.Get({user, id});
                     expect(task && task->due_us == due_us, "a due date of no task");
                     return true;
                   });
  tables_.tasks.Scan({"", 0}, [&](const TaskKey& key, const TaskRow& row) {
    const auto& [user, id] = key;
    --tasks;
    dues -= row.due_us ? 1 : 0;
    expect(tables_.places.Get(key).has_value(), "a task has no place");
    const auto owner = tables_.users.Get(user);
    expect(owner && id >= 1 && id <= owner->last_id, "a task has an id from the future");
    expect(row.version >= 1 && row.changed_us >= row.created_us, "a task changed before it was");
    return true;
  });
  expect(tasks == 0, "tasks that no list counts, or the other way round");
  expect(dues == 0, "tasks that are due and not listed so");
  return broken;
}

}  // namespace holdfast::todo
