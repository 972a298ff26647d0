#include "sim/journal_judge.h"

#include "services/journal/model.h"

namespace holdfast::sim {
namespace {

using journal::Model;

class JournalJudge : public ModelJudge<Model> {
 public:
  void Begin(const Moment& at) override { model_.PassTo(at.log_us); }

  std::string Execute(const std::string& method, const std::string& body) override {
    if (method == "journal.Create") return Do(&Model::Create, body);
    if (method == "journal.Update") return Do(&Model::Update, body);
    if (method == "journal.Delete") return Do(&Model::Delete, body);
    if (method == "journal.Append") return Do(&Model::Append, body);
    throw Violation("the model does not know the method " + method);
  }

  std::string Difference(const ReadRecord& read) const override {
    if (read.method == "journal.Get") return Compare(&Model::Get, read);
    if (read.method == "journal.Follow") return Compare(&Model::Follow, read);
    if (read.method == "journal.Query") return Compare(&Model::Query, read);
    if (read.method == "journal.GetSource") return Compare(&Model::GetSource, read);
    if (read.method == "journal.ListSources") return Compare(&Model::ListSources, read);
    throw Violation("the model does not know the read " + read.method);
  }

  std::vector<Asked> Everything() const override {
    std::vector<Asked> all;
    for (const std::string& name : model_.Names()) {
      journal::GetRequest get;
      get.set_name(name);
      all.push_back(AskedOf("journal.Get", get));
      journal::FollowRequest follow;
      follow.set_journal(name);
      follow.set_limit(1'000);
      all.push_back(AskedOf("journal.Follow", follow));
      journal::QueryRequest query;
      query.set_journal(name);
      query.set_limit(1'000);
      all.push_back(AskedOf("journal.Query", query));
      journal::ListSourcesRequest sources;
      sources.set_journal(name);
      all.push_back(AskedOf("journal.ListSources", sources));
    }
    return all;
  }

 private:
  template <class Request, class Reply>
  std::string Do(Reply (Model::*method)(const Request&), const std::string& body) {
    return Answer<Request>(body, [&](const Request& request) { return (model_.*method)(request); });
  }
  template <class Request, class Reply>
  std::string Compare(std::optional<Reply> (Model::*ask)(const Request&) const,
                      const ReadRecord& read) const {
    return Differ((model_.*ask)(Parsed<Request>(read.request)), read);
  }
};

}  // namespace

std::shared_ptr<Judge> MakeJournalJudge() { return std::make_shared<JournalJudge>(); }

}  // namespace holdfast::sim
