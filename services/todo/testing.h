// For the tests of the to-do lists: the service in the machine that runs it, and short ways to call
// it.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "services/todo/describe.h"
#include "services/todo/todo.h"
#include "src/base/timestamp.h"
#include "src/state_machine/testing/service_fixture.h"

namespace holdfast::todo {

void Register(state_machine::Registry& registry);

namespace testing {

inline constexpr uint8_t kTodo = 8;

class TodoFixture : public state_machine::testing::ServiceFixture {
 protected:
  TodoFixture() : ServiceFixture({&todo::Register}) {}

  // Every write is followed by a look at what must hold.
  template <class Reply>
  Reply Do(const std::string& method, const google::protobuf::Message& request) {
    const Reply reply = Write<Reply>("todo." + method, request);
    EXPECT_EQ(Broken(kTodo), "") << method << " " << request.ShortDebugString();
    return reply;
  }

  static AddRequest AddOf(const std::string& user, const std::string& title,
                          const std::string& list = "") {
    AddRequest request;
    request.set_user(user);
    request.set_title(title);
    request.set_list(list);
    return request;
  }
  TaskReply Add(const std::string& user, const std::string& title, const std::string& list = "") {
    return Do<TaskReply>("Add", AddOf(user, title, list));
  }
  TaskReply AddDue(const std::string& user, const std::string& title, int64_t due_us) {
    AddRequest request = AddOf(user, title);
    FillTime(due_us, request.mutable_due());
    return Do<TaskReply>("Add", request);
  }
  template <class Request>
  static Request Of(const std::string& user, uint64_t id, uint64_t version = 0) {
    Request request;
    request.set_user(user);
    request.set_id(id);
    if constexpr (requires { request.set_version(version); }) request.set_version(version);
    return request;
  }
  TaskReply Complete(const std::string& user, uint64_t id, uint64_t version = 0) {
    return Do<TaskReply>("Complete", Of<CompleteRequest>(user, id, version));
  }
  TaskReply Reopen(const std::string& user, uint64_t id, uint64_t version = 0) {
    return Do<TaskReply>("Reopen", Of<ReopenRequest>(user, id, version));
  }
  TaskReply Delete(const std::string& user, uint64_t id, uint64_t version = 0) {
    return Do<TaskReply>("Delete", Of<DeleteRequest>(user, id, version));
  }
  ClearDoneReply ClearDone(const std::string& user, const std::string& list = "") {
    ClearDoneRequest request;
    request.set_user(user);
    request.set_list(list);
    return Do<ClearDoneReply>("ClearDone", request);
  }

  Result<Task> Get(const std::string& user, uint64_t id) {
    return Read<Task>("todo.Get", Of<GetRequest>(user, id));
  }
  ListReply List(const ListRequest& request) { return *Read<ListReply>("todo.List", request); }
  static ListRequest ListOf(const std::string& user, const std::string& list = "") {
    ListRequest request;
    request.set_user(user);
    request.set_list(list);
    return request;
  }
  // "title title ..." of a page.
  static std::string Titles(const ListReply& reply) {
    std::string all;
    for (const Task& task : reply.tasks()) all += (all.empty() ? "" : " ") + task.title();
    return all;
  }
  std::string Titles(const std::string& user, const std::string& list = "") {
    return Titles(List(ListOf(user, list)));
  }
  std::string Lists(const std::string& user) {
    ListsRequest request;
    request.set_user(user);
    std::string all;
    const auto reply = Read<ListsReply>("todo.Lists", request);
    for (const TaskList& list : reply->lists()) {
      all += list.list() + ":" + std::to_string(list.done()) + "/" + std::to_string(list.tasks());
      all += ' ';
    }
    return all;
  }
  static std::string Name(const TaskReply& reply) {
    return TaskOutcome::Code_Name(reply.outcome());
  }
};

}  // namespace testing
}  // namespace holdfast::todo
