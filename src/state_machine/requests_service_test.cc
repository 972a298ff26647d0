// What is said of a request whose answer was lost.
#include "src/state_machine/requests_service.h"

#include <gtest/gtest.h>

#include "holdfast/requests.pb.h"
#include "src/state_machine/repeated_key.h"
#include "src/state_machine/testing/sample.h"

namespace holdfast::state_machine {
namespace {

using namespace testing;  // NOLINT: the sample service and its messages.
using requests::GetOutcomeReply;

class RequestsServiceTest : public ::testing::Test {
 protected:
  RequestsServiceTest() : store_(std::make_unique<store::MemoryBase>()), registry_(store_) {
    RegisterRequestsService(registry_, [this](const Method& method, const std::string& key) {
      auto last = machine_->LastReply(method, "", key);
      return last ? std::optional(std::move(last->reply)) : std::nullopt;
    });
    RegisterSample(registry_);
    machine_.emplace(store_, registry_);
  }

  void Apply(const LogRequest& request) {
    std::vector<Outcome> outcomes;
    const LogIndex next = machine_->applied().Next();
    machine_->Apply(next,
                    EntryOf(static_cast<int64_t>(next.value) * 10, {request}).SerializeAsString(),
                    &outcomes);
    ASSERT_TRUE(outcomes.at(0).reply) << outcomes.at(0).reply.error().message;
  }
  void Put(int64_t amount) { Apply(RequestOf(PutOf("till", amount))); }
  void Take(const std::string& key, int64_t amount = 5) {
    TakeRequest request;
    request.set_name("till");
    request.set_amount(amount);
    request.set_wait_ms(1'000);
    Apply(RequestOf(kTake, request, key));
  }
  // "state outcome left", of the key "k".
  std::string OutcomeOfK() {
    requests::GetOutcomeRequest request;
    request.set_key("k");
    Position at;
    const auto bytes =
        machine_->Read(*registry_.Find("/holdfast.requests.Requests/GetOutcome"), request, &at);
    GetOutcomeReply reply;
    if (!bytes || !reply.ParseFromString(*bytes)) return "no reply";
    TakeReply taken;
    taken.ParseFromString(reply.reply());
    return GetOutcomeReply::State_Name(reply.state()) + " " + reply.outcome() + " " +
           std::to_string(taken.left());
  }

  store::Store store_;
  Registry registry_;
  std::optional<Machine> machine_;
};

// What went wrong: a write that had waited and was done was called rejected, for good.
TEST_F(RequestsServiceTest, OfAWriteThatWaitedTheLastRepeatCounts) {
  EXPECT_EQ(OutcomeOfK(), "never_seen  0");
  Take("k");
  EXPECT_EQ(OutcomeOfK(), "pending empty 0");
  Put(4);
  for (uint32_t repeat = 1; repeat <= 9; ++repeat) {
    Take(RepeatedKey("k", repeat));
    EXPECT_EQ(OutcomeOfK(), "pending empty 4") << repeat;
  }
  Put(3);
  Take(RepeatedKey("k", 10));
  EXPECT_EQ(OutcomeOfK(), "committed taken 2");
}

TEST_F(RequestsServiceTest, ARefusalIsFinal) {
  Take("k", 13);
  EXPECT_EQ(OutcomeOfK(), "rejected forbidden 0");
}

TEST_F(RequestsServiceTest, TheLastReplyIsFoundHoweverManyThereAre) {
  const Method& take = *registry_.Find("/holdfast.state_machine.testing.Sample/Take");
  const auto last = [&](uint32_t from) -> int64_t {
    Position at;
    const auto found = machine_->FindLastReply(take, "", "k", from, &at);
    return found ? int64_t{found->repeat} : -1;
  };
  EXPECT_EQ(last(0), -1);
  Take("k");
  EXPECT_EQ(last(0), 0);
  EXPECT_EQ(last(1), -1);
  for (uint32_t repeat = 1; repeat <= 40; ++repeat) {
    Take(RepeatedKey("k", repeat));
    for (const uint32_t from : {0U, 1U, repeat / 2, repeat}) EXPECT_EQ(last(from), repeat) << from;
    EXPECT_EQ(last(repeat + 1), -1);
  }
}

}  // namespace
}  // namespace holdfast::state_machine
