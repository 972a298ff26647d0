// The counter service through the machine that runs it on a real node: entry in, reply out.

#include "services/counter/counter.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "holdfast/log.pb.h"
#include "services/counter/model.h"
#include "src/base/behaviour.h"
#include "src/state_machine/machine.h"
#include "src/state_machine/registry.h"
#include "src/store/memory/memory_base.h"

namespace holdfast::counter {

void Register(state_machine::Registry& registry);

namespace {

class CounterTest : public ::testing::Test {
 protected:
  CounterTest() {
    Register(registry_);
    registry_.Finish();
    machine_ = std::make_unique<state_machine::Machine>(store_, registry_);
  }

  static AddRequest AddOf(const std::string& name, int64_t amount) {
    AddRequest request;
    request.set_name(name);
    request.set_amount(amount);
    return request;
  }

  // One log entry with one request, by the newest behaviour.
  template <class Reply, class Request>
  Result<Reply> Call(uint32_t method, const Request& request) {
    LogEntry entry;
    entry.mutable_step()->set_version(ThisProgram().newest);
    LogRequest* added = entry.add_requests();
    added->set_service(1);
    added->set_method(method);
    added->set_body(request.SerializeAsString());
    std::vector<state_machine::Outcome> outcomes;
    machine_->Apply(machine_->applied().Next(), entry.SerializeAsString(), &outcomes);
    if (!outcomes[0].reply) return Fail(outcomes[0].reply.error());
    Reply reply;
    reply.ParseFromString(*outcomes[0].reply);
    return reply;
  }
  Result<AddReply> Add(const AddRequest& request) { return Call<AddReply>(1, request); }
  Result<RemoveReply> Remove(const std::string& name) {
    RemoveRequest request;
    request.set_name(name);
    return Call<RemoveReply>(3, request);
  }

  Result<int64_t> Get(const std::string& name) {
    GetRequest request;
    request.set_name(name);
    state_machine::Position at;
    const auto bytes =
        machine_->Read(*registry_.Find("/holdfast.counter.Counter/Get"), request, &at);
    if (!bytes) return Fail(bytes.error());
    GetReply reply;
    reply.ParseFromString(*bytes);
    return reply.value();
  }

  store::Store store_{std::make_unique<store::MemoryBase>()};
  state_machine::Registry registry_{store_};
  std::unique_ptr<state_machine::Machine> machine_;
};

TEST_F(CounterTest, AnswersInTheDocumentedWay) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  struct Row {
    const char* name;
    int64_t amount;
    AddOutcome::Code outcome;
    int64_t value;
  };
  const Row rows[] = {
      {"visits", 5, AddOutcome::added, 5},      {"visits", -7, AddOutcome::added, -2},
      {"other", kMax, AddOutcome::added, kMax}, {"other", 1, AddOutcome::overflow, kMax},
      {"visits", 2, AddOutcome::added, 0},
  };
  for (const Row& row : rows) {
    const auto reply = Add(AddOf(row.name, row.amount));
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->outcome(), row.outcome) << row.name << " " << row.amount;
    EXPECT_EQ(reply->value(), row.value) << row.name << " " << row.amount;
    EXPECT_EQ(Get(row.name), row.value);
  }
}

TEST_F(CounterTest, ACounterThatIsRemovedBeginsAnew) {
  EXPECT_EQ(Remove("visits")->outcome(), RemoveOutcome::unknown_counter);
  ASSERT_TRUE(Add(AddOf("visits", 5)).has_value());
  ASSERT_TRUE(Add(AddOf("other", 6)).has_value());
  const auto removed = Remove("visits");
  EXPECT_EQ(removed->outcome(), RemoveOutcome::removed);
  EXPECT_EQ(removed->value(), 5);
  EXPECT_EQ(Get("visits").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(Get("other"), 6);
  EXPECT_EQ(Remove("visits")->outcome(), RemoveOutcome::unknown_counter);
  EXPECT_EQ(Add(AddOf("visits", 1))->value(), 1);
}

TEST_F(CounterTest, MalformedRequestsNameTheField) {
  EXPECT_EQ(Add(AddOf("", 1)).error().field, "name");
  EXPECT_EQ(Add(AddOf(std::string(129, 'x'), 1)).error().field, "name");
  EXPECT_EQ(Add(AddOf("visits", 0)).error().field, "amount");
  EXPECT_EQ(Remove("").error().field, "name");
  EXPECT_EQ(Remove(std::string(129, 'x')).error().field, "name");
  EXPECT_EQ(Get("visits").error().code, ErrorCode::kNotFound);
}

TEST_F(CounterTest, DoesWhatTheModelDoes) {
  std::mt19937_64 random(1);
  Model model;
  for (int i = 0; i < 2'000; ++i) {
    const auto amount = static_cast<int64_t>(random() >> (random() % 64));
    const AddRequest request =
        AddOf("c" + std::to_string(random() % 3), random() % 2 == 0 ? amount | 1 : -(amount | 1));
    const auto reply = Add(request);
    ASSERT_TRUE(reply.has_value());
    ASSERT_EQ(reply->SerializeAsString(), model.Add(request).SerializeAsString());
    ASSERT_EQ(Get(request.name()), *model.Get(request.name()));
    if (random() % 8 != 0) continue;
    RemoveRequest remove;
    remove.set_name("c" + std::to_string(random() % 4));
    ASSERT_EQ(Remove(remove.name())->SerializeAsString(), model.Remove(remove).SerializeAsString());
  }
}

}  // namespace
}  // namespace holdfast::counter
