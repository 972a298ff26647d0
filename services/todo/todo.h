// The to-do service: its methods, as todo.proto declares them. README.md is the reference page.
// Writes run on the apply thread; reads on any thread under the store's shared lock.
#pragma once

#include <optional>
#include <string>

#include "services/todo/order.h"
#include "services/todo/tables.h"
#include "services/todo/todo.pb.h"
#include "src/state_machine/service.h"

namespace holdfast::todo {

using state_machine::ReadContext;
using state_machine::WriteContext;

class Todo : public state_machine::Service {
 public:
  explicit Todo(store::Store& store) : tables_(store), order_(tables_) {}

  Result<void> Add(const AddRequest& request, WriteContext& context, TaskReply* reply);
  Result<void> Edit(const EditRequest& request, WriteContext& context, TaskReply* reply);
  Result<void> Complete(const CompleteRequest& request, WriteContext& context, TaskReply* reply);
  Result<void> Reopen(const ReopenRequest& request, WriteContext& context, TaskReply* reply);
  Result<void> Delete(const DeleteRequest& request, WriteContext& context, TaskReply* reply);
  Result<void> Move(const MoveRequest& request, WriteContext& context, TaskReply* reply);
  Result<void> ClearDone(const ClearDoneRequest& request, WriteContext& context,
                         ClearDoneReply* reply);

  // --- Reads (reads.cc)
  Result<void> Get(const GetRequest& request, const ReadContext& context, Task* reply) const;
  Result<void> List(const ListRequest& request, const ReadContext& context, ListReply* reply) const;
  Result<void> Lists(const ListsRequest& request, const ReadContext& context,
                     ListsReply* reply) const;

  std::optional<std::string> CheckInvariants() const override;  // invariants.cc

 private:
  // What a request that names a task and a version finds: the task, or the outcome that says why
  // not; with version_mismatch, both.
  struct Found {
    TaskOutcome::Code refused = TaskOutcome::unspecified;
    std::optional<TaskRow> row;
  };
  template <class Request>
  Found FindTask(const Request& request);
  // Whether another task fits into a list of the user; unspecified: it does.
  TaskOutcome::Code Room(const std::string& user, const std::string& list);
  // Gives the task its next version.
  void Change(const std::string& user, uint64_t id, TaskRow row, WriteContext& context,
              TaskReply* reply);
  template <class Request>
  void SetDone(const Request& request, bool done, WriteContext& context, TaskReply* reply);
  void Remove(const std::string& user, uint64_t id);
  void Tell(const std::string& user, uint64_t id, const TaskRow& row, TaskReply* reply);

  void ListByPlace(const ListRequest& request, ListReply* reply) const;
  void ListByDue(const ListRequest& request, ListReply* reply) const;

  Tables tables_;
  Order order_;
};

}  // namespace holdfast::todo
