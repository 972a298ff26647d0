// For the tests of services: a machine with some of them, as one node has it, and a log whose time
// the test holds.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/log.pb.h"
#include "src/state_machine/machine.h"
#include "src/state_machine/registry.h"
#include "src/state_machine/sessions.h"
#include "src/store/memory/memory_base.h"

namespace holdfast::state_machine::testing {

class ServiceFixture : public ::testing::Test {
 protected:
  using Registration = void (*)(Registry&);

  explicit ServiceFixture(std::vector<Registration> services) : services_(std::move(services)) {
    Open();
  }

  Machine& machine() { return *life_->machine; }
  Registry& registry() { return life_->registry; }
  const Method& MethodOf(const std::string& name) {
    const Method* method = registry().Find(name);
    EXPECT_NE(method, nullptr) << name;
    return *method;
  }

  // One entry with one request, a microsecond after the last one.
  Outcome Call(const std::string& name, const Message& request, const std::string& key = "") {
    const Method& method = MethodOf(name);
    LogEntry entry;
    entry.set_time_us(++now_us_);
    LogRequest* added = entry.add_requests();
    added->set_service(method.service_id);
    added->set_method(method.method_id);
    added->set_idempotency_key(key);
    added->set_body(request.SerializeAsString());
    return Apply(entry.SerializeAsString())[0];
  }
  template <class Reply>
  Reply Write(const std::string& name, const Message& request) {
    const Outcome outcome = Call(name, request);
    Reply reply;
    EXPECT_TRUE(outcome.reply && reply.ParseFromString(*outcome.reply))
        << (outcome.reply ? "" : outcome.reply.error().field + outcome.reply.error().message);
    return reply;
  }
  template <class Reply>
  Result<Reply> Read(const std::string& name, const Message& request,
                     std::optional<Topic>* waits_for = nullptr) {
    Position at;
    const auto bytes = machine().Read(MethodOf(name), request, &at, waits_for);
    if (!bytes) return Fail(bytes.error());
    Reply reply;
    EXPECT_TRUE(reply.ParseFromString(*bytes));
    return reply;
  }
  // Of a malformed request, or "fine".
  std::string FieldOf(const std::string& name, const Message& request) {
    const Result<void> valid = MethodOf(name).validate(request);
    return valid ? "fine" : valid.error().field;
  }

  // Time passes: an entry without requests, as the leader proposes when a timer is due.
  void PassMs(int64_t ms) {
    now_us_ += ms * 1'000;
    LogEntry tick;
    tick.set_time_us(now_us_);
    Apply(tick.SerializeAsString());
  }
  // Somebody else leads: an entry of consensus itself.
  void NewLeader() { Apply(""); }
  // Topics that the last entry touched.
  const std::vector<Touched>& touched() { return machine().touched(); }

  int64_t now_us() const { return now_us_; }
  int64_t lease_now_us() {
    absl::ReaderMutexLock lock(&life_->store.mutex());
    return machine().lease_now().us;
  }

  void Checkpoint() {
    std::function<void()> job;
    {
      absl::MutexLock lock(&life_->store.mutex());
      job = life_->store.BeginCheckpoint();
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
    Checkpoint();
  }
  // What is wrong with a service's state, if anything.
  std::string Broken(uint8_t service) {
    absl::ReaderMutexLock lock(&life_->store.mutex());
    return registry().FindService(service)->CheckInvariants().value_or("");
  }

 private:
  struct Life {
    explicit Life(std::shared_ptr<store::MemoryDisk> disk)
        : store(std::make_unique<store::MemoryBase>(std::move(disk)), {.check_known = true}),
          registry(store) {}
    store::Store store;
    Registry registry;
    std::unique_ptr<Machine> machine;
  };

  void Open() {
    life_ = std::make_unique<Life>(disk_);
    for (const Registration add : services_) add(life_->registry);
    life_->registry.Finish();
    life_->machine = std::make_unique<Machine>(life_->store, life_->registry);
  }
  std::vector<Outcome> Apply(std::string entry) {
    std::vector<Outcome> outcomes;
    machine().Apply(machine().applied().Next(), entry, &outcomes);
    log_.push_back(std::move(entry));
    return outcomes;
  }

  const std::vector<Registration> services_;
  std::shared_ptr<store::MemoryDisk> disk_ = std::make_shared<store::MemoryDisk>();
  std::unique_ptr<Life> life_;
  std::vector<std::string> log_;
  int64_t now_us_ = 1'000'000'000;
};

}  // namespace holdfast::state_machine::testing
