// Who is answered, when, and with what: every call once.
#include "src/node/frontend.h"

#include <gtest/gtest.h>

#include "src/base/bounds.h"
#include "src/base/testing/queue_executor.h"
#include "src/state_machine/testing/sample.h"

namespace holdfast::node {
namespace {

using state_machine::testing::EntryOf;
using state_machine::testing::GetRequest;
using state_machine::testing::PutOf;
using state_machine::testing::RequestOf;

class HeldClock : public Clock {
 public:
  uint64_t MonotonicMs() const override { return now_ms; }
  int64_t WallUs() const override { return 0; }
  uint64_t now_ms = 1'000;
};

class FrontendTest : public ::testing::Test {
 protected:
  FrontendTest() {
    applier_.emplace(
        machine_.machine(), machine_.store(), apply_, background_, [](LogIndex) {},
        [](LogIndex) {});
    frontend_.emplace(FrontendParts{
        clock_, machine_.machine(), *applier_, reads_, [this] { ++wakes_; },
        [this](uint64_t, ReadRouter::Done found) { asked_.push_back(std::move(found)); },
        [](LogIndex) { return std::chrono::milliseconds(7); }});
    frontend_->Open();
  }

  const state_machine::Method& MethodOf(const std::string& name) {
    return *machine_.registry().Find("/holdfast.state_machine.testing.Sample/" + name);
  }
  static CallOptions For(Consistency consistency, uint64_t after = 0, uint64_t patience_ms = 500) {
    CallOptions options;
    options.consistency = consistency;
    options.after = LogIndex(after);
    options.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(patience_ms);
    return options;
  }
  // A reply, or none, in replies_ at the returned place.
  size_t Call(const std::string& method, const google::protobuf::Message& request,
              const CallOptions& options) {
    const size_t at = replies_.size();
    replies_.emplace_back();
    frontend_->Call(MethodOf(method), request.SerializeAsString(), options,
                    [this, at](Reply reply) {
                      EXPECT_FALSE(replies_[at]) << "answered twice";
                      replies_[at] = std::move(reply);
                    });
    return at;
  }
  size_t Get(const CallOptions& options) {
    GetRequest request;
    request.set_name("till");
    return Call("Get", request, options);
  }
  // The next entry, which puts one into "till".
  void Apply() {
    CommittedEntry entry;
    last_ = last_.Next();
    entry.index = last_;
    entry.payload = std::make_shared<const std::string>(
        EntryOf(static_cast<int64_t>(last_.value) * 10, {RequestOf(PutOf("till", 1))})
            .SerializeAsString());
    applier_->Apply(std::move(entry));
    apply_.RunAll();
    reads_.RunAll();
  }
  void Pass(uint64_t ms) {
    clock_.now_ms += ms;
    frontend_->Step(clock_.now_ms);
  }
  std::optional<ErrorCode> ErrorOf(size_t call) {
    if (!replies_[call] || replies_[call]->body) return std::nullopt;
    return replies_[call]->body.error().code;
  }

