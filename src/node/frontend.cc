#include "src/node/frontend.h"

#include <google/protobuf/arena.h>

#include <algorithm>

#include "src/base/batch.h"
#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/node/wire.h"
#include "src/state_machine/outcome_field.h"
#include "src/state_machine/repeated_key.h"

namespace holdfast::node {
namespace {

using google::protobuf::Message;
using state_machine::Method;

Reply Failed(Error error) { return Reply{Fail(std::move(error)), LogIndex(0), false}; }

Error Stopping() {
  return Error{ErrorCode::kUnavailable, "this node is stopping", "", "Ask another node.", 0};
}

Error InboxFull() {
  return Error{ErrorCode::kResourceExhausted, "too many requests are waiting on this node", "",
               "Nothing was done. Slow down and try again.", 100};
}

Error NotReached(LogIndex index, const char* field) {
  return Error{ErrorCode::kDeadlineExceeded,
               "this node had not reached log position " + index.ToString() + " in time", field,
               "Ask another node, or allow more time.",
               static_cast<uint32_t>(bounds::kRetryAfterMsDefault)};
}

Error NotFollowed() {
  return Error{ErrorCode::kOutcomeUnknown,
               "this write was begun before, and what became of it could not be found out in time",
               "",
               "Send the very same request again, with the same Idempotency-Key: what was done is "
               "not done twice.",
               static_cast<uint32_t>(bounds::kRetryAfterMsDefault)};
}

// How long the caller would wait for what is not there yet.
uint64_t WaitMs(const Method& method, const std::string& request) {
  if (method.wait_ms == nullptr) return 0;
  return state_machine::PeekNumber(request, method.wait_ms->number());
}

Error NotFounded() {
  return Error{ErrorCode::kUnavailable,
               "this cluster is new: not all of its members have agreed to found it yet", "",
               "Start all nodes once; afterwards a majority is enough.",
               static_cast<uint32_t>(bounds::kRetryAfterMsDefault)};
}

}  // namespace

// A read that waits for its turn. It is answered when nobody holds it any more, at the latest.
class Frontend::PendingRead {
 public:
  // `until_ms`: until when it may wait for more than there is; 0: it does not.
  PendingRead(const Method& method, std::string request, uint64_t until_ms, Done done)
      : method_(&method),
        request_(std::move(request)),
        until_ms_(until_ms),
        done_(std::move(done)) {}
  // On behalf of a write, which is to take what is found.
  PendingRead(std::shared_ptr<Continued> write, uint64_t until_ms, Done done);
  PendingRead(PendingRead&&) = default;
  PendingRead& operator=(PendingRead&&) = delete;
  ~PendingRead() {
    if (done_) done_(Failed(Stopping()));
  }

  const Method& method() const { return *method_; }
  const std::string& request() const;
  uint64_t until_ms() const { return until_ms_; }
  Continued* write() const { return write_.get(); }
  void Answer(Reply reply) { std::exchange(done_, nullptr)(std::move(reply)); }

 private:
  const Method* method_;
  std::string request_;  // Empty if it is the write's.
  uint64_t until_ms_;
  Done done_;
  std::shared_ptr<Continued> write_;
};

// A write on its way, and what it takes to go on with it.
struct Frontend::Continued {
  const Method& method;
  std::string request;
  CallOptions options;
  uint64_t until_ms;
  Done done;
  uint32_t repeats = 0;
  Reply written{};  // What it was told last, by the log.
  // What woke it, as long as it has not taken what there is: then others have reason to look.
  std::optional<state_machine::Topic> woken_by;

