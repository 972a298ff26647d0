// For the tests of the machine: a small service, and a machine as one node has it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/log.pb.h"
#include "src/base/testing/stopped.h"
#include "src/state_machine/atomic_service.h"
#include "src/state_machine/machine.h"
#include "src/state_machine/registry.h"
#include "src/state_machine/testing/sample.pb.h"
#include "src/store/memory/memory_base.h"
#include "src/store/table.h"

namespace holdfast::state_machine::testing {

inline constexpr uint8_t kSample = 240;
inline constexpr uint8_t kPut = 1, kPutMore = 2, kCancel = 3, kTake = 6, kPutNew = 8;

using holdfast::testing::Stopped;
using holdfast::testing::StopThrows;

// What it said when it stopped, or "went on".
template <class Action>
std::string StopOf(Action action) {
  StopThrows stop_throws;
  try {
    action();
  } catch (const Stopped& stopped) {
    return stopped.what();
  }
  return "went on";
}

// Adds up amounts by name, and notes which timers rang in which entry. A timer whose name begins
// with "again" sets another one, due at once.
class SampleService : public Service {
 public:
  explicit SampleService(store::Store& store)
      : totals_(store, {kSample, 1}, "totals"), rung_(store, {kSample, 2}, "rung") {}

  Result<void> Put(const PutRequest& request, WriteContext& context, PutReply* reply) {
    const Total* before = totals_.Find(request.name());
    const int64_t total = (before == nullptr ? 0 : before->total) + request.amount();
    for (uint32_t i = 0; i <= request.again(); ++i) totals_.Put(request.name(), {total});
    context.Touch(request.name(), 1);
    if (request.ring_us() != 0) context.SetTimer(LogTime{request.ring_us()}, request.name());
    if (request.ending() == failed) return Fail(InvalidArgument("ending", "was asked for"));
    reply->set_ending(request.ending());
    reply->set_total(total);
    reply->set_now_us(context.now().us);
    *reply->mutable_labels() = request.labels();
    if (context.behaviour() >= 2) reply->set_behaviour(context.behaviour());
    return {};
  }
  Result<void> Cancel(const CancelRequest& request, WriteContext& context, PutReply*) {
    context.CancelTimer(LogTime{request.ring_us()}, request.name());
    return {};
  }
  Result<void> Get(const GetRequest& request, const ReadContext&, GetReply* reply) const {
    const auto row = totals_.Get(request.name());
    if (!row) return Fail(NotFound("no total of " + request.name()));
    reply->set_total(row->total);
    return {};
  }
  Result<void> Take(const TakeRequest& request, WriteContext&, TakeReply* reply) {
    const Total* before = totals_.Find(request.name());
    const int64_t total = before == nullptr ? 0 : before->total;
    const bool enough = total >= request.amount();
    const bool forbidden = request.amount() == 13 || (enough && request.amount() == 14);
    const bool takes = enough && !forbidden;
    reply->set_left(takes ? total - request.amount() : total);
    if (takes) totals_.Put(request.name(), {reply->left()});
    reply->set_outcome(forbidden ? TakeOutcome::forbidden
                       : takes   ? TakeOutcome::taken
                                 : TakeOutcome::empty);
    return {};
  }
  Result<void> AwaitTake(const TakeRequest& request, const ReadContext& context,
                         TakeReply* reply) const {
    const auto row = totals_.Get(request.name());
    reply->set_left(row ? row->total : 0);
    const bool enough = reply->left() >= request.amount();
    const bool forbidden = reply->left() < 0;
    if (!enough && !forbidden) context.WaitFor(request.name());
    reply->set_outcome(forbidden ? TakeOutcome::forbidden
                       : enough  ? TakeOutcome::available
                                 : TakeOutcome::empty);
    return {};
  }
  Result<void> Echo(const GetRequest&, GetReply*) const { return {}; }

  void OnTimer(WriteContext& context, std::string_view key) override {
    rung_.Put(Rung().size(), {std::string(key), context.index().value});
    if (key.starts_with("again")) context.SetTimer(context.now(), "echo");
  }

  // "name@entry", in the order in which they rang.
  std::vector<std::string> Rung() const {
    std::vector<std::string> rung;
    rung_.Scan(0, [&](uint64_t, const Ring& ring) {
      rung.push_back(ring.name + "@" + std::to_string(ring.index));
      return true;
    });
    return rung;
  }

 private:
  struct Total {
    int64_t total = 0;
    auto Fields() { return std::tie(total); }
    auto Fields() const { return std::tie(total); }
  };
  struct Ring {
    std::string name;
    uint64_t index = 0;
    auto Fields() { return std::tie(name, index); }
    auto Fields() const { return std::tie(name, index); }
  };

