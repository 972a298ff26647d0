// Writes of several services in one step: all of them, or none.
#include "holdfast/atomic.pb.h"
#include "src/base/bounds.h"
#include "src/state_machine/testing/sample.h"

namespace holdfast::state_machine {
namespace {

using namespace testing;  // NOLINT: the sample service and its messages.
using atomic::ExecuteOutcome;
using atomic::ExecuteReply;
using atomic::ExecuteRequest;

TakeRequest TakeOf(const std::string& name, int64_t amount) {
  TakeRequest request;
  request.set_name(name);
  request.set_amount(amount);
  return request;
}

void Add(ExecuteRequest* request, const std::string& method, const Message& body) {
  auto* write = request->add_writes();
  write->set_method(method);
  write->set_request(body.SerializeAsString());
}

LogRequest LogOf(const ExecuteRequest& execute, const std::string& key = "") {
  LogRequest request;
  request.set_service(253);
  request.set_method(1);
  request.set_idempotency_key(key);
  request.set_body(execute.SerializeAsString());
  return request;
}

ExecuteReply ReplyTo(const Outcome& outcome) {
  ExecuteReply reply;
  EXPECT_TRUE(outcome.reply && reply.ParseFromString(*outcome.reply));
  return reply;
}

class AtomicTest : public ::testing::Test {
 protected:
  Outcome Execute(const ExecuteRequest& request, const std::string& key = "") {
    return node_.Apply(time_us_ += 10, {LogOf(request, key)})[0];
  }
  MachineOnDisk node_;
  int64_t time_us_ = 0;
};

TEST_F(AtomicTest, EachWriteSeesThoseBeforeIt) {
  ExecuteRequest request;
  Add(&request, "sample.Put", PutOf("a", 5));
  Add(&request, "/holdfast.state_machine.testing.Sample/Take", TakeOf("a", 3));
  Add(&request, "sample.PutMore", PutOf("b", 7));
  const ExecuteReply reply = ReplyTo(Execute(request));
  EXPECT_EQ(reply.outcome(), ExecuteOutcome::done);
  ASSERT_EQ(reply.results_size(), 3);
  EXPECT_FALSE(reply.has_failed());
  EXPECT_EQ(reply.results(1).outcome(), "taken");
  TakeReply took;
  ASSERT_TRUE(took.ParseFromString(reply.results(1).reply()));
  EXPECT_EQ(took.left(), 2);
  EXPECT_EQ(node_.Total("a"), 2);
  EXPECT_EQ(node_.Total("b"), 7);
}

TEST_F(AtomicTest, ARefusalUndoesTheOthersAndIsNamed) {
  node_.Apply(time_us_ += 10, {RequestOf(PutOf("a", 1))});
  ExecuteRequest request;
  Add(&request, "sample.Put", RingOf("a", 50));
  Add(&request, "sample.Take", TakeOf("a", 1));
  Add(&request, "sample.Take", TakeOf("a", 13));
  Add(&request, "sample.Put", PutOf("b", 7));
  const Outcome outcome = Execute(request, "k");
  const ExecuteReply reply = ReplyTo(outcome);
  EXPECT_EQ(reply.outcome(), ExecuteOutcome::rejected);
  EXPECT_EQ(reply.failed(), 2u);
  ASSERT_EQ(reply.results_size(), 1);
  EXPECT_EQ(reply.results(0).outcome(), "forbidden");
  EXPECT_EQ(node_.Total("a"), 1);
  EXPECT_FALSE(node_.Total("b"));
  node_.Apply(1'000);
  EXPECT_TRUE(node_.service().Rung().empty()) << "the timer went with the rest";
  const Outcome again = Execute(request, "k");
  EXPECT_TRUE(again.replayed);
  EXPECT_EQ(*again.reply, *outcome.reply);
}

TEST_F(AtomicTest, WhatNeverCouldBeDoneNamesTheField) {
  const auto field_of = [&](const ExecuteRequest& request) {
    const Outcome outcome = Execute(request);
    return outcome.reply ? "accepted" : outcome.reply.error().field;
  };
  EXPECT_EQ(field_of({}), "writes");
  ExecuteRequest good;
  Add(&good, "sample.Put", PutOf("a", 5));
  const auto with = [&](const std::string& method, const Message& body) {
    ExecuteRequest request = good;
    Add(&request, method, body);
    return request;
  };
  EXPECT_EQ(field_of(with("sample.Nothing", PutOf("a"))), "writes[1].method");
  EXPECT_EQ(field_of(with("sample.Get", PutOf("a"))), "writes[1].method") << "not a write";
  EXPECT_EQ(field_of(with("", PutOf("a"))), "writes[1].method");
  EXPECT_EQ(field_of(with("sample.Put", PutOf(""))), "writes[1].request.name");
  EXPECT_EQ(field_of(with("atomic.Execute", good)), "writes[1].method");
  EXPECT_EQ(field_of(with("sample.Put", PutOf("a", 1, failed))), "writes[1].request.ending");
  ExecuteRequest broken = good;
  broken.mutable_writes(0)->set_request("\xff");
  EXPECT_EQ(field_of(broken), "writes[0].request");
  ExecuteRequest long_one;
  for (int i = 0; i < 257; ++i) Add(&long_one, "sample.Put", PutOf("a", 1));
  EXPECT_EQ(field_of(long_one), "writes");
  EXPECT_FALSE(node_.Total("a")) << "nothing of any of them was done";
}

TEST_F(AtomicTest, WhoWaitsIsToldOfEachTouch) {
  ExecuteRequest request;
  Add(&request, "sample.Put", PutOf("a", 5));
  Add(&request, "sample.Put", PutOf("b", 5));
  Execute(request);
  ASSERT_EQ(node_.machine().touched().size(), 2u);
  EXPECT_EQ(node_.machine().touched()[1].topic, TopicOf(kSample, "b"));
  node_.Apply(time_us_ += 10);
  EXPECT_TRUE(node_.machine().touched().empty()) << "of the last entry only";
}

// Whoever took a lock or a message with a list that it would have had to wait for had none.
TEST_F(AtomicTest, WhatIsOnlyPendingRefusesTheWhole) {
  ExecuteRequest request;
  Add(&request, "sample.Put", PutOf("b", 7));
  Add(&request, "sample.Take", TakeOf("a", 3));
  const ExecuteReply reply = ReplyTo(Execute(request));
  EXPECT_EQ(reply.outcome(), ExecuteOutcome::rejected);
  EXPECT_EQ(reply.failed(), 1u);
  EXPECT_EQ(reply.results(0).outcome(), "empty");
  EXPECT_FALSE(node_.Total("b"));
}

// 256 pulls of a MiB each were one reply.
TEST_F(AtomicTest, RepliesThatAreTooLargeTogetherRefuseTheWhole) {
  PutRequest large = PutOf("a", 1);
  const std::string text(20'000, 'x');
  (*large.mutable_labels())["k"] = text;
  const auto list = [&](int count) {
    ExecuteRequest request;
    for (int i = 0; i < count; ++i) Add(&request, "sample.Put", large);
    return request;
  };
  const size_t one = ReplyTo(Execute(list(1))).ByteSizeLong();
  ASSERT_GT(one, text.size());
  const int most = static_cast<int>(bounds::kReplyBytesMax / (one + 16));
  const ExecuteReply fits = ReplyTo(Execute(list(most)));
  EXPECT_EQ(fits.outcome(), ExecuteOutcome::done);
  EXPECT_LE(fits.ByteSizeLong(), bounds::kReplyBytesMax);
  EXPECT_EQ(node_.Total("a"), 1 + most);
  const Outcome refused = Execute(list(most + 2), "key");
  ASSERT_FALSE(refused.reply.has_value());
  EXPECT_EQ(refused.reply.error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(node_.Total("a"), 1 + most) << "nothing of it was done";
  EXPECT_FALSE(Execute(list(1), "key").replayed) << "nor kept under its key";
}

// Few bytes may change many rows, and whoever applies them is busy with nothing else.
TEST_F(AtomicTest, AListThatChangesTooManyRowsIsRefused) {
  PutRequest large = PutOf("a", 1);
  large.set_again(bounds::kListChangesMax / 2 - 1);
  const auto list = [&](int count) {
    ExecuteRequest request;
    for (int i = 0; i < count; ++i) Add(&request, "sample.Put", large);
    return request;
  };
  EXPECT_EQ(ReplyTo(Execute(list(3))).outcome(), ExecuteOutcome::done) << "as an older program";
  node_.Apply(StepOf(time_us_ += 10, 2, "9.9").SerializeAsString());
  EXPECT_EQ(ReplyTo(Execute(list(2))).outcome(), ExecuteOutcome::done);
  const Outcome refused = Execute(list(3));
  ASSERT_FALSE(refused.reply.has_value());
  EXPECT_EQ(refused.reply.error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(refused.reply.error().field, "writes[2].request");
  EXPECT_EQ(node_.Total("a"), 5) << "nothing of it was done";
}

// An older program does not know the method: it refuses the whole, and so must this one.
TEST_F(AtomicTest, AWriteThatCameWithALaterVersionRefusesTheWhole) {
  ExecuteRequest request;
  Add(&request, "sample.Put", PutOf("a", 5));
  Add(&request, "sample.PutNew", PutOf("b", 7));
  const Outcome early = Execute(request, "key");
  ASSERT_FALSE(early.reply.has_value());
  EXPECT_EQ(early.reply.error().code, ErrorCode::kUnimplemented);
  EXPECT_EQ(early.reply.error().field, "writes[1].method");
  EXPECT_FALSE(node_.Total("a").has_value());
  node_.Apply(StepOf(time_us_ += 10, 2, "9.9").SerializeAsString());
  EXPECT_EQ(ReplyTo(Execute(request, "key")).outcome(), ExecuteOutcome::done);
  EXPECT_EQ(node_.Total("b"), 7);
}

}  // namespace
}  // namespace holdfast::state_machine
