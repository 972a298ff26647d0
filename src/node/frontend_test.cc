// Who is answered, when, and with what: every call once.
#include "src/node/frontend.h"

#include <gtest/gtest.h>

#include "src/base/bounds.h"
#include "src/base/testing/queue_executor.h"
#include "src/node/wire.h"
#include "src/state_machine/repeated_key.h"
#include "src/state_machine/testing/sample.h"

namespace holdfast::node {
namespace {

using state_machine::testing::EntryOf;
using state_machine::testing::GetRequest;
using state_machine::testing::PutOf;
using state_machine::testing::RequestOf;
using state_machine::testing::TakeOutcome;
using state_machine::testing::TakeReply;
using state_machine::testing::TakeRequest;

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
  std::vector<std::optional<Reply>> replies_;  // Still there when the frontend goes, which answers.
  std::optional<Frontend> frontend_;
  std::vector<ReadRouter::Done> asked_;
  size_t wakes_ = 0;
  LogIndex last_;
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

// A caller that takes from "till" what may come while it waits.
class WaitingTest : public FrontendTest {
 protected:
  static TakeRequest TakeOf(int64_t amount, uint32_t wait_ms) {
    TakeRequest request;
    request.set_name("till");
    request.set_amount(amount);
    request.set_wait_ms(wait_ms);
    return request;
  }
  size_t Take(int64_t amount, uint32_t wait_ms, const std::string& key = "",
              uint64_t patience = 5'000) {
    CallOptions options = For(Consistency::kSession, 0, patience);
    options.idempotency_key = key;
    return Call("Take", TakeOf(amount, wait_ms), options);
  }
  // Puts what the loop would propose into the next entry; with it, `put` into "till".
  void ApplyWrites(int64_t put = 0) { ApplyThese(frontend_->TakeWrites(), put); }
  void ApplyThese(std::vector<std::unique_ptr<Write>> writes, int64_t put = 0) {
    CommittedEntry entry;
    last_ = last_.Next();
    entry.index = last_;
    std::vector<LogRequest> requests;
    if (put != 0) {
      requests.push_back(RequestOf(PutOf("till", put)));
      entry.waiting.emplace_back();
    }
    for (auto& write : writes) {
      keys_.push_back(write->request.idempotency_key());
      requests.push_back(write->request);
      entry.waiting.push_back(std::move(write->done));
    }
    entry.payload = std::make_shared<const std::string>(
        EntryOf(static_cast<int64_t>(last_.value) * 10, requests).SerializeAsString());
    applier_->Apply(std::move(entry));
    apply_.RunAll();
    frontend_->Touched(last_, machine_.machine().touched());
    reads_.RunAll();
  }
  std::optional<TakeReply> ReplyOf(size_t call) {
    if (!replies_[call] || !replies_[call]->body) return std::nullopt;
    TakeReply reply;
    EXPECT_TRUE(reply.ParseFromString(*replies_[call]->body));
    return reply;
  }

