// One node without a network, for the tests of the queues: requests go through the log entries, the
// machine and the store that a real node has, on a disk in memory.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/log.pb.h"
#include "services/queues/queues.h"
#include "services/sessions/moment.h"
#include "src/state_machine/machine.h"
#include "src/state_machine/registry.h"
#include "src/store/memory/memory_base.h"
#include "src/store/store.h"

namespace holdfast::queues {

void Register(state_machine::Registry& registry);

inline constexpr int64_t kSecond = 1'000'000;
inline constexpr int64_t kEpoch = 1'700'000'000 * kSecond;

class TestNode {
 public:
  explicit TestNode(std::shared_ptr<store::MemoryDisk> disk = std::make_shared<store::MemoryDisk>())
      : store_(std::make_unique<store::MemoryBase>(std::move(disk))), registry_(store_) {
    Register(registry_);
    registry_.Finish();
    machine_ = std::make_unique<state_machine::Machine>(store_, registry_);
  }

  const state_machine::Method& MethodOf(const std::string& method) const {
    const auto* found = registry_.Find("/holdfast.queues.Queues/" + method);
    HOLDFAST_CHECK(found != nullptr, "no method " + method);
    return *found;
  }

  std::vector<state_machine::Outcome> Apply(const LogEntry& entry) {
    std::vector<state_machine::Outcome> outcomes;
    machine_->Apply(machine_->applied().Next(), entry.SerializeAsString(), &outcomes);
    return outcomes;
  }