  bool IsPending() const { return written.body && method.OutcomeOf(*written.body).pending(); }
  // Took what woke it, or found that others had been there first.
  bool TookItsTurn() const {
    return written.body && !written.replayed && method.OutcomeOf(*written.body).http_status() < 400;
  }
  bool IsGone() const { return options.gone != nullptr && *options.gone; }
};

Frontend::PendingRead::PendingRead(std::shared_ptr<Continued> write, uint64_t until_ms, Done done)
    : method_(write->method.awaits),
      until_ms_(until_ms),
      done_(std::move(done)),
      write_(std::move(write)) {}

const std::string& Frontend::PendingRead::request() const {
  return write_ == nullptr ? request_ : write_->request;
}

void Frontend::Call(const Method& method, std::string request, CallOptions options, Done done) {
  switch (method.kind()) {
    case STATELESS: {
      google::protobuf::Arena arena;
      Message* body = method.request->New(&arena);
      Message* reply = method.reply->New(&arena);
      HOLDFAST_CHECK(body->ParseFromString(request), "an unchecked request: " + method.full_name);
      Result<void> answered = method.stateless(*body, reply);
      if (answered) {
        done(Reply{reply->SerializeAsString(), LogIndex(0), false});
      } else {
        done(Failed(answered.error()));
      }
      return;
    }
    case WRITE: {
      const uint64_t wait_ms = method.awaits == nullptr ? 0 : WaitMs(method, request);
      if (wait_ms == 0) {
        CallWrite(method, std::move(request), std::move(options), std::move(done));
        return;
      }
      const uint64_t until_ms = UntilMs(options, wait_ms);
      CallAwaiting(std::make_shared<Continued>(
          Continued{method, std::move(request), std::move(options), until_ms, std::move(done)}));
      return;
    }
    case READ: CallRead(method, std::move(request), std::move(options), std::move(done)); return;
    default: break;
  }
  done(Failed(Error{ErrorCode::kUnimplemented, method.full_name + " cannot be called", "", "", 0}));
}

std::optional<Error> Frontend::Refusal(const Method& method) const {
  if (method.kind() == WRITE) return write_admission_.Refusal(bounds::kWaitMsMax);
  return std::nullopt;  // A read may ask for what this node has at once.
}

uint64_t Frontend::DeadlineMs(const CallOptions& options) const {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      options.deadline - std::chrono::steady_clock::now());
  const int64_t left_ms = std::clamp<int64_t>(left.count(), 0, bounds::kDeadlineMsMax);
  return parts_.clock.MonotonicMs() + static_cast<uint64_t>(left_ms);
}

uint64_t Frontend::UntilMs(CallOptions& options, uint64_t wait_ms) const {
  if (std::exchange(options.default_deadline, false)) {
    options.deadline += std::chrono::milliseconds(wait_ms);
  }
  return std::min(DeadlineMs(options), parts_.clock.MonotonicMs() + wait_ms);
}

void Frontend::CallAwaiting(std::shared_ptr<Continued> call) {
  CallOptions options = call->options;
  // Each repeat is a write of its own, and goes by the same name when the caller tries again: the
  // answers that are stored lead it to where it was.
  if (call->repeats > 0 && !options.idempotency_key.empty()) {
    options.idempotency_key = state_machine::RepeatedKey(options.idempotency_key, call->repeats);
  }
  const Method& method = call->method;
  std::string request = call->request;
  CallWrite(method, std::move(request), std::move(options),
            [this, call = std::move(call)](Reply written) mutable {
              call->written = std::move(written);
              if (!call->TookItsTurn()) PassOn(*call);
              call->woken_by.reset();
              // What was told before need not be true any more.
              const bool in_time = parts_.clock.MonotonicMs() < call->until_ms;
              if (call->IsPending() && (in_time || call->written.replayed)) {
                Await(std::move(call));
              } else {
                call->done(std::move(call->written));
              }
            });
}

// Who has asked before may have been given something since, by a repeat whose answer was lost.
bool Frontend::FollowRepeats(Continued& call) const {
  if (call.options.idempotency_key.empty()) return false;
  state_machine::Position at;
  auto last = parts_.machine.FindLastReply(call.method, call.options.principal,
                                           call.options.idempotency_key, call.repeats + 1, &at);
  if (!last) return false;
  call.repeats = last->repeat;
  call.written = Reply{std::move(last->reply), at.applied, true};
  return !call.IsPending();
}

void Frontend::PassOn(Continued& call) {
  if (call.woken_by) waiters_.PassOn(*std::exchange(call.woken_by, std::nullopt));
}

