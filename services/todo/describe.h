// Rows as the messages that callers see, times, and the cursors of lists.
#pragma once

#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <optional>
#include <string>

#include "services/todo/tables.h"
#include "services/todo/todo.pb.h"

namespace holdfast::todo {

// The list of a request, which may leave it to us.
inline std::string ListOf(const std::string& list) { return list.empty() ? kDefaultList : list; }

void FillTask(uint64_t id, const std::string& list, const TaskRow& row, Task* task);

// Whether a list goes by due date, or by list and place.
inline bool ByDue(const ListRequest& request) {
  return request.by_due() || request.has_due_from() || request.has_due_before();
}

// Behind which row a page begins.
struct PlaceCursor {
  std::string list;
  uint64_t rank = 0;

  std::string Text() const;
  static std::optional<PlaceCursor> Parse(const std::string& text);  // Only what Text makes.
};
struct DueCursor {
  int64_t due_us = 0;
  uint64_t id = 0;

  std::string Text() const;
  static std::optional<DueCursor> Parse(const std::string& text);  // Only what Text makes.
};

}  // namespace holdfast::todo