  // One write in an entry of its own, a millisecond after the last.
  template <class Reply>
  Result<Reply> TryWrite(const std::string& method, const google::protobuf::Message& request) {
    LogEntry entry;
    entry.set_time_us(now_us_ += 1'000);
    LogRequest* added = entry.add_requests();
    added->set_service(MethodOf(method).service_id);
    added->set_method(MethodOf(method).method_id);
    added->set_body(request.SerializeAsString());
    auto outcomes = Apply(entry);
    if (!outcomes[0].reply) return Fail(outcomes[0].reply.error());
    Reply reply;
    HOLDFAST_CHECK(reply.ParseFromString(*outcomes[0].reply), "a reply does not parse");
    return reply;
  }

  template <class Reply>
  Reply Write(const std::string& method, const google::protobuf::Message& request) {
    auto reply = TryWrite<Reply>(method, request);
    HOLDFAST_CHECK(reply.has_value(),
                   method + ": " + reply.error().field + " " + reply.error().message);
    return *reply;
  }

  template <class Reply>
  Result<Reply> TryRead(const std::string& method, const google::protobuf::Message& request,
                        std::optional<state_machine::Topic>* waits_for = nullptr) const {
    const auto& found = MethodOf(method);
    if (Result<void> valid = found.validate(request); !valid) return Fail(valid.error());
    state_machine::Position at;
    auto bytes = machine_->Read(found, request, &at, waits_for);
    if (!bytes) return Fail(bytes.error());
    Reply reply;
    HOLDFAST_CHECK(reply.ParseFromString(*bytes), "a reply does not parse");
    return reply;
  }

  template <class Reply>
  Reply Read(const std::string& method, const google::protobuf::Message& request,
             std::optional<state_machine::Topic>* waits_for = nullptr) const {
    auto reply = TryRead<Reply>(method, request, waits_for);
    HOLDFAST_CHECK(reply.has_value(), method + ": " + reply.error().message);
    return *reply;
  }

  // An entry without requests, so late.
  void Tick(int64_t later_us) {
    LogEntry entry;
    entry.set_time_us(now_us_ += later_us);
    Apply(entry);
  }

  // Somebody else leads: an entry of consensus itself.
  void NewLeader() { Apply(LogEntry()); }
  // Time after the last entry that had one.
  sessions::Moment moment() {
    absl::ReaderMutexLock lock(&store_.mutex());
    return {now_us_, now_us_ - machine_->lease_now().us};
  }

  // Time goes by without an entry.
  void Pass(int64_t us) { now_us_ += us; }

  void Checkpoint() {
    std::function<void()> job;
    {
      absl::MutexLock lock(&store_.mutex());
      job = store_.BeginCheckpoint();
    }
    if (job) job();
  }

  std::optional<std::string> Broken() const {
    absl::ReaderMutexLock lock(&store_.mutex());
    return registry_.FindService(5)->CheckInvariants();
  }

  // --- Shorthands
  static CreateRequest QueueOf(const std::string& name) {
    CreateRequest request;
    request.set_name(name);
    return request;
  }
  QueueReply Create(const CreateRequest& request) { return Write<QueueReply>("Create", request); }

  QueueReply AddGroup(const std::string& queue, const std::string& group,
                      bool partitioned = false) {
    CreateGroupRequest request;
    request.set_queue(queue);
    request.set_group(group);
    request.set_partitioned(partitioned);
    return Write<QueueReply>("CreateGroup", request);
  }

  QueueReply RemoveGroup(const std::string& queue, const std::string& group) {
    DeleteGroupRequest request;
    request.set_queue(queue);
    request.set_group(group);
    return Write<QueueReply>("DeleteGroup", request);
  }

  static PublishRequest MessageOf(const std::string& queue, const std::string& key,
                                  const std::string& payload, const std::string& id = "") {
    PublishRequest request;
    request.set_queue(queue);
    request.set_key(key);
    request.set_payload(payload);
    request.set_message_id(id);
    return request;
  }
  PublishReply Publish(const PublishRequest& request) {
    return Write<PublishReply>("Publish", request);
  }
  PublishReply Publish(const std::string& queue, const std::string& key, const std::string& payload,
                       const std::string& id = "") {
    return Publish(MessageOf(queue, key, payload, id));
  }

  static PullRequest PullOf(const std::string& queue, uint32_t max = 1,
                            const std::string& group = "") {
    PullRequest request;
    request.set_queue(queue);
    request.set_max(max);
    request.set_group(group);
    return request;
  }
  PullReply Pull(const PullRequest& request) { return Write<PullReply>("Pull", request); }
  PullReply Pull(const std::string& queue, uint32_t max = 1, const std::string& group = "") {
    return Pull(PullOf(queue, max, group));
  }
  // "payload payload ..." of what is delivered.
  static std::string Payloads(const PullReply& reply) {
    std::string all;
    for (const Message& message : reply.messages()) {
      all += (all.empty() ? "" : " ") + message.payload();
    }
    return all;
  }

  std::string Ack(const std::string& queue, const std::string& delivery) {
    AckRequest request;
    request.set_queue(queue);
    request.add_deliveries(delivery);
    return Name(Write<AckReply>("Ack", request).results(0).outcome());
  }
  std::string Nack(const std::string& queue, const std::string& delivery, uint64_t delay_ms = 0,
                   const std::string& error = "") {
    NackRequest request;
    request.set_queue(queue);
    request.add_deliveries(delivery);
    request.set_delay_ms(delay_ms);
    request.set_error(error);
    return Name(Write<AckReply>("Nack", request).results(0).outcome());
  }
  std::string Extend(const std::string& queue, const std::string& delivery, uint32_t seconds = 0) {
    ExtendRequest request;
    request.set_queue(queue);
    request.add_deliveries(delivery);
    request.set_visibility_seconds(seconds);
    return Name(Write<AckReply>("Extend", request).results(0).outcome());
  }
  RedriveReply Redrive(const std::string& queue, uint32_t max = 0, const std::string& group = "") {
    RedriveRequest request;
    request.set_queue(queue);
    request.set_max(max);
    request.set_group(group);
    return Write<RedriveReply>("Redrive", request);
  }

  StatsReply Stats(const std::string& queue, bool partitions = false) const {
    StatsRequest request;
    request.set_queue(queue);
    request.set_partitions(partitions);
    return Read<StatsReply>("Stats", request);
  }
  PeekReply Peek(const std::string& queue, const std::string& cursor = "",
                 uint32_t limit = 0) const {
    PeekRequest request;
    request.set_queue(queue);
    request.set_cursor(cursor);
    request.set_limit(limit);
    return Read<PeekReply>("Peek", request);
  }

  // The word that a caller sees.
  static std::string Name(QueueOutcome::Code code) { return QueueOutcome::Code_Name(code); }
  static std::string Name(PublishOutcome::Code code) { return PublishOutcome::Code_Name(code); }
  static std::string Name(PullOutcome::Code code) { return PullOutcome::Code_Name(code); }
  static std::string Name(AckOutcome::Code code) { return AckOutcome::Code_Name(code); }

  state_machine::Machine& machine() { return *machine_; }
  store::Store& store() { return store_; }
  int64_t now_us() const { return now_us_; }

 private:
  store::Store store_;
  state_machine::Registry registry_;
  std::unique_ptr<state_machine::Machine> machine_;
  int64_t now_us_ = kEpoch;
};

// `jobs` sends what fails twice to `dead`.
class QueuesFixture : public ::testing::Test {
 protected:
  QueuesFixture() {
    EXPECT_EQ(Name(node_.Create(TestNode::QueueOf("dead")).outcome()), "created");
    EXPECT_EQ(Name(node_.Create(Jobs()).outcome()), "created");
  }
  ~QueuesFixture() override { EXPECT_EQ(node_.Broken().value_or(""), ""); }

  static CreateRequest Jobs() {
    CreateRequest request = TestNode::QueueOf("jobs");
    request.set_visibility_seconds(10);
    request.set_max_deliveries(2);
    request.set_dead_letter("dead");
    return request;
  }
  template <class Code>
  static std::string Name(Code code) {
    return TestNode::Name(code);
  }
  std::string PullOne(const std::string& group = "") {  // Its delivery.
    const PullReply reply = node_.Pull("jobs", 1, group);
    return reply.messages().empty() ? "" : reply.messages(0).delivery();
  }
  std::string FieldOf(const std::string& method, const google::protobuf::Message& request) {
    const auto reply = node_.TryWrite<QueueReply>(method, request);
    return reply ? "" : reply.error().field;
  }

  TestNode node_;
};

}  // namespace holdfast::queues
