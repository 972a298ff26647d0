#include "sim/queue_judge.h"

#include "services/queues/model.h"

namespace holdfast::sim {
namespace {

using queues::Model;

class QueueJudge : public ModelJudge<Model> {
 public:
  void Begin(const Moment& at) override {
    now_us_ = at.log_us;
    model_.PassTo(at);
  }

  std::string Execute(const std::string& method, const std::string& body) override {
    if (method == "queues.Create") return Do(&Model::Create, body);
    if (method == "queues.Update") return Do(&Model::Update, body);
    if (method == "queues.Delete") return Do(&Model::Delete, body);
    if (method == "queues.CreateGroup") return Do(&Model::CreateGroup, body);
    if (method == "queues.DeleteGroup") return Do(&Model::DeleteGroup, body);
    if (method == "queues.Purge") return Do(&Model::Purge, body);
    if (method == "queues.Publish") return Do(&Model::Publish, body);
    if (method == "queues.PublishBatch") return Do(&Model::PublishBatch, body);
    if (method == "queues.Push") return Do(&Model::Push, body);
    if (method == "queues.Pull") return Do(&Model::Pull, body);
    if (method == "queues.Pop") return Do(&Model::Pop, body);
    if (method == "queues.Ack") return Do(&Model::Ack, body);
    if (method == "queues.Nack") return Do(&Model::Nack, body);
    if (method == "queues.Extend") return Do(&Model::Extend, body);
    if (method == "queues.Redrive") return Do(&Model::Redrive, body);
    throw Violation("the model does not know the method " + method);
  }

  std::string Difference(const ReadRecord& read) const override {
    using namespace queues;  // NOLINT: the messages of this one service.
    if (read.method == "queues.Get") {
      return Differ(model_.Get(Parsed<GetRequest>(read.request)), read);
    }
    if (read.method == "queues.List") {
      return Differ(std::optional(model_.List(Parsed<ListRequest>(read.request))), read);
    }
    if (read.method == "queues.Stats") {
      return Differ(model_.Stats(Parsed<StatsRequest>(read.request)), read);
    }
    if (read.method == "queues.Peek") {
      return Differ(model_.Peek(Parsed<PeekRequest>(read.request)), read);
    }
    if (read.method == "queues.AwaitPull") {
      return Differ(std::optional(model_.Await(Parsed<PullRequest>(read.request))), read);
    }
    throw Violation("the model does not know the read " + read.method);
  }

  std::vector<Asked> Everything() const override {
    std::vector<Asked> all{AskedOf("queues.List", queues::ListRequest())};
    const queues::ListReply list = model_.List(queues::ListRequest());
    for (const queues::Queue& queue : list.queues()) {
      queues::StatsRequest stats;
      stats.set_queue(queue.name());
      stats.set_partitions(true);
      all.push_back(AskedOf("queues.Stats", stats));
      queues::PeekRequest peek;
      peek.set_queue(queue.name());
      peek.set_limit(1'000);
      all.push_back(AskedOf("queues.Peek", peek));
    }
    return all;
  }

 private:
  template <class Request, class Reply>
  std::string Do(Reply (Model::*method)(const Request&, int64_t), const std::string& body) {
    return Answer<Request>(
        body, [&](const Request& request) { return (model_.*method)(request, now_us_); });
  }

  int64_t now_us_ = 0;
};

}  // namespace

std::shared_ptr<Judge> MakeQueueJudge() { return std::make_shared<QueueJudge>(); }

}  // namespace holdfast::sim
