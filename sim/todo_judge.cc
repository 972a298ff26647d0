#include "sim/todo_judge.h"

#include "services/todo/model.h"

namespace holdfast::sim {
namespace {

using todo::Model;

class TodoJudge : public ModelJudge<Model> {
 public:
  void Begin(const Moment& at) override { model_.PassTo(at.log_us); }

  std::string Execute(const std::string& method, const std::string& body) override {
    if (method == "todo.Add") return Do(&Model::Add, body);
    if (method == "todo.Edit") return Do(&Model::Edit, body);
    if (method == "todo.Complete") return Do(&Model::Complete, body);
    if (method == "todo.Reopen") return Do(&Model::Reopen, body);
    if (method == "todo.Delete") return Do(&Model::Delete, body);
    if (method == "todo.Move") return Do(&Model::Move, body);
    if (method == "todo.ClearDone") return Do(&Model::ClearDone, body);
    throw Violation("the model does not know the method " + method);
  }

  std::string Difference(const ReadRecord& read) const override {
    using namespace todo;  // NOLINT: the messages of this one service.
    if (read.method == "todo.Get") {
      return Differ(model_.Get(Parsed<GetRequest>(read.request)), read);
    }
    if (read.method == "todo.List") {
      return Differ(std::optional(model_.List(Parsed<ListRequest>(read.request))), read);
    }
    if (read.method == "todo.Lists") {
      return Differ(std::optional(model_.Lists(Parsed<ListsRequest>(read.request))), read);
    }
    throw Violation("the model does not know the read " + read.method);
  }

  std::vector<Asked> Everything() const override {
    std::vector<Asked> all;
    for (const std::string& user : model_.Users()) {
      todo::ListsRequest lists;
      lists.set_user(user);
      all.push_back(AskedOf("todo.Lists", lists));
      for (const bool by_due : {false, true}) {
        todo::ListRequest tasks;
        tasks.set_user(user);
        tasks.set_by_due(by_due);
        tasks.set_limit(1'000);
        all.push_back(AskedOf("todo.List", tasks));
      }
    }
    return all;
  }

 private:
  template <class Request, class Reply>
  std::string Do(Reply (Model::*method)(const Request&), const std::string& body) {
    return Answer<Request>(body, [&](const Request& request) { return (model_.*method)(request); });
  }
};

}  // namespace

std::shared_ptr<Judge> MakeTodoJudge() { return std::make_shared<TodoJudge>(); }

}  // namespace holdfast::sim