  std::vector<std::string> keys_;  // Of all writes that were applied.
};

TEST_F(WaitingTest, AWriteWaitsForWhatItNeedsAndIsDoneAgain) {
  const size_t call = Take(5, 1'000, "k");
  ApplyWrites();
  EXPECT_FALSE(replies_[call]) << "there is nothing yet";
  ApplyWrites(3);
  EXPECT_FALSE(replies_[call]) << "not enough yet";
  ApplyWrites(2);  // Wakes the wait, and the write comes again ...
  EXPECT_FALSE(replies_[call]);
  ApplyWrites();
  ASSERT_TRUE(ReplyOf(call));
  EXPECT_EQ(ReplyOf(call)->outcome(), TakeOutcome::taken);
  EXPECT_EQ(ReplyOf(call)->left(), 0);
  EXPECT_EQ(keys_, (std::vector<std::string>{"k", state_machine::RepeatedKey("k", 1)}))
      << "... under a name of its own";
}

// What went wrong: the repeat waited for more, beside what the first one had got.
TEST_F(WaitingTest, ACallerThatTriesAgainIsLedToWhatItGot) {
  Take(5, 1'000, "k");
  ApplyWrites();
  ApplyWrites(5);
  ApplyWrites();
  const size_t again = Take(5, 1'000, "k");
  for (int i = 0; i < 4; ++i) ApplyWrites();
  ASSERT_TRUE(ReplyOf(again));
  EXPECT_EQ(ReplyOf(again)->outcome(), TakeOutcome::taken);
  EXPECT_EQ(ReplyOf(again)->left(), 0) << "what the first one was told";
  EXPECT_TRUE(replies_[again]->replayed);
}

TEST_F(WaitingTest, ACallerThatTriesAgainBeforeThereIsAnythingWaitsOn) {
  Take(5, 1'000, "k");
  ApplyWrites();
  const size_t again = Take(5, 1'000, "k");
  ApplyWrites();
  EXPECT_FALSE(replies_[again]);
  ApplyWrites(5);  // A touch for one, which the first is, and takes it.
  ApplyWrites();
  EXPECT_FALSE(replies_[again]);
  Pass(1'000 + bounds::kAwaitGraceMs);
  reads_.RunAll();
  ApplyWrites();
  ASSERT_TRUE(ReplyOf(again)) << "at the end it looks what became of the first";
  EXPECT_EQ(ReplyOf(again)->outcome(), TakeOutcome::taken);
}

// What went wrong: an election took longer than the call would wait, and it was told `empty` while
// what it had asked for was taken.
TEST_F(WaitingTest, ACallerThatTriesAgainIsLedToWhatItGotThoughItsTimeToWaitIsOver) {
  Take(5, 200, "k");
  ApplyWrites();
  ApplyWrites(5);
  ApplyWrites();
  const size_t again = Take(5, 200, "k");
  clock_.now_ms += 600;
  ApplyWrites();
  ASSERT_TRUE(ReplyOf(again));
  EXPECT_EQ(ReplyOf(again)->outcome(), TakeOutcome::taken);
  EXPECT_TRUE(replies_[again]->replayed);
}

// What went wrong: `empty` was told where nothing of what had become of it was known yet.
TEST_F(WaitingTest, ANodeThatIsBehindDoesNotSayThatNothingWasDone) {
  Take(5, 200, "k");
  ApplyWrites();
  ApplyWrites(5);  // Wakes the first ...
  auto repeat = frontend_->TakeWrites();
  const std::string empty = [&] {
    TakeReply reply;
    reply.set_outcome(TakeOutcome::empty);
    return reply.SerializeAsString();
  }();
  const auto replayed_by = [&](LogIndex position) {
    const size_t again = Take(5, 200, "k");
    for (auto& write : frontend_->TakeWrites()) write->done(Reply{empty, position, true});
    return again;
  };
  const size_t never = replayed_by(LogIndex(100));
  const size_t late = replayed_by(LogIndex(3));
  Pass(200 + bounds::kAwaitGraceMs + 1);
  reads_.RunAll();
  EXPECT_FALSE(replies_[late]) << "it has time to find out";
  ApplyThese(std::move(repeat));  // ... whose repeat this node hears of only now.
  ASSERT_TRUE(ReplyOf(late));
  EXPECT_EQ(ReplyOf(late)->outcome(), TakeOutcome::taken);
  EXPECT_FALSE(replies_[never]);
  Pass(5'000);
  reads_.RunAll();
  EXPECT_EQ(ErrorOf(never), ErrorCode::kOutcomeUnknown);
}

// What went wrong: whoever took the message left too little for others, and the reply was theirs.
TEST_F(WaitingTest, WhatARepeatWasToldGoesBeforeWhatIsThereNow) {
  Take(5, 1'000, "k");
  ApplyWrites();
  ApplyWrites(5);
  ApplyWrites();
  ApplyWrites(-1);  // Now whoever looks is told that it is forbidden.
  const size_t again = Take(5, 1'000, "k");
  ApplyWrites();
  ASSERT_TRUE(ReplyOf(again));
  EXPECT_EQ(ReplyOf(again)->outcome(), TakeOutcome::taken);
}

TEST_F(WaitingTest, ACallerThatTriesAgainLeadsOnWhereTheLastRepeatWas) {
  Take(5, 1'000, "k");
  ApplyWrites();
  for (int i = 0; i < 3; ++i) {  // Three times others are there first.
    ApplyWrites(5);
    const size_t other = Take(5, 0);
    auto writes = frontend_->TakeWrites();
    ASSERT_EQ(writes.size(), 2u);
    std::swap(writes[0], writes[1]);
    ApplyThese(std::move(writes));
    EXPECT_EQ(ReplyOf(other)->outcome(), TakeOutcome::taken);
  }
  const size_t again = Take(5, 1'000, "k");
  ApplyWrites();
  EXPECT_FALSE(replies_[again]);
  keys_.clear();
  ApplyWrites(10);  // A touch for one: the first.
  ApplyWrites();
  ApplyWrites(5);
  ApplyWrites();
  EXPECT_EQ(keys_, (std::vector<std::string>{state_machine::RepeatedKey("k", 4)}));
  Pass(1'000 + bounds::kAwaitGraceMs);
  reads_.RunAll();
  ASSERT_TRUE(ReplyOf(again));
  EXPECT_EQ(ReplyOf(again)->outcome(), TakeOutcome::taken);
}

// What went wrong: exactly when a message came, the caller was told that its key is too long.
TEST_F(WaitingTest, AKeyOfTheGreatestLengthCanWait) {
  const std::string key(bounds::kIdempotencyKeyBytesMax, 'k');
  Take(5, 1'000, key);
  ApplyWrites();
  ApplyWrites(5);
  ApplyWrites();
  ASSERT_EQ(keys_.size(), 2u);
  EXPECT_LE(keys_[1].size(), state_machine::kRepeatedKeyBytesMax);
  EXPECT_LE(state_machine::RepeatedKey(key, UINT32_MAX).size(),
            state_machine::kRepeatedKeyBytesMax);
}

// What went wrong: the one that was woken went away, and the next one slept beside what there was.
TEST_F(WaitingTest, WhoIsWokenAndGoneWakesTheNext) {
  auto gone = std::make_shared<std::atomic<bool>>(false);
  CallOptions options = For(Consistency::kSession, 0, 5'000);
  options.gone = gone;
  const size_t left = Call("Take", TakeOf(5, 1'000), options);
  ApplyWrites();
  const size_t next = Take(5, 1'000);
  ApplyWrites();
  *gone = true;
  ApplyWrites(5);  // A touch for one.
  reads_.RunAll();
  ApplyWrites();
  ASSERT_TRUE(ReplyOf(next));
  EXPECT_EQ(ReplyOf(next)->outcome(), TakeOutcome::taken);
  EXPECT_EQ(ReplyOf(left)->outcome(), TakeOutcome::empty);
}

// What went wrong: the one that was woken was refused, as one is that has too many messages out.
TEST_F(WaitingTest, WhoIsWokenAndRefusedWakesTheNext) {
  const size_t refused = Take(14, 1'000);
  const size_t next = Take(5, 1'000);
  ApplyWrites();
  ApplyWrites(14);  // A touch for one.
  ApplyWrites();
  ASSERT_TRUE(ReplyOf(refused));
  EXPECT_EQ(ReplyOf(refused)->outcome(), TakeOutcome::forbidden);
  ApplyWrites();
  ASSERT_TRUE(ReplyOf(next));
  EXPECT_EQ(ReplyOf(next)->outcome(), TakeOutcome::taken);
}

// What went wrong: the one that was woken had taken its share before, at another node.
TEST_F(WaitingTest, WhoIsWokenForWhatItHasAlreadyWakesTheNext) {
  const size_t first = Take(5, 1'000, "k");
  const size_t next = Take(5, 1'000);
  ApplyWrites();
  ApplyWrites(10);  // A touch for one.
  auto repeat = frontend_->TakeWrites();
  ASSERT_EQ(repeat.size(), 1u);
  std::vector<std::unique_ptr<Write>> elsewhere;
  elsewhere.push_back(std::make_unique<Write>());
  elsewhere[0]->request = repeat[0]->request;
  ApplyThese(std::move(elsewhere));
  EXPECT_FALSE(replies_[first]);
  ApplyThese(std::move(repeat));
  EXPECT_TRUE(replies_[first] && replies_[first]->replayed);
  ApplyWrites();
  ASSERT_TRUE(ReplyOf(next));
  EXPECT_EQ(ReplyOf(next)->outcome(), TakeOutcome::taken);
}

TEST_F(WaitingTest, AReadThatIsWokenLeavesWhatThereIsToTheNext) {
  ApplyWrites(1);
  const size_t read = Call("AwaitTake", TakeOf(2, 1'000), For(Consistency::kSession, 1));
  reads_.RunAll();
  const size_t take = Take(2, 1'000);
  ApplyWrites();
  ApplyWrites(1);  // A touch for one.
  reads_.RunAll();
  ApplyWrites();
  EXPECT_TRUE(ReplyOf(read));
  ASSERT_TRUE(ReplyOf(take));
  EXPECT_EQ(ReplyOf(take)->outcome(), TakeOutcome::taken);
}

TEST_F(WaitingTest, WhoWaitsInVainIsToldWhatThereIsWhenTheTimeIsOver) {
  const size_t call = Take(5, 300);
  ApplyWrites(2);
  Pass(300 + bounds::kAwaitGraceMs - 1);
  reads_.RunAll();
  EXPECT_FALSE(replies_[call]) << "a line in the log would have ended by log time first";
  Pass(1);
  reads_.RunAll();
  ASSERT_TRUE(ReplyOf(call));
  EXPECT_EQ(ReplyOf(call)->outcome(), TakeOutcome::empty);
  EXPECT_EQ(ReplyOf(call)->left(), 2);
}

TEST_F(WaitingTest, WhoWaitsNotIsAnsweredAtOnce) {
  const size_t call = Take(5, 0);
  ApplyWrites();
  ASSERT_TRUE(ReplyOf(call));
  EXPECT_EQ(ReplyOf(call)->outcome(), TakeOutcome::empty);
}

TEST_F(WaitingTest, TheCallsOwnTimeEndsTheWait) {
  const size_t call = Take(5, 60'000, "", 400);
  ApplyWrites();
  Pass(400);
  reads_.RunAll();
  ASSERT_TRUE(ReplyOf(call)) << "the answer comes when it is still heard";
  EXPECT_EQ(ReplyOf(call)->outcome(), TakeOutcome::empty);
}

TEST_F(WaitingTest, AReadWaitsByItself) {
  ApplyWrites(1);
  const size_t met = Call("AwaitTake", TakeOf(1, 500), For(Consistency::kSession, 1));
  const size_t unmet = Call("AwaitTake", TakeOf(2, 500), For(Consistency::kSession, 1));
  const size_t asking = Call("AwaitTake", TakeOf(3, 500), For(Consistency::kLinearizable));
  reads_.RunAll();
  EXPECT_TRUE(replies_[met]);
  EXPECT_FALSE(replies_[unmet]);
  ASSERT_EQ(asked_.size(), 1u);
  asked_[0](LogIndex(1));
  reads_.RunAll();
  EXPECT_EQ(frontend_->waiting_reads(), 0u) << "who waits for others keeps no reader's place";
  ApplyWrites(1);  // A touch for one.
  ASSERT_TRUE(ReplyOf(unmet));
  EXPECT_EQ(ReplyOf(unmet)->left(), 2);
  EXPECT_FALSE(replies_[asking]);
  Pass(500);
  reads_.RunAll();
  ASSERT_TRUE(ReplyOf(asking));
  EXPECT_EQ(ReplyOf(asking)->left(), 2) << "at the end it looks once more";
}

TEST_F(WaitingTest, WaitingCallsAreBounded) {
  ApplyWrites(1);
  for (size_t i = 0; i < bounds::kWaitersMax; ++i) {
    Call("AwaitTake", TakeOf(2, 500), For(Consistency::kSession, 1));
  }
  reads_.RunAll();
  EXPECT_EQ(ErrorOf(Call("AwaitTake", TakeOf(2, 500), For(Consistency::kSession, 1))),
            ErrorCode::kResourceExhausted);
  const size_t take = Take(5, 500, "k");
  ApplyWrites();
  ASSERT_TRUE(ReplyOf(take)) << "a write that finds no place to wait keeps what it was told";
  EXPECT_EQ(ReplyOf(take)->outcome(), TakeOutcome::empty);
  const size_t again = Take(5, 500, "k");
  ApplyWrites();
  EXPECT_EQ(ErrorOf(again), ErrorCode::kOutcomeUnknown) << "which may not be true any more";
  Pass(500);
  reads_.RunAll();
  const size_t met = Call("AwaitTake", TakeOf(1, 500), For(Consistency::kSession, 1));
  reads_.RunAll();
  EXPECT_TRUE(ReplyOf(met)) << "room again";
}

// What went wrong: 2,000 calls that waited to store a value of 1 MiB took all of the memory.
TEST_F(WaitingTest, WaitingCallsAreBoundedByBytes) {
  ApplyWrites(1);
  TakeRequest request = TakeOf(2, 500);
  request.GetReflection()->MutableUnknownFields(&request)->AddLengthDelimited(
      1'000, std::string(1 << 20, 'x'));
  const auto wait = [&] {
    const size_t read = Call("AwaitTake", request, For(Consistency::kSession, 1));
    reads_.RunAll();
    return read;
  };
  for (size_t i = 1; i < bounds::kWaitingBytesMax >> 20; ++i) EXPECT_FALSE(replies_[wait()]);
  EXPECT_EQ(ErrorOf(wait()), ErrorCode::kResourceExhausted);
  const size_t small = Call("AwaitTake", TakeOf(2, 500), For(Consistency::kSession, 1));
  reads_.RunAll();
  EXPECT_FALSE(replies_[small]) << "there is room for it";
  Pass(500);
  reads_.RunAll();
  EXPECT_FALSE(replies_[wait()]) << "room again";
}

TEST_F(WaitingTest, ANodeThatStopsLetsGoOfWhoWaits) {
  const size_t take = Take(5, 500, "k");
  ApplyWrites();
  const size_t again = Take(5, 500, "k");
  ApplyWrites();
  const size_t read = Call("AwaitTake", TakeOf(2, 500), For(Consistency::kSession, 1));
  reads_.RunAll();
  frontend_->Stop();
  ASSERT_TRUE(ReplyOf(take));
  EXPECT_EQ(ReplyOf(take)->outcome(), TakeOutcome::empty);
  EXPECT_EQ(ErrorOf(again), ErrorCode::kOutcomeUnknown);
  EXPECT_EQ(ErrorOf(read), ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace holdfast::node
