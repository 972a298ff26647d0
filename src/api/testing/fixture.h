// For the tests of the API: the shop's method table, and a node that does what the test says.
#pragma once

#include <absl/synchronization/mutex.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/api/testing/shop.pb.h"
#include "src/base/batch.h"
#include "src/node/dispatcher.h"
#include "src/state_machine/registry.h"
#include "src/store/memory/memory_base.h"

namespace holdfast::api::testing {

// Nothing here is ever called: the API goes through the dispatcher.
class ShopService : public state_machine::Service {
 public:
  template <class Request>
  Result<void> Write(const Request&, state_machine::WriteContext&, Reply*) {
    return {};
  }
  template <class Request>
  Result<void> Read(const Request&, const state_machine::ReadContext&, Reply*) const {
    return {};
  }
  Result<void> Ping(const ListRequest&, Reply*) const { return {}; }
};

struct Shop {
  Shop() : store(std::make_unique<store::MemoryBase>()), registry(store) {
    registry.Add("holdfast.api.testing.Shop", std::make_unique<ShopService>())
        .Write("Create", &ShopService::Write<Everything>)
        .Read("Get", &ShopService::Read<GetRequest>)
        .Write("Sell", &ShopService::Write<SellRequest>)
        .Read("List", &ShopService::Read<ListRequest>)
        .Read("Batch", &ShopService::Read<ListRequest>)
        .Stateless("Ping", &ShopService::Ping)
        .Read("Wait", &ShopService::Read<WaitRequest>);
    registry.Finish();
  }

  store::Store store;
  state_machine::Registry registry;
};

// Remembers every call. Answers by `reply` at once, or keeps the call until the test releases it.
class FakeNode : public node::Dispatcher {
 public:
  struct Seen {
    std::string method;
    std::string request;
    node::CallOptions options;
    bool in_batch = false;  // Whether its caller had more to come (base/batch.h).
  };

  void Call(const state_machine::Method& method, std::string request, node::CallOptions options,
            node::Done done) override {
    node::Reply reply;
    {
      absl::MutexLock lock(&mutex_);
      seen_.push_back(
          {method.descriptor->name(), std::move(request), std::move(options), Batch::IsOpen()});
      if (hold_) {
        held_.push_back(std::move(done));
        return;
      }
      reply = reply_;
    }
    done(std::move(reply));
  }

  static node::Reply ReplyOf(const google::protobuf::Message& message, uint64_t position = 7) {
    node::Reply reply;
    reply.body = message.SerializeAsString();
    reply.position = LogIndex(position);
    return reply;
  }
  static node::Reply Failure(Error error) {
    node::Reply reply;
    reply.body = Fail(std::move(error));
    return reply;
  }

  void SetReply(node::Reply reply) {
    absl::MutexLock lock(&mutex_);
    reply_ = std::move(reply);
  }
  void Hold() {
    absl::MutexLock lock(&mutex_);
    hold_ = true;
  }
  // Answers at once again, but for the calls that are held.
  void HoldNoMore() {
    absl::MutexLock lock(&mutex_);
    hold_ = false;
  }
  // Waits for the oldest held call and takes it out.
  node::Done Take() {
    absl::MutexLock lock(&mutex_);
    const auto some = [this] { return !held_.empty(); };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&some), absl::Seconds(30))) {
      ADD_FAILURE() << "no call came";
      return [](const node::Reply&) {};
    }
    node::Done done = std::move(held_.front());
    held_.erase(held_.begin());
    return done;
  }
  std::vector<Seen> seen() const {
    absl::MutexLock lock(&mutex_);
    return seen_;
  }
  Seen last() const {
    absl::MutexLock lock(&mutex_);
    return seen_.empty() ? Seen{} : seen_.back();
  }

 private:
  static node::Reply Created() {
    Reply reply;
    reply.set_outcome(created);
    return ReplyOf(reply);
  }

  mutable absl::Mutex mutex_;
  std::vector<Seen> seen_;
  std::vector<node::Done> held_;
  node::Reply reply_ = Created();
  bool hold_ = false;
};

}  // namespace holdfast::api::testing
