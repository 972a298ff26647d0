// The rows of the to-do lists (docs/formats/store.md). Fields are appended to, never reordered or
// removed.
//
// Invariants (invariants.cc): every task has one place, and every place one row in the order of its
// list, which says whether the task is done. The tasks with a due date are those in `due`. The
// counts of lists, users and all are what there is; a list without tasks has no row.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>

#include "src/store/table.h"

namespace holdfast::todo {

// The list of tasks that name none.
inline constexpr char kDefaultList[] = "tasks";

struct TaskRow {
  std::string title;
  std::string note;
  std::optional<int64_t> due_us;
  std::optional<int64_t> completed_us;  // Of a task that is done.
  uint64_t version = 1;
  int64_t created_us = 0;
  int64_t changed_us = 0;

  bool done() const { return completed_us.has_value(); }
  auto Fields() {
    return std::tie(title, note, due_us, completed_us, version, created_us, changed_us);
  }
  auto Fields() const {
    return std::tie(title, note, due_us, completed_us, version, created_us, changed_us);
  }
};

// Apart from the task, so that a list that is numbered anew leaves titles and notes alone.
struct PlaceRow {
  std::string list;
  uint64_t rank = 0;
  auto Fields() { return std::tie(list, rank); }
  auto Fields() const { return std::tie(list, rank); }
};

struct OrderRow {
  uint64_t id = 0;
  bool done = false;
  auto Fields() { return std::tie(id, done); }
  auto Fields() const { return std::tie(id, done); }
};

struct ListRow {
  uint32_t tasks = 0;
  uint32_t done = 0;  // Of these.
  auto Fields() { return std::tie(tasks, done); }
  auto Fields() const { return std::tie(tasks, done); }
};

// Stays when the last task is gone: ids are not given again.
struct UserRow {
  uint64_t last_id = 0;
  uint32_t lists = 0;
  auto Fields() { return std::tie(last_id, lists); }
  auto Fields() const { return std::tie(last_id, lists); }
};

struct MetaRow {
  uint64_t users = 0;
  auto Fields() { return std::tie(users); }
  auto Fields() const { return std::tie(users); }
};

struct NoRow {
  auto Fields() { return std::tie(); }
  auto Fields() const { return std::tie(); }
};

using TaskKey = std::tuple<std::string, uint64_t>;                // (user, id)
using OrderKey = std::tuple<std::string, std::string, uint64_t>;  // (user, list, rank)
using ListKey = std::tuple<std::string, std::string>;             // (user, list)
using DueKey = std::tuple<std::string, int64_t, uint64_t>;        // (user, due, id)

inline constexpr uint64_t kOnlyRow = 0;

struct Tables {
  explicit Tables(store::Store& store)
      : tasks(store, {8, 1}, "todo tasks"),
        places(store, {8, 2}, "todo places"),
        order(store, {8, 3}, "todo order"),
        lists(store, {8, 4}, "todo lists"),
        due(store, {8, 5}, "todo due dates"),
        users(store, {8, 6}, "todo users"),
        meta(store, {8, 7}, "todo meta") {}

  store::SortedTable<TaskKey, TaskRow> tasks;
  store::HashTable<TaskKey, PlaceRow> places;
  store::SortedTable<OrderKey, OrderRow> order;
  store::SortedTable<ListKey, ListRow> lists;
  store::SortedTable<DueKey, NoRow> due;
  store::SortedTable<std::string, UserRow> users;
  store::HashTable<uint64_t, MetaRow> meta;
};

}  // namespace holdfast::todo
