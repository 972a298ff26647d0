// Tasks through the machine that runs them: every outcome, order, lists and their pages, and
// malformed requests.
#include "services/todo/testing.h"
#include "src/base/bounds.h"
#include "src/base/timestamp.h"

namespace holdfast::todo {
namespace {

constexpr int64_t kHour = int64_t{3'600} * 1'000'000;

class TodoTest : public testing::TodoFixture {
 protected:
  enum class Where { kBefore, kAfter, kFirst, kLast };
  TaskReply Move(const std::string& user, uint64_t id, Where where, uint64_t anchor = 0) {
    auto request = Of<MoveRequest>(user, id);
    if (where == Where::kBefore) request.set_before(anchor);
    if (where == Where::kAfter) request.set_after(anchor);
    request.set_first(where == Where::kFirst);
    return Do<TaskReply>("Move", request);
  }
};

TEST_F(TodoTest, WhatIsAddedIsThereAndOfItsUserAlone) {
  const TaskReply milk = Add("ann", "milk");
  EXPECT_EQ(Name(milk), "added");
  EXPECT_EQ(milk.task().id(), 1u);
  EXPECT_EQ(milk.task().version(), 1u);
  EXPECT_EQ(milk.task().list(), "tasks");
  EXPECT_FALSE(milk.task().done());
  EXPECT_EQ(Add("ann", "bread").task().id(), 2u);
  EXPECT_EQ(Add("bob", "nails").task().id(), 1u);
  EXPECT_EQ(Titles("ann"), "milk bread");
  EXPECT_EQ(Titles("bob"), "nails");
  EXPECT_EQ(Titles("nobody"), "");
  EXPECT_EQ(Get("ann", 1)->ShortDebugString(), milk.task().ShortDebugString());
  EXPECT_EQ(Get("ann", 3).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(Get("bob", 2).error().code, ErrorCode::kNotFound);
  Restart();
  EXPECT_EQ(Titles("ann"), "milk bread");
  EXPECT_EQ(Add("ann", "eggs").task().id(), 3u);
}

TEST_F(TodoTest, WhoNamesNoUserSharesOne) {
  Add("", "milk");
  EXPECT_EQ(Titles(""), "milk");
  EXPECT_EQ(Titles("ann"), "");
}

TEST_F(TodoTest, AnEditChangesWhatItNamesAndNothingElse) {
  AddRequest add = AddOf("ann", "milk");
  add.set_note("two bottles");
  FillTime(kHour, add.mutable_due());
  Do<TaskReply>("Add", add);
  auto request = Of<EditRequest>("ann", 1);
  request.set_title("oat milk");
  TaskReply reply = Do<TaskReply>("Edit", request);
  EXPECT_EQ(Name(reply), "edited");
  EXPECT_EQ(reply.task().title(), "oat milk");
  EXPECT_EQ(reply.task().note(), "two bottles");
  EXPECT_EQ(reply.task().due().seconds(), 3'600);
  EXPECT_EQ(reply.task().version(), 2u);
  // The same once more changes nothing.
  EXPECT_EQ(Do<TaskReply>("Edit", request).task().version(), 2u);
  request = Of<EditRequest>("ann", 1, 2);
  request.set_note("");
  request.set_clear_due(true);
  request.set_done(true);
  reply = Do<TaskReply>("Edit", request);
  EXPECT_EQ(reply.task().note(), "");
  EXPECT_FALSE(reply.task().has_due());
  EXPECT_TRUE(reply.task().done() && reply.task().has_completed());
  EXPECT_EQ(Lists("ann"), "tasks:1/1 ");
  // The version was seen by somebody else, too.
  const TaskReply late = Do<TaskReply>("Edit", request);
  EXPECT_EQ(Name(late), "version_mismatch");
  EXPECT_EQ(late.task().version(), 3u);
  EXPECT_EQ(Name(Do<TaskReply>("Edit", Of<EditRequest>("ann", 2))), "task_not_found");
}

TEST_F(TodoTest, ATaskIsDoneOnceAndOpenAgainOnce) {
  Add("ann", "milk");
  EXPECT_EQ(Name(Complete("ann", 1, 2)), "version_mismatch");
  const TaskReply done = Complete("ann", 1, 1);
  EXPECT_EQ(Name(done), "completed");
  EXPECT_TRUE(done.task().done() && done.task().has_completed());
  const TaskReply again = Complete("ann", 1);
  EXPECT_EQ(Name(again), "already_done");
  EXPECT_EQ(again.task().ShortDebugString(), done.task().ShortDebugString());
  const TaskReply open = Reopen("ann", 1, 2);
  EXPECT_EQ(Name(open), "reopened");
  EXPECT_FALSE(open.task().done() || open.task().has_completed());
  EXPECT_EQ(Name(Reopen("ann", 1)), "already_open");
  EXPECT_EQ(Name(Reopen("ann", 7)), "task_not_found");
  EXPECT_EQ(Name(Complete("bob", 1)), "task_not_found");
}

TEST_F(TodoTest, WhatIsDeletedIsGoneAndItsIdIsNotGivenAgain) {
  Add("ann", "milk");
  AddDue("ann", "bread", kHour);
  EXPECT_EQ(Name(Delete("ann", 2, 5)), "version_mismatch");
  const TaskReply gone = Delete("ann", 2, 1);
  EXPECT_EQ(Name(gone), "deleted");
  EXPECT_EQ(gone.task().title(), "bread");
  EXPECT_EQ(Name(Delete("ann", 2)), "task_not_found");
  EXPECT_EQ(Titles("ann"), "milk");
  Delete("ann", 1);
  EXPECT_EQ(Lists("ann"), "");
  Restart();
  EXPECT_EQ(Add("ann", "eggs").task().id(), 3u);
}

TEST_F(TodoTest, TasksStandWhereTheyAreMovedTo) {
  for (const char* title : {"a", "b", "c", "d"}) Add("ann", title);
  EXPECT_EQ(Name(Move("ann", 4, Where::kFirst)), "moved");
  EXPECT_EQ(Titles("ann"), "d a b c");
  Move("ann", 1, Where::kLast);
  EXPECT_EQ(Titles("ann"), "d b c a");
  Move("ann", 1, Where::kBefore, 3);
  EXPECT_EQ(Titles("ann"), "d b a c");
  Move("ann", 4, Where::kAfter, 1);
  EXPECT_EQ(Titles("ann"), "b a d c");
  Move("ann", 2, Where::kAfter, 3);
  EXPECT_EQ(Titles("ann"), "a d c b");
  Move("ann", 3, Where::kBefore, 1);
  EXPECT_EQ(Titles("ann"), "c a d b");
  EXPECT_EQ(Name(Move("ann", 3, Where::kBefore, 9)), "anchor_not_found");
  EXPECT_EQ(Name(Move("ann", 9, Where::kBefore, 3)), "task_not_found");
  auto late = Of<MoveRequest>("ann", 3, 1);
  EXPECT_EQ(Name(Do<TaskReply>("Move", late)), "version_mismatch");
  EXPECT_EQ(Titles("ann"), "c a d b");
  // Who is there already stays as it is.
  const uint64_t version = Get("ann", 3)->version();
  EXPECT_EQ(Move("ann", 3, Where::kFirst).task().version(), version);
  EXPECT_EQ(Move("ann", 3, Where::kBefore, 1).task().version(), version);
  EXPECT_EQ(Move("ann", 1, Where::kAfter, 3).task().version(), Get("ann", 1)->version());
  Restart();
  EXPECT_EQ(Titles("ann"), "c a d b");
}

TEST_F(TodoTest, AListThatHasNoRoomBetweenTwoIsNumberedAnew) {
  for (int i = 0; i < 50; ++i) Add("ann", std::to_string(i));
  // Always right behind the first: each time into half of the room that is left.
  for (uint64_t round = 0; round < 3; ++round) {
    for (uint64_t id = 2; id <= 50; ++id) Move("ann", id, Where::kAfter, 1);
    std::string wanted = "0";
    for (int i = 49; i >= 1; --i) wanted += " " + std::to_string(i);
    ASSERT_EQ(Titles("ann"), wanted) << "round " << round;
  }
  for (uint64_t id = 2; id <= 50; ++id) Move("ann", id, Where::kBefore, 1);
  std::string wanted;
  for (int i = 1; i <= 49; ++i) wanted += std::to_string(i) + " ";
  EXPECT_EQ(Titles("ann"), wanted + "0");
}

TEST_F(TodoTest, AFullListIsNumberedAnewAsWell) {
  for (uint32_t i = 0; i < bounds::kTodoListTasksMax; ++i) {
    Write<TaskReply>("todo.Add", AddOf("ann", std::to_string(i)));
  }
  // More moves into one place than there is room for: at least one of them numbers all anew.
  for (uint64_t id = 101; id <= 200; ++id) Move("ann", id, Where::kAfter, 1);
  std::string wanted = "0";
  for (int i = 199; i >= 100; --i) wanted += " " + std::to_string(i);
  ListRequest request = ListOf("ann");
  request.set_limit(101);
  const ListReply page = List(request);
  EXPECT_EQ(Titles(page), wanted);
  request.set_cursor(page.next_cursor());
  EXPECT_TRUE(Titles(List(request)).starts_with("1 2 3 4 5 ")) << "nobody else has moved";
}

TEST_F(TodoTest, ATaskMovesToAnotherListWithWhatItHas) {
  Add("ann", "milk");
  AddDue("ann", "bread", kHour);
  Add("ann", "nails", "shed");
  Complete("ann", 2);
  auto request = Of<EditRequest>("ann", 2);
  request.set_list("shed");
  EXPECT_EQ(Do<TaskReply>("Edit", request).task().list(), "shed");
  EXPECT_EQ(Titles("ann", "shed"), "nails bread");
  EXPECT_EQ(Titles("ann", "tasks"), "milk");
  EXPECT_EQ(Lists("ann"), "shed:1/2 tasks:0/1 ");
  // By place as well: next to a task of the other list.
  EXPECT_EQ(Move("ann", 1, Where::kBefore, 2).task().list(), "shed");
  EXPECT_EQ(Titles("ann"), "nails milk bread");
  EXPECT_EQ(Lists("ann"), "shed:1/3 ");
  EXPECT_EQ(Move("ann", 1, Where::kLast).task().list(), "shed");
  EXPECT_EQ(Titles("ann", "shed"), "nails bread milk");
}

TEST_F(TodoTest, FiltersLetThroughWhatTheySay) {
  AddDue("ann", "call-a", 3 * kHour);
  AddDue("ann", "call-b", kHour);
  Add("ann", "later");
  AddDue("ann", "write", 2 * kHour);
  AddDue("ann", "old", -kHour);  // Before 1970.
  Complete("ann", 4);
  const auto listed = [&](auto set) {
    ListRequest request = ListOf("ann");
    set(request);
    return Titles(List(request));
  };
  EXPECT_EQ(listed([](auto&) {}), "call-a call-b later write old");
  EXPECT_EQ(listed([](auto& r) { r.set_state(TaskState::open); }), "call-a call-b later old");
  EXPECT_EQ(listed([](auto& r) { r.set_state(TaskState::done); }), "write");
  EXPECT_EQ(listed([](auto& r) { r.set_contains("call"); }), "call-a call-b");
  EXPECT_EQ(listed([](auto& r) { r.set_by_due(true); }), "old call-b write call-a");
  EXPECT_EQ(listed([](auto& r) { FillTime(kHour, r.mutable_due_from()); }), "call-b write call-a");
  EXPECT_EQ(listed([](auto& r) { FillTime(3 * kHour, r.mutable_due_before()); }),
            "old call-b write");
  EXPECT_EQ(listed([](auto& r) {
              r.set_state(TaskState::open);
              FillTime(0, r.mutable_due_from());
              FillTime(2 * kHour, r.mutable_due_before());
            }),
            "call-b");
  EXPECT_EQ(listed([](auto& r) {
              r.set_list("other");
              r.set_by_due(true);
            }),
            "");
  // A due date that is moved, and one that is taken away.
  auto edit = Of<EditRequest>("ann", 2);
  FillTime(5 * kHour, edit.mutable_due());
  Do<TaskReply>("Edit", edit);
  edit = Of<EditRequest>("ann", 5);
  edit.set_clear_due(true);
  Do<TaskReply>("Edit", edit);
  EXPECT_EQ(listed([](auto& r) { r.set_by_due(true); }), "write call-a call-b");
}

TEST_F(TodoTest, PagesFollowOneAnother) {
  for (int i = 0; i < 7; ++i) {
    AddDue("ann", std::to_string(i), (7 - i) * kHour);
    Add("ann", "x" + std::to_string(i), "ünder/way");
  }
  for (const bool by_due : {false, true}) {
    for (const uint32_t limit : {1u, 2u, 3u, 100u}) {
      ListRequest request = ListOf("ann");
      request.set_by_due(by_due);
      const std::string all = Titles(List(request));
      request.set_limit(limit);
      std::string paged;
      for (;;) {
        EXPECT_EQ(FieldOf("todo.List", request), "fine") << request.cursor();
        const ListReply page = List(request);
        paged += (paged.empty() ? "" : " ") + Titles(page);
        if (page.next_cursor().empty()) break;
        EXPECT_EQ(page.next_cursor().find_first_not_of("0123456789abcdefp-"), std::string::npos);
        request.set_cursor(page.next_cursor());
      }
      EXPECT_EQ(paged, all);
    }
  }
  // What was removed meanwhile does not disturb who reads on.
  ListRequest request = ListOf("ann");
  request.set_limit(3);
  const ListReply first = List(request);
  EXPECT_EQ(Titles(first), "0 1 2");
  for (const Task& task : first.tasks()) Delete("ann", task.id());
  request.set_cursor(first.next_cursor());
  EXPECT_EQ(Titles(List(request)), "3 4 5");
}

TEST_F(TodoTest, APageIsBoundedByBytesAndByWhatWasLookedAt) {
  AddRequest add = AddOf("ann", "long");
  add.set_note(std::string(16'384, 'n'));
  for (int i = 0; i < 200; ++i) Write<TaskReply>("todo.Add", add);
  ListRequest request = ListOf("ann");
  request.set_limit(1'000);
  const ListReply page = List(request);
  EXPECT_LT(page.tasks_size(), 200);
  EXPECT_GT(page.ByteSizeLong(), size_t{2} << 20);
  EXPECT_LT(page.ByteSizeLong(), (size_t{2} << 20) + 20'000);
  for (int i = 0; i < 1'100; ++i) Write<TaskReply>("todo.Add", AddOf("bob", "x"));
  Write<TaskReply>("todo.Add", AddOf("bob", "y"));
  request = ListOf("bob");
  request.set_contains("y");
  const ListReply nothing = List(request);
  EXPECT_EQ(nothing.tasks_size(), 0);
  request.set_cursor(nothing.next_cursor());
  EXPECT_EQ(Titles(List(request)), "y");
}

TEST_F(TodoTest, WhatIsDoneIsClearedAThousandAtATime) {
  for (int i = 0; i < 1'200; ++i) {
    Write<TaskReply>("todo.Add", AddOf("ann", std::to_string(i)));
    if (i % 8 != 0) {
      Write<TaskReply>("todo.Complete", Of<CompleteRequest>("ann", static_cast<uint64_t>(i) + 1));
    }
  }
  Add("ann", "other", "shed");
  Complete("ann", 1'201);
  ClearDoneReply reply = ClearDone("ann");
  EXPECT_EQ(reply.cleared(), 1'000u);
  EXPECT_TRUE(reply.more());
  reply = ClearDone("ann");
  EXPECT_EQ(reply.cleared(), 50u);
  EXPECT_FALSE(reply.more());
  EXPECT_EQ(Lists("ann"), "shed:1/1 tasks:0/150 ");
  EXPECT_EQ(ClearDone("ann", "shed").cleared(), 1u);
  EXPECT_EQ(ClearDone("ann", "shed").cleared(), 0u);
  EXPECT_EQ(ClearDone("nobody").cleared(), 0u);
}

TEST_F(TodoTest, FullIsSaidAndChangesNothing) {
  for (uint32_t i = 0; i < bounds::kTodoListTasksMax; ++i) {
    Write<TaskReply>("todo.Add", AddOf("ann", "x"));
  }
  EXPECT_EQ(Name(Add("ann", "one more")), "too_many_tasks");
  const uint64_t other = Add("ann", "other", "shed").task().id();
  auto edit = Of<EditRequest>("ann", other);
  edit.set_list("tasks");
  EXPECT_EQ(Name(Do<TaskReply>("Edit", edit)), "too_many_tasks");
  EXPECT_EQ(Name(Move("ann", other, Where::kBefore, 1)), "too_many_tasks");
  EXPECT_EQ(Get("ann", other)->list(), "shed");
  Delete("ann", 1);
  EXPECT_EQ(Name(Move("ann", other, Where::kBefore, 2)), "moved");
  // What has its place in the list already may move about in it.
  EXPECT_EQ(Name(Move("ann", other, Where::kLast)), "moved");

  for (uint32_t i = 0; i < bounds::kTodoListsMax; ++i) {
    Write<TaskReply>("todo.Add", AddOf("bob", "x", "list " + std::to_string(i)));
  }
  EXPECT_EQ(Name(Add("bob", "x", "one more")), "too_many_lists");
  edit = Of<EditRequest>("bob", 1);
  edit.set_list("one more");
  EXPECT_EQ(Name(Do<TaskReply>("Edit", edit)), "too_many_lists");
  EXPECT_EQ(Name(Add("bob", "y", "list 7")), "added");
  Delete("bob", 1);
  EXPECT_EQ(Name(Add("bob", "x", "one more")), "added");
}

TEST_F(TodoTest, MalformedRequestsNameTheField) {
  const auto field = [&]<class Request>(const char* method, Request request, auto spoil) {
    spoil(request);
    return FieldOf(std::string("todo.") + method, request);
  };
  const auto fine = [](auto&) {};
  const auto user = [](auto& r) { r.set_user("a\nb"); };
  const auto long_user = [](auto& r) { r.set_user(std::string(129, 'u')); };
  const AddRequest add = AddOf("ann", "milk");
  EXPECT_EQ(field("Add", add, fine), "fine");
  EXPECT_EQ(field("Add", add, user), "user");
  EXPECT_EQ(field("Add", add, long_user), "user");
  EXPECT_EQ(field("Add", add, [](auto& r) { r.set_list(std::string(129, 'l')); }), "list");
  EXPECT_EQ(field("Add", add, [](auto& r) { r.set_list("a\x7f"); }), "list");
  EXPECT_EQ(field("Add", add, [](auto& r) { r.clear_title(); }), "title");
  EXPECT_EQ(field("Add", add, [](auto& r) { r.set_title(std::string(1'025, 't')); }), "title");
  EXPECT_EQ(field("Add", add, [](auto& r) { r.set_title("a\tb"); }), "title");
  EXPECT_EQ(field("Add", add, [](auto& r) { r.set_note(std::string(16'385, 'n')); }), "note");
  EXPECT_EQ(field("Add", add, [](auto& r) { r.set_note("two\nlines"); }), "fine");
  EXPECT_EQ(field("Add", add, [](auto& r) { r.mutable_due()->set_nanos(-1); }), "due");
  EXPECT_EQ(field("Add", add, [](auto& r) { r.mutable_due()->set_seconds(253'402'300'800); }),
            "due");

  const auto edit = Of<EditRequest>("ann", 1);
  EXPECT_EQ(field("Edit", edit, fine), "fine");
  EXPECT_EQ(field("Edit", edit, user), "user");
  EXPECT_EQ(field("Edit", edit, [](auto& r) { r.clear_id(); }), "id");
  EXPECT_EQ(field("Edit", edit, [](auto& r) { r.set_title(""); }), "title");
  EXPECT_EQ(field("Edit", edit, [](auto& r) { r.set_title("\n"); }), "title");
  EXPECT_EQ(field("Edit", edit, [](auto& r) { r.set_title(std::string(1'025, 't')); }), "title");
  EXPECT_EQ(field("Edit", edit, [](auto& r) { r.set_note(std::string(16'385, 'n')); }), "note");
  EXPECT_EQ(field("Edit", edit, [](auto& r) { r.mutable_due()->set_nanos(1'000'000'000); }), "due");
  EXPECT_EQ(field("Edit", edit,
                  [](auto& r) {
                    r.mutable_due();
                    r.set_clear_due(true);
                  }),
            "clear_due");
  EXPECT_EQ(field("Edit", edit, [](auto& r) { r.set_list("\x01"); }), "list");

  EXPECT_EQ(field("Complete", CompleteRequest(), fine), "id");
  EXPECT_EQ(field("Complete", Of<CompleteRequest>("a", 1), user), "user");
  EXPECT_EQ(field("Reopen", ReopenRequest(), fine), "id");
  EXPECT_EQ(field("Reopen", Of<ReopenRequest>("a", 1), user), "user");
  EXPECT_EQ(field("Delete", DeleteRequest(), fine), "id");
  EXPECT_EQ(field("Delete", Of<DeleteRequest>("a", 1), user), "user");
  EXPECT_EQ(field("Get", GetRequest(), fine), "id");
  EXPECT_EQ(field("Get", Of<GetRequest>("a", 1), user), "user");
  EXPECT_EQ(field("ClearDone", ClearDoneRequest(), user), "user");
  EXPECT_EQ(field("ClearDone", ClearDoneRequest(), [](auto& r) { r.set_list("\n"); }), "list");
  EXPECT_EQ(field("Lists", ListsRequest(), user), "user");

  const auto move = Of<MoveRequest>("ann", 1);
  EXPECT_EQ(field("Move", move, fine), "fine");
  EXPECT_EQ(field("Move", move, user), "user");
  EXPECT_EQ(field("Move", move, [](auto& r) { r.clear_id(); }), "id");
  EXPECT_EQ(field("Move", move, [](auto& r) { r.set_before(1); }), "before");
  EXPECT_EQ(field("Move", move, [](auto& r) { r.set_after(1); }), "after");
  EXPECT_EQ(field("Move", move,
                  [](auto& r) {
                    r.set_before(2);
                    r.set_after(3);
                  }),
            "after");
  EXPECT_EQ(field("Move", move,
                  [](auto& r) {
                    r.set_before(2);
                    r.set_first(true);
                  }),
            "first");

  const ListRequest list = ListOf("ann");
  EXPECT_EQ(field("List", list, fine), "fine");
  EXPECT_EQ(field("List", list, user), "user");
  EXPECT_EQ(field("List", list, [](auto& r) { r.set_list("\n"); }), "list");
  EXPECT_EQ(field("List", list, [](auto& r) { r.set_state(static_cast<TaskState::Code>(9)); }),
            "state");
  EXPECT_EQ(field("List", list, [](auto& r) { r.mutable_due_from()->set_nanos(-1); }), "due_from");
  EXPECT_EQ(field("List", list, [](auto& r) { r.mutable_due_before()->set_nanos(-1); }),
            "due_before");
  EXPECT_EQ(field("List", list, [](auto& r) { r.set_contains(std::string(129, 'x')); }),
            "contains");
  EXPECT_EQ(field("List", list, [](auto& r) { r.set_limit(1'001); }), "limit");
  const std::string place = PlaceCursor{"tasks", 7}.Text();
  const std::string due = DueCursor{-7, 9}.Text();
  EXPECT_EQ(field("List", list, [&](auto& r) { r.set_cursor(place); }), "fine");
  EXPECT_EQ(field("List", list, [&](auto& r) { r.set_cursor(due); }), "cursor");
  const auto by_due = [&](const std::string& cursor) {
    return field("List", list, [&](auto& r) {
      r.set_by_due(true);
      r.set_cursor(cursor);
    });
  };
  EXPECT_EQ(by_due(due), "fine");
  EXPECT_EQ(by_due(place), "cursor");
  EXPECT_EQ(field("List", ListOf("ann", "shed"), [&](auto& r) { r.set_cursor(place); }), "cursor");
  // Nothing but what was given out, and nothing that would begin anew.
  for (const char* cursor : {"x", "p", "p7", "p7-", "p7-7", "p07-7461736b73", "p7-7461736B73",
                             "pffffffffffffffff-7461736b73", "p10000000000000000-7461736b73",
                             "p-7-7461736b73", "p7-7461736b73-"}) {
    EXPECT_EQ(field("List", list, [&](auto& r) { r.set_cursor(cursor); }), "cursor") << cursor;
  }
  for (const char* cursor : {"d", "d7", "d7-", "d7-ffffffffffffffff", "d07-9", "d7-9-", "d7-09"}) {
    EXPECT_EQ(by_due(cursor), "cursor") << cursor;
  }
}

}  // namespace
}  // namespace holdfast::todo
