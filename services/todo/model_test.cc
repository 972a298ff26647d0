// Random requests: the service must answer as the model does, word for word, and hold its
// invariants.
#include "services/todo/model.h"

#include <random>
#include <set>
#include <type_traits>

#include "services/todo/testing.h"

namespace holdfast::todo {
namespace {

// Few users, lists and tasks, so that everything meets everything.
class TodoModelTest : public testing::TodoFixture {
 protected:
  template <class Request, class Ask>
  void Compare(const std::string& method, const Request& request, Ask ask) {
    using Reply = std::invoke_result_t<Ask>;
    model_.PassTo(now_us() + 1);
    const Reply wanted = ask();
    const Reply reply = Do<Reply>(method, request);
    EXPECT_EQ(reply.ShortDebugString(), wanted.ShortDebugString())
        << method << " " << request.ShortDebugString();
    if constexpr (std::is_same_v<Reply, TaskReply>) {
      seen_.insert(method + " " + TaskOutcome::Code_Name(reply.outcome()));
    }
  }

  void Step() {
    // Neither too few nor too many: all of them are looked through again and again.
    const uint64_t what = Below(12);
    switch (what <= 2 && Tasks() > 30 ? 7 : what) {
      case 0:
      case 1:
      case 2: {
        AddRequest request = AddOf(AUser(), ATitle(), Below(2) == 0 ? "" : AList());
        if (Below(3) == 0) request.set_note(std::string(Below(9), 'n'));
        if (Below(2) == 0) *request.mutable_due() = ATime();
        Compare("Add", request, [&] { return model_.Add(request); });
        break;
      }
      case 3:
      case 4: {
        auto request = Of<EditRequest>(AUser(), AnId(), AVersion());
        if (Below(3) == 0) request.set_title(ATitle());
        if (Below(3) == 0) request.set_note(std::string(Below(3), 'n'));
        if (Below(3) == 0) *request.mutable_due() = ATime();
        if (!request.has_due() && Below(4) == 0) request.set_clear_due(true);
        if (Below(3) == 0) request.set_done(Below(2) == 0);
        if (Below(4) == 0) request.set_list(AList());
        Compare("Edit", request, [&] { return model_.Edit(request); });
        break;
      }
      case 5: {
        const auto request = Of<CompleteRequest>(AUser(), AnId(), AVersion());
        Compare("Complete", request, [&] { return model_.Complete(request); });
        break;
      }
      case 6: {
        const auto request = Of<ReopenRequest>(AUser(), AnId(), AVersion());
        Compare("Reopen", request, [&] { return model_.Reopen(request); });
        break;
      }
      case 7: {
        const auto request = Of<DeleteRequest>(AUser(), AnId(), AVersion());
        Compare("Delete", request, [&] { return model_.Delete(request); });
        break;
      }
      case 8: {
        ClearDoneRequest request;
        request.set_user(AUser());
        request.set_list(AList());
        if (Below(4) == 0) {
          Compare("ClearDone", request, [&] { return model_.ClearDone(request); });
        }
        break;
      }
      default: {
        auto request = Of<MoveRequest>(AUser(), AnId(), AVersion());
        uint64_t anchor = AnId();
        const uint64_t where = Below(8);
        if (where < 3) {
          // Right behind the first, again and again, so that the room there runs out.
          const ListReply all = model_.List(ListOf(request.user()));
          if (all.tasks_size() > 0) anchor = all.tasks(0).id();
        }
        if (where < 5 && anchor != request.id()) request.set_after(anchor);
        if (where == 5 && anchor != request.id()) request.set_before(anchor);
        if (where == 6) request.set_first(true);
        Compare("Move", request, [&] { return model_.Move(request); });
      }
    }
    CompareReads();
  }

  void CompareReads() {
    ListRequest list = ListOf(AUser(), Below(3) == 0 ? AList() : "");
    list.set_state(static_cast<TaskState::Code>(Below(3)));
    list.set_limit(static_cast<uint32_t>(Below(6)));
    if (Below(4) == 0) list.set_contains("1");
    if (Below(3) == 0) list.set_by_due(true);
    if (Below(6) == 0) *list.mutable_due_from() = ATime();
    if (Below(6) == 0) *list.mutable_due_before() = ATime();
    for (int pages = 0; pages < 100; ++pages) {
      const ListReply page = List(list);
      ASSERT_EQ(page.ShortDebugString(), model_.List(list).ShortDebugString())
          << list.ShortDebugString();
      if (page.next_cursor().empty()) break;
      list.set_cursor(page.next_cursor());
    }
    ListsRequest lists;
    lists.set_user(list.user());
    EXPECT_EQ(Read<ListsReply>("todo.Lists", lists)->ShortDebugString(),
              model_.Lists(lists).ShortDebugString());
    const auto get = Of<GetRequest>(AUser(), AnId());
    const auto got = Get(get.user(), get.id());
    const auto wanted = model_.Get(get);
    EXPECT_EQ(got ? got->ShortDebugString() : "none", wanted ? wanted->ShortDebugString() : "none");
  }

  int Tasks() const {
    int tasks = 0;
    for (const std::string& user : model_.Users()) tasks += model_.List(ListOf(user)).tasks_size();
    return tasks;
  }
  uint64_t Below(uint64_t bound) { return random_() % bound; }

  std::set<std::string> seen_;  // Methods and outcomes.

 private:
  std::string AUser() { return std::string(Below(2), 'u'); }
  std::string AList() { return std::string(1, static_cast<char>('a' + Below(3))); }
  std::string ATitle() { return std::to_string(Below(30)); }
  // Among the last ones given, which grow with the run.
  uint64_t AnId() {
    uint64_t last = 0;
    for (const std::string& user : model_.Users()) {
      const ListReply all = model_.List(ListOf(user));
      for (const Task& task : all.tasks()) last = std::max(last, task.id());
    }
    return 1 + (last < 12 ? Below(12) : last - Below(12));
  }
  uint64_t AVersion() { return Below(3) == 0 ? 1 + Below(4) : 0; }
  google::protobuf::Timestamp ATime() {
    google::protobuf::Timestamp time;
    time.set_seconds(static_cast<int64_t>(Below(20)) - 10);
    time.set_nanos(static_cast<int32_t>(Below(3) * 500));
    return time;
  }

  std::mt19937_64 random_{1};
  Model model_;
};

TEST_F(TodoModelTest, DoesWhatTheModelDoes) {
  for (int step = 0; step < 12'000; ++step) {
    Step();
    ASSERT_FALSE(HasFailure()) << "step " << step;
    if (step % 500 == 0) Restart();
  }
  for (const char* outcome :
       {"Add added", "Edit task_not_found", "Edit version_mismatch", "Edit edited",
        "Complete already_done", "Complete completed", "Reopen already_open", "Reopen reopened",
        "Delete deleted", "Move anchor_not_found", "Move moved"}) {
    EXPECT_TRUE(seen_.contains(outcome)) << outcome << " was never reached";
  }
}

}  // namespace
}  // namespace holdfast::todo
