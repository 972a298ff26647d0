#include "services/todo/describe.h"
#include "services/todo/todo.h"
#include "src/base/bounds.h"
#include "src/base/timestamp.h"

namespace holdfast::todo {
namespace {

// One page as it grows: bounded by tasks, by bytes, and by what had to be looked at for it, as a
// read holds the store's shared lock.
class Page {
 public:
  Page(const ListRequest& request, ListReply* reply)
      : request_(request),
        reply_(reply),
        limit_(request.limit() == 0 ? bounds::kPageRowsDefault : request.limit()) {}

  // Whether another row may be looked at. Else the page ends, behind the row before.
  bool TakesMore() {
    return static_cast<size_t>(reply_->tasks_size()) < limit_ &&
           bytes_ < bounds::kTodoPageBytesMax && looked_at_++ < bounds::kPageRowsMax;
  }
  bool Wants(bool done) const {
    return request_.state() == TaskState::unspecified ||
           done == (request_.state() == TaskState::done);
  }
  void Add(uint64_t id, const std::string& list, const TaskRow& row) {
    if (row.title.find(request_.contains()) == std::string::npos) return;
    Task* task = reply_->add_tasks();
    FillTask(id, list, row, task);
    bytes_ += task->ByteSizeLong();
  }

 private:
  const ListRequest& request_;
  ListReply* const reply_;
  const size_t limit_;
  size_t bytes_ = 0;
  size_t looked_at_ = 0;
};

}  // namespace

Result<void> Todo::Get(const GetRequest& request, const ReadContext& /*context*/,
                       Task* reply) const {
  const auto row = tables_.tasks.Get({request.user(), request.id()});
  if (!row) return Fail(NotFound("there is no task " + std::to_string(request.id())));
  FillTask(request.id(), tables_.places.Get({request.user(), request.id()})->list, *row, reply);
  return {};
}

void Todo::ListByPlace(const ListRequest& request, ListReply* reply) const {
  Page page(request, reply);
  PlaceCursor last{request.list(), 0};
  if (!request.cursor().empty()) last = *PlaceCursor::Parse(request.cursor());
  tables_.order.Scan({request.user(), last.list, last.rank + 1},
                     [&](const OrderKey& key, const OrderRow& at) {
                       const auto& [user, list, rank] = key;
                       if (user != request.user()) return false;
                       if (!request.list().empty() && list != request.list()) return false;
                       if (!page.TakesMore()) {
                         reply->set_next_cursor(last.Text());
                         return false;
                       }
                       last = {list, rank};
                       if (page.Wants(at.done)) {
                         page.Add(at.id, list, *tables_.tasks.Get({user, at.id}));
                       }
                       return true;
                     });
}

void Todo::ListByDue(const ListRequest& request, ListReply* reply) const {
  Page page(request, reply);
  DueCursor last{std::numeric_limits<int64_t>::min(), 0};
  if (request.has_due_from()) last.due_us = CeilingUs(request.due_from());
  if (!request.cursor().empty()) {
    const DueCursor cursor = *DueCursor::Parse(request.cursor());
    if (cursor.due_us >= last.due_us) last = cursor;
  }
  tables_.due.Scan({request.user(), last.due_us, last.id + 1},
                   [&](const DueKey& key, const NoRow&) {
                     const auto& [user, due_us, id] = key;
                     if (user != request.user()) return false;
                     if (request.has_due_before() && due_us >= CeilingUs(request.due_before()))
                       return false;
                     if (!page.TakesMore()) {
                       reply->set_next_cursor(last.Text());
                       return false;
                     }
                     last = {due_us, id};
                     const auto row = tables_.tasks.Get({user, id});
                     const std::string list = tables_.places.Get({user, id})->list;
                     if (!request.list().empty() && list != request.list()) return true;
                     if (page.Wants(row->done())) page.Add(id, list, *row);
                     return true;
                   });
}

Result<void> Todo::List(const ListRequest& request, const ReadContext& /*context*/,
                        ListReply* reply) const {
  if (ByDue(request)) {
    ListByDue(request, reply);
  } else {
    ListByPlace(request, reply);
  }
  return {};
}

Result<void> Todo::Lists(const ListsRequest& request, const ReadContext& /*context*/,
                         ListsReply* reply) const {
  tables_.lists.Scan({request.user(), ""}, [&](const ListKey& key, const ListRow& row) {
    if (std::get<0>(key) != request.user()) return false;
    TaskList* list = reply->add_lists();
    list->set_list(std::get<1>(key));
    list->set_tasks(row.tasks);
    list->set_done(row.done);
    return true;
  });
  return {};
}

}  // namespace holdfast::todo