void Frontend::Await(std::shared_ptr<Continued> call) {
  const uint64_t deadline_ms = DeadlineMs(call->options);
  const uint64_t until_ms = std::min(call->until_ms + bounds::kAwaitGraceMs, deadline_ms);
  const LogIndex position = call->written.position;
  const uint64_t reached_by_ms = call->written.replayed ? deadline_ms : until_ms;
  Done done = [this, call](Reply found) mutable { GoOn(std::move(call), std::move(found)); };
  if (!Waits(call->request.size(), &done)) return;
  ReadAt(position, "", reached_by_ms, PendingRead(std::move(call), until_ms, std::move(done)));
}

void Frontend::GoOn(std::shared_ptr<Continued> call, Reply found) {
  const bool looked = found.position != LogIndex(0);
  const bool again = found.body && call->method.OutcomeOf(*found.body).again();
  if (again && !call->IsGone() && parts_.clock.MonotonicMs() < DeadlineMs(call->options)) {
    ++call->repeats;
    CallAwaiting(std::move(call));
    return;
  }
  PassOn(*call);
  if (found.body && !again) {
    found.replayed = call->written.replayed;
    call->done(std::move(found));
  } else if (call->written.replayed && !looked) {
    call->done(Failed(NotFollowed()));
  } else {  // Nothing was taken, or nothing is to be had any more; but what was written stands.
    call->done(std::move(call->written));
  }
}

bool Frontend::Waits(size_t bytes, Done* done) {
  const size_t calls = waiting_calls_.fetch_add(1) + 1;
  const size_t all_bytes = waiting_bytes_.fetch_add(bytes) + bytes;
  if (calls > bounds::kWaitersMax || all_bytes > bounds::kWaitingBytesMax) {
    --waiting_calls_;
    waiting_bytes_ -= bytes;
    std::exchange(*done, nullptr)(
        Failed(Error{ErrorCode::kResourceExhausted, "too many calls are waiting on this node", "",
                     "Ask without waiting, or ask another node.", 100}));
    return false;
  }
  *done = [this, bytes, done = std::move(*done)](Reply reply) mutable {
    --waiting_calls_;
    waiting_bytes_ -= bytes;
    done(std::move(reply));
  };
  return true;
}

Done Frontend::Admitted(size_t bytes, Done done) {
  write_admission_.Enter(bytes);
  return [this, bytes, done = std::move(done)](Reply reply) mutable {
    write_admission_.Leave(bytes, reply.body.has_value());
    done(std::move(reply));
  };
}

void Frontend::CallWrite(const Method& method, std::string request, CallOptions options,
                         Done done) {
  if (!is_open()) {
    done(Failed(NotFounded()));
    return;
  }
  if (auto not_yet = parts_.machine.NotYet(method)) {
    done(Failed(*std::move(not_yet)));
    return;
  }
  const uint64_t now_ms = parts_.clock.MonotonicMs();
  const uint64_t deadline_ms = DeadlineMs(options);
  const uint64_t patience_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
  if (auto refusal = write_admission_.Refusal(patience_ms)) {
    done(Failed(*std::move(refusal)));
    return;
  }
  auto write = std::make_unique<Write>();
  write->deadline_ms = deadline_ms;
  write->request.set_service(method.service_id);
  write->request.set_method(method.method_id);
  write->request.set_idempotency_key(std::move(options.idempotency_key));
  write->request.set_principal(std::move(options.principal));
  write->done = Admitted(request.size(), std::move(done));
  write->request.set_body(std::move(request));
  // What comes together goes into the log together: the loop would take the first ones alone.
  thread_local std::vector<std::unique_ptr<Write>> together;
  thread_local const Frontend* frontend = nullptr;
  if (Batch::IsOpen() && (frontend == nullptr || frontend == this)) {
    together.push_back(std::move(write));
    if (std::exchange(frontend, this) == nullptr) {
      Batch::AtEnd([this] {
        frontend = nullptr;
        PutIntoInbox(std::exchange(together, {}));
      });
    }
    return;
  }
  std::vector<std::unique_ptr<Write>> alone;
  alone.push_back(std::move(write));
  PutIntoInbox(std::move(alone));
}

