// Messages that are published, or taken and acked.
#include <algorithm>

#include "bench/machine/workload.h"
#include "services/queues/queues.pb.h"
#include "src/base/check.h"

namespace holdfast::bench {
namespace {

constexpr char kQueue[] = "orders";
constexpr uint64_t kBatch = 100;
constexpr size_t kPayloadBytes = 128;

class Publishing : public Workload {
 public:
  Publishing(Node& node, bool batch)
      : entry_(node.registry()), batch_(batch), payload_(kPayloadBytes, 'v') {}

  void Prepare(Node& node, uint64_t history, uint64_t /*total*/) override {
    queues::CreateRequest request;
    request.set_name(kQueue);
    request.set_max_messages(100'000'000);
    entry_.Add("/holdfast.queues.Queues/Create", request);
    node.Apply(entry_.Finish());
    for (uint64_t done = 0; done < history; done += 1'000) node.Apply(Entry(true, 1'000));
  }
  double Run(Node& node, uint64_t count) override { return node.Apply(Entry(batch_, count)); }

 protected:
  // Every other message has a key, of which there are 1,000.
  template <class Request>
  void Fill(Request* request) {
    ++number_;
    request->set_message_id("message-" + std::to_string(number_));
    request->set_payload(payload_);
    if (number_ % 2 == 0) request->set_key("customer-" + std::to_string(number_ / 2 % 1'000));
  }
  std::string Entry(bool batch, uint64_t count) {
    for (uint64_t done = 0; done < count;) {
      if (!batch) {
        queues::PublishRequest request;
        request.set_queue(kQueue);
        Fill(&request);
        entry_.Add("/holdfast.queues.Queues/Publish", request);
        ++done;
        continue;
      }
      queues::PublishBatchRequest request;
      request.set_queue(kQueue);
      for (const uint64_t end = std::min(done + kBatch, count); done < end; ++done) {
        Fill(request.add_messages());
      }
      entry_.Add("/holdfast.queues.Queues/PublishBatch", request);
    }
    return entry_.Finish();
  }

  EntryMaker entry_;

 private:
  const bool batch_;
  const std::string payload_;
  uint64_t number_ = 0;
};

class Taking : public Publishing {
 public:
  explicit Taking(Node& node) : Publishing(node, true) {}

  void Prepare(Node& node, uint64_t history, uint64_t total) override {
    Publishing::Prepare(node, history + total, 0);
  }
  double Run(Node& node, uint64_t count) override {
    for (uint64_t asked = 0; asked < count; asked += kBatch) {
      queues::PullRequest request;
      request.set_queue(kQueue);
      request.set_max(kBatch);
      entry_.Add("/holdfast.queues.Queues/Pull", request);
    }
    double took = node.Apply(entry_.Finish());
    uint64_t taken = 0;
    for (const auto& outcome : node.outcomes()) {
      queues::PullReply reply;
      HOLDFAST_CHECK(reply.ParseFromString(*outcome.reply), "the reply to a pull");
      queues::AckRequest request;
      request.set_queue(kQueue);
      for (const auto& message : reply.messages()) request.add_deliveries(message.delivery());
      taken += static_cast<uint64_t>(reply.messages_size());
      entry_.Add("/holdfast.queues.Queues/Ack", request);
    }
    HOLDFAST_CHECK(taken >= count, "the queue has run out of messages");
    took += node.Apply(entry_.Finish());
    return took;
  }
};

}  // namespace

std::unique_ptr<Workload> NewPublishing(Node& node, bool batch) {
  return std::make_unique<Publishing>(node, batch);
}
std::unique_ptr<Workload> NewTaking(Node& node) { return std::make_unique<Taking>(node); }

}  // namespace holdfast::bench