  store::HashTable<std::string, Total> totals_;
  store::SortedTable<uint64_t, Ring> rung_;
};

inline void RegisterSample(Registry& registry) {
  registry
      .Add("holdfast.state_machine.testing.Sample",
           std::make_unique<SampleService>(registry.store()))
      .Write("Put", &SampleService::Put)
      .Write("PutMore", &SampleService::Put)
      .Write("Cancel", &SampleService::Cancel)
      .Write("PutNew", &SampleService::Put)
      .Read("Get", &SampleService::Get)
      .Stateless("Echo", &SampleService::Echo)
      .Write("Take", &SampleService::Take)
      .Read("AwaitTake", &SampleService::AwaitTake);
  RegisterAtomicService(registry);
  registry.Finish();
}

inline PutRequest PutOf(const std::string& name, int64_t amount = 0, Ending ending = kept) {
  PutRequest request;
  request.set_name(name);
  request.set_amount(amount);
  request.set_ending(ending);
  return request;
}

inline PutRequest RingOf(const std::string& name, int64_t due_us) {
  PutRequest request = PutOf(name);
  request.set_ring_us(due_us);
  return request;
}

inline LogRequest RequestOf(uint8_t method, const Message& body, const std::string& key = "",
                            const std::string& principal = "") {
  LogRequest request;
  request.set_service(kSample);
  request.set_method(method);
  request.set_idempotency_key(key);
  request.set_principal(principal);
  request.set_body(body.SerializeAsString());
  return request;
}

inline LogRequest RequestOf(const PutRequest& put, const std::string& key = "",
                            const std::string& principal = "") {
  return RequestOf(kPut, put, key, principal);
}

inline LogEntry EntryOf(int64_t time_us, const std::vector<LogRequest>& requests = {}) {
  LogEntry entry;
  entry.set_time_us(time_us);
  for (const LogRequest& request : requests) *entry.add_requests() = request;
  return entry;
}

inline LogEntry StepOf(int64_t time_us, uint32_t version, const std::string& release,
                       const std::vector<LogRequest>& requests = {}) {
  LogEntry entry = EntryOf(time_us, requests);
  entry.mutable_step()->set_version(version);
  entry.mutable_step()->set_release(release);
  return entry;
}

inline PutReply ReplyIn(const Outcome& outcome) {
  PutReply reply;
  EXPECT_TRUE(outcome.reply && reply.ParseFromString(*outcome.reply)) << "no reply";
  return reply;
}

// A machine as one node has it: a disk, a log, and what dies with the process.
class MachineOnDisk {
 public:
  explicit MachineOnDisk(
      std::shared_ptr<store::MemoryDisk> disk = std::make_shared<store::MemoryDisk>())
      : disk_(std::move(disk)) {
    Open();
  }

  Machine& machine() { return *life_->machine; }
  Registry& registry() { return life_->registry; }
  store::Store& store() { return life_->store; }
  const SampleService& service() {
    return *static_cast<SampleService*>(registry().FindService(kSample));
  }

  // Applies the next entry of the log.
  std::vector<Outcome> Apply(std::string entry) {
    std::vector<Outcome> outcomes;
    machine().Apply(machine().applied().Next(), entry, &outcomes);
    log_.push_back(std::move(entry));
    return outcomes;
  }
  std::vector<Outcome> Apply(int64_t time_us, const std::vector<LogRequest>& requests = {}) {
    return Apply(EntryOf(time_us, requests).SerializeAsString());
  }

  void Checkpoint() {
    std::function<void()> job;
    {
      absl::MutexLock lock(&store().mutex());
      job = store().BeginCheckpoint();
    }
    if (job) job();
  }

  // The process dies and comes back: what the last checkpoint lacks is applied again.
  void Restart() {
    life_.reset();
    Open();
    std::vector<Outcome> outcomes;
    while (machine().applied().value < log_.size()) {
      const LogIndex next = machine().applied().Next();
      machine().Apply(next, log_[next.value - 1], &outcomes);
    }
  }

  Result<int64_t> Total(const std::string& name, Position* at = nullptr) {
    GetRequest request;
    request.set_name(name);
    Position position;
    const auto bytes =
        machine().Read(*registry().Find("/holdfast.state_machine.testing.Sample/Get"), request,
                       at == nullptr ? &position : at);
    if (!bytes) return Fail(bytes.error());
    GetReply reply;
    EXPECT_TRUE(reply.ParseFromString(*bytes));
    return reply.total();
  }

  // The stored bytes of a table: (key, row), in order.
  std::vector<std::pair<std::string, std::string>> Rows(store::TableNumber wanted) {
    std::vector<std::pair<std::string, std::string>> rows;
    absl::ReaderMutexLock lock(&store().mutex());
    store().ForEach([&](store::TableNumber table, std::string_view key, std::string_view row) {
      if (table == wanted) rows.emplace_back(key, row);
    });
    return rows;
  }

 private:
  struct Life {
    explicit Life(std::shared_ptr<store::MemoryDisk> disk)
        : store(std::make_unique<store::MemoryBase>(std::move(disk))), registry(store) {
      RegisterSample(registry);
      machine = std::make_unique<Machine>(store, registry);
    }
    store::Store store;
    Registry registry;
    std::unique_ptr<Machine> machine;
  };

  void Open() { life_ = std::make_unique<Life>(disk_); }

  const std::shared_ptr<store::MemoryDisk> disk_;
  std::vector<std::string> log_;
  std::unique_ptr<Life> life_;
};

}  // namespace holdfast::state_machine::testing
