// The counter service through the machine that runs it on a real node: entry in, reply out.

#include "services/counter/counter.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "holdfast/log.pb.h"
#include "services/counter/model.h"
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

  // One log entry with one request.
  Result<AddReply> Add(const AddRequest& request) {
    LogEntry entry;
    LogRequest* added = entry.add_requests();
    added->set_service(1);
    added->set_method(1);
    added->set_body(request.SerializeAsString());
    std::vector<state_machine::Outcome> outcomes;
    machine_->Apply(machine_->applied().Next(), entry.SerializeAsString(), &outcomes);
    if (!outcomes[0].reply) return Fail(outcomes[0].reply.error());
    AddReply reply;
    reply.ParseFromString(*outcomes[0].reply);
    return reply;
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

TEST_F(CounterTest, MalformedRequestsNameTheField) {
  EXPECT_EQ(Add(AddOf("", 1)).error().field, "name");
  EXPECT_EQ(Add(AddOf(std::string(129, 'x'), 1)).error().field, "name");
  EXPECT_EQ(Add(AddOf("visits", 0)).error().field, "amount");
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
  }
}

}  // namespace
}  // namespace holdfast::counter