  HeldClock clock_;
  state_machine::testing::MachineOnDisk machine_;
  testing::QueueExecutor apply_, background_, reads_;
  std::optional<Applier> applier_;
  std::optional<Frontend> frontend_;
  std::vector<ReadRouter::Done> asked_;
  size_t wakes_ = 0;
  LogIndex last_;
  std::vector<std::optional<Reply>> replies_;
};

TEST_F(FrontendTest, AStaleReadIsAnsweredAtOnce) {
  Apply();
  const size_t read = Get(For(Consistency::kStale));
  ASSERT_TRUE(replies_[read] && replies_[read]->body);
  EXPECT_EQ(replies_[read]->position, LogIndex(1));
  EXPECT_EQ(replies_[read]->age.count(), 7);
}

TEST_F(FrontendTest, ASessionReadWaitsForItsPosition) {
  Apply();
  EXPECT_TRUE(replies_[Get(For(Consistency::kSession, 1))]) << "it is there";
  const size_t read = Get(For(Consistency::kSession, 3));
  Apply();
  EXPECT_FALSE(replies_[read]);
  EXPECT_EQ(frontend_->waiting_reads(), 1u);
  Apply();
  ASSERT_TRUE(replies_[read] && replies_[read]->body);
  EXPECT_EQ(replies_[read]->position, LogIndex(3));
  EXPECT_EQ(frontend_->waiting_reads(), 0u);
  EXPECT_TRUE(asked_.empty());
}

TEST_F(FrontendTest, ALinearizableReadWaitsForTheLeadersWordAndThenForTheEntry) {
  const size_t read = Get(For(Consistency::kLinearizable));
  const size_t refused = Get(For(Consistency::kLinearizable));
  ASSERT_EQ(asked_.size(), 2u);
  asked_[0](LogIndex(2));
  asked_[1](Fail(Error{ErrorCode::kUnavailable, "no quorum", "", "", 0}));
  EXPECT_EQ(ErrorOf(refused), ErrorCode::kUnavailable);
  Apply();
  EXPECT_FALSE(replies_[read]);
  Apply();
  EXPECT_TRUE(replies_[read] && replies_[read]->body);
}

TEST_F(FrontendTest, AReadWhoseEntryDoesNotComeFailsAtItsDeadline) {
  const size_t shorter = Get(For(Consistency::kSession, 5, 300));
  const size_t longer = Get(For(Consistency::kSession, 5, 900));
  Pass(250);
  EXPECT_FALSE(replies_[shorter]);
  Pass(100);
  EXPECT_EQ(ErrorOf(shorter), ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(replies_[shorter]->body.error().field, "holdfast-after");
  EXPECT_FALSE(replies_[longer]);
  EXPECT_EQ(frontend_->waiting_reads(), 1u) << "who is answered counts no more";
  while (last_ < LogIndex(5)) Apply();
  EXPECT_TRUE(replies_[longer] && replies_[longer]->body);
}

TEST_F(FrontendTest, WaitingReadsAreBounded) {
  for (size_t i = 0; i < bounds::kWaitingReadsMax; ++i) Get(For(Consistency::kSession, 2));
  EXPECT_EQ(ErrorOf(Get(For(Consistency::kSession, 2))), ErrorCode::kResourceExhausted);
  Apply();
  Apply();
  EXPECT_EQ(frontend_->waiting_reads(), 0u);
  EXPECT_TRUE(replies_[Get(For(Consistency::kSession, 2))]->body) << "room again";
}

TEST_F(FrontendTest, WritesThatComeTogetherWakeTheLoopOnce) {
  const size_t first = Call("Put", PutOf("till", 1), For(Consistency::kSession));
  const size_t second = Call("Put", PutOf("till", 2), For(Consistency::kSession));
  EXPECT_EQ(wakes_, 1u) << "what finds others waiting is taken with them";
  auto writes = frontend_->TakeWrites();
  ASSERT_EQ(writes.size(), 2u);
  writes[1]->done(Reply{std::string("done"), LogIndex(9), false});
  EXPECT_FALSE(replies_[first]);
  EXPECT_EQ(replies_[second]->position, LogIndex(9));
  writes[0]->done(Reply{std::string("done"), LogIndex(9), false});
}

// A newer peer may forward what this node cannot carry out.
TEST_F(FrontendTest, AForwardedWriteOfAnUnknownMethodIsRefused) {
  ForwardWrite forward;
  forward.set_service(state_machine::testing::kSample);
  forward.set_method(99);
  std::optional<Reply> reply;
  EXPECT_EQ(frontend_->Forwarded(forward, [&](Reply r) { reply = std::move(r); }), nullptr);
  ASSERT_TRUE(reply && !reply->body);
  EXPECT_EQ(reply->body.error().code, ErrorCode::kUnimplemented);
}

TEST_F(FrontendTest, BeforeTheFoundingOnlyStaleReadsAreAnswered) {
  frontend_.emplace(FrontendParts{clock_, machine_.machine(), *applier_, reads_, [] {},
                                  [](uint64_t, ReadRouter::Done) {},
                                  [](LogIndex) { return std::chrono::milliseconds(0); }});
  EXPECT_EQ(ErrorOf(Call("Put", PutOf("till"), For(Consistency::kSession))),
            ErrorCode::kUnavailable);
  EXPECT_EQ(ErrorOf(Get(For(Consistency::kSession))), ErrorCode::kUnavailable);
  EXPECT_EQ(ErrorOf(Get(For(Consistency::kStale))), ErrorCode::kNotFound);
}

TEST_F(FrontendTest, WhenTheNodeStopsWhoeverWaitsIsAnswered) {
  const size_t write = Call("Put", PutOf("till"), For(Consistency::kSession));
  const size_t waiting = Get(For(Consistency::kSession, 5));
  const size_t asking = Get(For(Consistency::kLinearizable));
  applier_->DropReaders();
  frontend_->Stop();
  asked_.clear();
  for (size_t call : {write, waiting, asking}) EXPECT_EQ(ErrorOf(call), ErrorCode::kUnavailable);
  EXPECT_EQ(ErrorOf(Get(For(Consistency::kSession, 5))), ErrorCode::kUnavailable)
      << "who comes later is not kept waiting either";
  EXPECT_EQ(ErrorOf(Call("Put", PutOf("till"), For(Consistency::kSession))),
            ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace holdfast::node