std::unique_ptr<Write> Frontend::Forwarded(ForwardWrite& forward, Done done) {
  // Once in the log, a method that a node does not know stops it. A newer peer may know more.
  const bool numbers = forward.service() <= UINT8_MAX && forward.method() <= UINT8_MAX;
  const Method* method =
      numbers ? parts_.machine.registry().Find(static_cast<uint8_t>(forward.service()),
                                               static_cast<uint8_t>(forward.method()))
              : nullptr;
  if (method == nullptr || method->kind() != WRITE) {
    done(Failed(Error{ErrorCode::kUnimplemented, "the leader does not know this method", "",
                      "Is the leader of an older version? Finish the upgrade first.", 0}));
    return nullptr;
  }
  if (auto refusal = write_admission_.Refusal(forward.timeout_ms())) {
    done(Failed(*std::move(refusal)));
    return nullptr;
  }
  auto write = std::make_unique<Write>();
  write->forwarded_to_us = true;
  write->deadline_ms = parts_.clock.MonotonicMs() + forward.timeout_ms();
  write->request = FromWire(forward);
  write->done = Admitted(write->request.body().size(), std::move(done));
  return write;
}

void Frontend::PutIntoInbox(std::vector<std::unique_ptr<Write>> writes) {
  bool wake = false;
  bool stopped = false;
  {
    std::lock_guard lock(inbox_mutex_);
    stopped = stopped_;
    for (auto& write : writes) {
      const size_t bytes = write->request.body().size();
      if (stopped || inbox_.size() >= bounds::kWaitingRequestsMax ||
          inbox_bytes_ + bytes > bounds::kWaitingBytesMax) {
        continue;
      }
      wake |= inbox_.empty();
      inbox_bytes_ += bytes;
      inbox_.push_back(std::move(write));
    }
  }
  if (wake) parts_.wake();
  Batch refusals;
  for (auto& write : writes) {
    if (write) write->done(Failed(stopped ? Stopping() : InboxFull()));
  }
}

std::vector<std::unique_ptr<Write>> Frontend::TakeWrites() {
  std::vector<std::unique_ptr<Write>> arrived;
  std::lock_guard lock(inbox_mutex_);
  arrived.swap(inbox_);
  inbox_bytes_ = 0;
  return arrived;
}

void Frontend::Step(uint64_t now_ms) {
  write_admission_.Step(now_ms);
  read_admission_.Step(now_ms);
  parts_.applier.ExpireReaders(now_ms);
  waiters_.Expire(now_ms);
}

void Frontend::Stop() {
  {
    std::lock_guard lock(inbox_mutex_);
    stopped_ = true;
  }
  waiters_.Drop();
  for (auto& write : TakeWrites()) write->done(Failed(Stopping()));
}

void Frontend::CallRead(const Method& method, std::string request, CallOptions options, Done done) {
  if (method.options.linearizable() && options.consistency == Consistency::kSession) {
    options.consistency = Consistency::kLinearizable;
  }
  const uint64_t wait_ms = WaitMs(method, request);
  const uint64_t until_ms = wait_ms == 0 ? 0 : UntilMs(options, wait_ms);
  if (options.consistency == Consistency::kStale) {
    if (wait_ms == 0) return done(ReadNow(method, request));
    options.consistency = Consistency::kSession;  // Any state will do to wait from.
    options.after = LogIndex(1);
  }
  if (!is_open()) {
    done(Failed(NotFounded()));
    return;
  }
  const uint64_t deadline_ms = DeadlineMs(options);
  const bool has_token = options.consistency == Consistency::kSession && options.after.value != 0;
  if (has_token && parts_.machine.applied() >= options.after) {
    if (wait_ms == 0) return done(ReadNow(method, request));
    if (!Waits(request.size(), &done)) return;
    parts_.reads.Post(
        [this, read = PendingRead(method, std::move(request), until_ms,
                                  std::move(done))]() mutable { ReadOrWait(std::move(read)); });
    return;
  }
  if (wait_ms > 0) {
    if (!Waits(request.size(), &done)) return;
  } else if (!AdmitsRead(deadline_ms, &done)) {
    return;
  }
  PendingRead read(method, std::move(request), until_ms, std::move(done));
  if (has_token) {
    ReadAt(options.after, "holdfast-after", deadline_ms, std::move(read));
    return;
  }
  parts_.find_index(deadline_ms,
                    [this, deadline_ms, read = std::move(read)](Result<LogIndex> index) mutable {
                      if (index) {
                        ReadAt(*index, "", deadline_ms, std::move(read));
                      } else {
                        read.Answer(Failed(index.error()));
                      }
                    });
}

