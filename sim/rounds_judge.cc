#include "sim/rounds_judge.h"

#include "services/rounds/model.h"

namespace holdfast::sim {
namespace {

using rounds::Model;

class RoundsJudge : public Judge {
 public:
  void Begin(const Moment& at) override { model_.Pass(at); }

  std::string Execute(const std::string& method, const std::string& body) override {
    if (method == "rounds.Create") return Do(&Model::Create, body);
    if (method == "rounds.Join") return Do(&Model::Join, body);
    if (method == "rounds.Leave") return Do(&Model::Leave, body);
    if (method == "rounds.Move") return Do(&Model::Move, body);
    if (method == "rounds.Close") return Do(&Model::Close, body);
    if (method == "rounds.Delete") return Do(&Model::Delete, body);
    throw Violation("the model does not know the method " + method);
  }

  std::string Difference(const ReadRecord& read) const override {
    using namespace rounds;  // NOLINT: the messages of this one service.
    if (read.method == "rounds.AwaitMove") {
      return Differ(std::optional(model_.Await(Parsed<MoveRequest>(read.request))), read);
    }
    if (read.method == "rounds.Get") {
      return Differ(model_.Get(Parsed<GetRequest>(read.request)), read);
    }
    if (read.method == "rounds.Results") {
      return Differ(model_.Results(Parsed<ResultsRequest>(read.request)), read);
    }
    if (read.method == "rounds.List") {
      return Differ(std::optional(model_.List(Parsed<ListRequest>(read.request))), read);
    }
    throw Violation("the model does not know the read " + read.method);
  }

  void Mark() override { before_ = model_; }
  void RollBack() override { model_ = *before_; }

  std::vector<Asked> Everything() const override {
    rounds::ListRequest list;
    list.set_limit(1'000);
    std::vector<Asked> all{AskedOf("rounds.List", list)};
    for (const std::string& name : model_.Games()) {
      rounds::GetRequest get;
      get.set_game(name);
      all.push_back(AskedOf("rounds.Get", get));
      rounds::ResultsRequest results;
      results.set_game(name);
      results.set_limit(1'000);
      all.push_back(AskedOf("rounds.Results", results));
    }
    return all;
  }

 private:
  template <class Request, class Reply>
  std::string Do(Reply (Model::*method)(const Request&), const std::string& body) {
    return Answer<Request>(body, [&](const Request& request) { return (model_.*method)(request); });
  }

  Model model_;
  std::optional<Model> before_;
};

}  // namespace

std::shared_ptr<Judge> MakeRoundsJudge() { return std::make_shared<RoundsJudge>(); }

}  // namespace holdfast::sim