bool Frontend::AdmitsRead(uint64_t deadline_ms, Done* done) {
  const uint64_t now_ms = parts_.clock.MonotonicMs();
  if (auto refusal = read_admission_.Refusal(deadline_ms > now_ms ? deadline_ms - now_ms : 0)) {
    std::exchange(*done, nullptr)(Failed(*std::move(refusal)));
    return false;
  }
  if (waiting_reads_.fetch_add(1) >= bounds::kWaitingReadsMax) {
    --waiting_reads_;
    std::exchange(*done, nullptr)(
        Failed(Error{ErrorCode::kResourceExhausted, "too many reads are waiting on this node", "",
                     "Slow down and try again, or ask another node.", 100}));
    return false;
  }
  read_admission_.Enter(0);
  *done = [this, done = std::move(*done)](Reply reply) mutable {
    --waiting_reads_;
    read_admission_.Leave(0, reply.body.has_value());
    done(std::move(reply));
  };
  return true;
}

void Frontend::ReadAt(LogIndex index, const char* field, uint64_t deadline_ms, PendingRead read) {
  parts_.applier.WhenApplied(
      index, deadline_ms,
      [this, index, field, deadline_ms, read = std::move(read)](bool applied) mutable {
        if (!applied) return read.Answer(Failed(NotReached(index, field)));
        parts_.reads.Post([this, index, field, deadline_ms, read = std::move(read)]() mutable {
          const bool late = parts_.clock.MonotonicMs() > deadline_ms;
          if (late) return read.Answer(Failed(NotReached(index, field)));
          ReadOrWait(std::move(read));
        });
      });
}

void Frontend::ReadOrWait(PendingRead read, std::optional<state_machine::Topic> woken_by) {
  std::optional<state_machine::Topic> topic;
  Reply reply = ReadNow(read.method(), read.request(), &topic);
  // Afterwards: so nothing of a repeat is in what was read without being found here.
  if (read.write() != nullptr && FollowRepeats(*read.write())) {
    reply = read.write()->written;
    topic.reset();
  }
  const uint64_t until_ms = read.until_ms();
  if (!topic || parts_.clock.MonotonicMs() >= until_ms) {
    if (woken_by && !topic) {
      if (read.write() != nullptr) {
        read.write()->woken_by = woken_by;
      } else {
        waiters_.PassOn(*woken_by);  // A read takes nothing.
      }
    }
    return read.Answer(std::move(reply));
  }
  const LogIndex seen = reply.position;
  waiters_.Wait(*topic, seen, until_ms, [this, topic, read = std::move(read)]() mutable {
    parts_.reads.Post(
        [this, topic, read = std::move(read)]() mutable { ReadOrWait(std::move(read), topic); });
  });
}

Reply Frontend::ReadNow(const Method& method, const std::string& request,
                        std::optional<state_machine::Topic>* waits_for) {
  google::protobuf::Arena arena;
  Message* body = method.request->New(&arena);
  HOLDFAST_CHECK(body->ParseFromString(request), "an unchecked request: " + method.full_name);
  state_machine::Position at;
  Reply reply;
  reply.body = parts_.machine.Read(method, *body, &at, waits_for);
  reply.position = at.applied;
  reply.age = parts_.age(at.applied);
  return reply;
}

}  // namespace holdfast::node
