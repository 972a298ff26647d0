#include "src/client/core.h"

#include <fmt/format.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>

#include "src/api/grpc/pipe_frames.h"
#include "src/base/batch.h"
#include "src/base/check.h"
#include "src/base/error_message.h"
#include "src/client/methods.h"
#include "src/client/turn.h"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kRedial{500};  // Of a node that nobody waits for.

// How long a node may say nothing while calls are on it, and how long it then has to give the sign
// of life that it is asked for. Together about as long as the other nodes take to elect a leader.
constexpr milliseconds kSilence{400};
// Any node answers it at once, by itself. Its name, since not every program has its .proto.
constexpr char kPingMethod[] = "/holdfast.cluster.Cluster/Leader";

std::string RandomPrefix() {
  std::random_device random;
  std::string prefix = "client-";
  for (int i = 0; i < 4; ++i) fmt::format_to(std::back_inserter(prefix), "{:08x}", random());
  return prefix + "-";
}

// A node that keeps a call until its time is up still has something to say: that no leader could be
// reached, say. It is given less time than there is, by what its answer may take to arrive.
milliseconds MarginOf(milliseconds patience) {
  const milliseconds margin = std::clamp(patience / 10, milliseconds(50), milliseconds(500));
  return std::min(margin, patience / 2);  // However short: at least half of it is for the work.
}

bool IsValidKey(const std::string& key) {
  return key.size() <= bounds::kIdempotencyKeyBytesMax &&
         std::all_of(key.begin(), key.end(), [](char c) { return c >= 0x20 && c <= 0x7E; });
}

PipeRequest::Consistency ToWire(Consistency consistency) {
  switch (consistency) {
    case Consistency::kSession: return PipeRequest::session;
    case Consistency::kLinearizable: return PipeRequest::linearizable;
    case Consistency::kStale: return PipeRequest::stale;
  }
  return PipeRequest::session;
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(bounds::kPipeMessageBytesMax));
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'000);  // The time to connect in.
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  // A peer that is gone without a word is noticed though nothing is sent to it.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // Clients share no connection ...
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);             // ... and nobody else retries.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

Error Closed() { return Error{ErrorCode::kDeadlineExceeded, "the client is closed", "", "", 0}; }

Error CannotConnect(const std::string& address, const std::string& why = "") {
  return Error{ErrorCode::kUnavailable,
               "cannot connect to " + address + (why.empty() ? "" : ": " + why), "",
               "is the cluster running, and is this the address of a node?", 0};
}

}  // namespace

Core::Core(std::vector<std::string> endpoints, Options options)
    : options_(options), key_prefix_(RandomPrefix()), random_(std::random_device()()) {
  HOLDFAST_CHECK(!endpoints.empty(), "a client without endpoints");
  for (std::string& address : endpoints) {
    auto endpoint = std::make_unique<Endpoint>();
    endpoint->channel = MakeChannel(address);
    endpoint->stub = std::make_unique<grpc::GenericStub>(endpoint->channel);
    endpoint->address = std::move(address);
    endpoints_.push_back(std::move(endpoint));
  }
}

void Core::Close() {
  {
    Turn turn(*this);
    stopping_ = true;
    timers_changed_.notify_all();
    while (!operations_.empty()) {
      Operation& operation = *operations_.begin()->second;
      TakeOut(turn, operation);
      FailFor(turn, operation, Closed());
    }
    for (const auto& endpoint : endpoints_) {
      if (endpoint->pipe) turn.Closed(endpoint->pipe);
    }
  }
  if (timer_.joinable()) timer_.join();
  std::unique_lock lock(mutex_);
  all_gone_.wait(lock, [this] { return pipes_ == 0; });
}

void Core::NotePosition(uint64_t position) {
  uint64_t seen = position_.load(std::memory_order_relaxed);
  while (seen < position &&
         !position_.compare_exchange_weak(seen, position, std::memory_order_relaxed)) {
  }
}

// --- A call

uint64_t Core::Begin(const std::string& method, std::string body, const CallOptions& options,
                     Done done) {
  if (!IsValidKey(options.idempotency_key)) {
    done(Fail(InvalidArgument("idempotency-key",
                              "must be 1 to " + std::to_string(bounds::kIdempotencyKeyBytesMax) +
                                  " printable ASCII characters")));
    return 0;
  }
  if (body.size() > bounds::kRequestBytesMax) {
    done(Fail(Error{ErrorCode::kTooLarge,
                    "the request takes " + std::to_string(body.size()) + " bytes; at most " +
                        std::to_string(bounds::kRequestBytesMax) + " are allowed",
                    "", "split it into several requests", 0}));
    return 0;
  }
  auto owned = std::make_unique<Operation>();
  Operation& operation = *owned;
  const MethodInfo info = FindMethod(method);
  PipeRequest& request = operation.request;
  if (info.service != 0) {
    request.set_service(info.service);
    request.set_method(info.method);
  } else {
    request.set_name(method);
  }
  request.set_body(std::move(body));
  operation.write = info.write;
  operation.next_pause = options_.pause_min;
  const milliseconds patience = options.timeout.count() > 0 ? options.timeout : options_.timeout;
  operation.deadline = steady_clock::now() + patience;
  operation.last_attempt = operation.deadline - MarginOf(patience);
  operation.done = std::move(done);
  if (!info.write) {
    operation.repeatable = true;
    request.set_consistency(ToWire(options.consistency));
    if (options.consistency == Consistency::kSession) {
      request.set_after(std::max(options.after, position()).value);
    }
  }
  if (info.write || options.consistency == Consistency::kLinearizable) {
    operation.route = Operation::Route::kLeader;
  }

  Turn turn(*this);
  if (stopping_) {
    turn.Ended(std::move(operation.done), Fail(Closed()));
    return 0;
  }
  const size_t size = request.body().size();
  if (operations_.size() >= bounds::kClientRequestsMax || bytes_ + size > bounds::kClientBytesMax) {
    turn.Ended(std::move(operation.done),
               Fail(Error{ErrorCode::kResourceExhausted, "too many calls are under way", "",
                          "nothing was done; wait for some of them", 100}));
    return 0;
  }
  operation.number = NewNumber();
  if (info.write) {
    if (!options.idempotency_key.empty()) {
      request.set_idempotency_key(options.idempotency_key);
    } else if (options_.auto_key && !options.repeatable) {
      request.set_idempotency_key(key_prefix_ + std::to_string(operation.number));
    }
    operation.repeatable = options.repeatable || !request.idempotency_key().empty();
  }
  if (!timer_.joinable()) timer_ = std::thread([this] { RunTimers(); });
  bytes_ += size;
  operations_.emplace(operation.number, std::move(owned));
  Attempt(turn, operation, Choose(operation));
  return operation.number;
}

void Core::Cancel(uint64_t number) {
  Turn turn(*this);
  const auto found = operations_.find(number);
  if (found == operations_.end()) return;
  Operation& operation = *found->second;
  TakeOut(turn, operation);
  FailFor(turn, operation,
          Error{ErrorCode::kDeadlineExceeded, "cancelled by the caller", "", "", 0});
}

std::optional<size_t> Core::LeaderEndpoint() const {
  if (leader_.value == 0) return std::nullopt;
  for (size_t i = 0; i < endpoints_.size(); ++i) {
    if (endpoints_[i]->node == leader_ && endpoints_[i]->usable()) return i;
  }
  return std::nullopt;
}

size_t Core::Choose(const Operation& operation) const {
  if (operation.route == Operation::Route::kLeader) {
    if (const auto leader = LeaderEndpoint()) return *leader;
  }
  return near_;
}

// The leader is known, but not where: connects to the nodes at which it may be.
void Core::LookForLeader(Turn& turn) {
  if (leader_.value == 0 || LeaderEndpoint()) return;
  const TimePoint now = steady_clock::now();
  for (const auto& endpoint : endpoints_) {
    const bool may_be = endpoint->node.value == 0 || endpoint->node == leader_;
    if (may_be && !endpoint->pipe && now - endpoint->opened_at > kRedial) {
      OpenPipe(turn, *endpoint);
    }
  }
}

void Core::OpenPipe(Turn& turn, Endpoint& endpoint) {
  const auto index = static_cast<size_t>(
      std::find_if(endpoints_.begin(), endpoints_.end(),
                   [&](const auto& other) { return other.get() == &endpoint; }) -
      endpoints_.begin());
  endpoint.pipe = std::make_shared<Pipe>(*this, index);
  endpoint.up = endpoint.closing = endpoint.silent = false;
  endpoint.opened_at = steady_clock::now();
  ++pipes_;
  turn.Opened(endpoint.pipe, endpoint.stub.get());
}

void Core::Attempt(Turn& turn, Operation& operation, size_t index) {
  Endpoint& endpoint = *endpoints_[index];
  operation.endpoint = index;
  ++operation.tried;
  if (operation.route == Operation::Route::kLeader) LookForLeader(turn);
  if (endpoint.up && !endpoint.closing) return Queue(turn, operation, endpoint);
  if (!endpoint.pipe) OpenPipe(turn, endpoint);
  operation.place = Operation::Place::kConnecting;
  endpoint.connecting.push_back(&operation);
  // A node that is going down is no place to wait for: on to the next one, by way of the timer.
  const auto patience = endpoint.closing ? milliseconds(0) : options_.connect_timeout;
  // Not into the last margin: nothing is sent there any more.
  SetTimer(operation, std::min(operation.last_attempt, steady_clock::now() + patience));
}

void Core::Queue(Turn& turn, Operation& operation, Endpoint& endpoint) {
  operation.place = Operation::Place::kQueued;
  operation.sent_id = NewNumber();
  operation.sent_at = steady_clock::now();
  TimePoint due = operation.deadline;
  // Only what can be repeated is cut short; with a single node there is nowhere else to go.
  if (operation.repeatable && endpoints_.size() > 1) {
    due = std::min(due, operation.sent_at + options_.attempt_timeout);
  }
  endpoint.queued.emplace_hint(endpoint.queued.end(), operation.sent_id, &operation);
  turn.Written(endpoint.pipe);
  SetTimer(operation, due);
  if (endpoints_.size() > 1 && endpoint.watch_at == TimePoint::max()) {
    SetWatch(endpoint, operation.sent_at + endpoint.patience);
  }
}

milliseconds Core::TimeForNode(const Operation& operation, TimePoint now) const {
  const auto left = std::chrono::ceil<milliseconds>(operation.due - now);
  auto granted = left - MarginOf(left);
  // However late it begins: the margin of the whole call stays, unless it is being used up already.
  if (now < operation.last_attempt) {
    granted = std::min(granted, std::chrono::ceil<milliseconds>(operation.last_attempt - now));
  }
  return std::clamp(granted, milliseconds(1), milliseconds(bounds::kDeadlineMsMax));
}

std::string Core::NextMessage(Pipe& pipe) {
  std::string message;
  std::lock_guard lock(mutex_);
  Endpoint& endpoint = *endpoints_[pipe.endpoint];
  if (endpoint.pipe.get() != &pipe) return message;  // An earlier one, which is down.
  const TimePoint now = steady_clock::now();
  if (std::exchange(endpoint.ping, false)) {
    PipeRequest ping;
    ping.set_id(NewNumber());  // Nobody waits for it: that anything comes is the answer.
    ping.set_name(kPingMethod);
    ping.set_timeout_ms(1'000);
    api::grpc::AppendElement(PipeRequests::kRequestsFieldNumber, ping, &message);
    endpoint.pinged_at = now;
    return message;  // Alone, so that nothing large delays it.
  }
  for (size_t count = 0; count < bounds::kPipeMessageRequestsMax; ++count) {
    const auto next = endpoint.queued.begin();
    if (next == endpoint.queued.end()) break;
    Operation& operation = *next->second;
    PipeRequest& request = operation.request;
    request.set_id(operation.sent_id);
    request.set_timeout_ms(static_cast<uint32_t>(TimeForNode(operation, now).count()));
    if (count > 0 && message.size() + request.ByteSizeLong() > bounds::kPipeMessageBytesTarget) {
      break;
    }
    api::grpc::AppendElement(PipeRequests::kRequestsFieldNumber, request, &message);
    operation.place = Operation::Place::kSent;
    endpoint.sent.emplace(operation.sent_id, &operation);
    endpoint.queued.erase(next);
  }
  if (!endpoint.cancelled.empty()) {
    PipeRequests rest;
    for (const uint64_t id : endpoint.cancelled) rest.add_cancelled(id);
    endpoint.cancelled.clear();
    rest.AppendToString(&message);
  }
  return message;
}

void Core::TakeOut(Turn& turn, Operation& operation) {
  Endpoint& endpoint = *endpoints_[operation.endpoint];
  switch (operation.place) {
    case Operation::Place::kConnecting: std::erase(endpoint.connecting, &operation); break;
    case Operation::Place::kQueued: endpoint.queued.erase(operation.sent_id); break;
    case Operation::Place::kSent:
      endpoint.sent.erase(operation.sent_id);
      operation.maybe_done |= operation.write;
      endpoint.cancelled.push_back(operation.sent_id);
      turn.Written(endpoint.pipe);
      break;
    case Operation::Place::kPausing: break;
  }
}

void Core::AttemptEnded(Turn& turn, Operation& operation, End end, Error error, bool of_node) {
  if (end == End::kRefused) return Finish(turn, operation, Fail(std::move(error)));
  const bool unsure = operation.write && end == End::kMaybeDone;
  operation.maybe_done |= unsure;
  (unsure ? operation.unsure : operation.not_done).Note(error, of_node);
  const bool round_over = operation.tried % endpoints_.size() == 0;
  milliseconds wait{0};
  if (round_over) {
    // The jitter keeps many clients of a dead node from coming back as one.
    const int64_t most = operation.next_pause.count();
    wait = milliseconds(std::uniform_int_distribution<int64_t>(most / 2, most)(random_));
    operation.next_pause = std::min(operation.next_pause * 2, options_.pause_max);
  }
  // A full queue asks for patience; a missing leader is looked for elsewhere in the meantime.
  if (error.code == ErrorCode::kResourceExhausted) {
    wait = std::max(wait, milliseconds(error.retry_after_ms));
  }
  const bool may_repeat = operation.repeatable || end == End::kNotDone;
  const TimePoint now = steady_clock::now();
  if (stopping_ || !may_repeat || now + wait >= operation.last_attempt) {
    return FailFor(turn, operation,
                   (operation.maybe_done ? operation.unsure : operation.not_done).error);
  }
  if (wait.count() == 0) {
    return Attempt(turn, operation, (operation.endpoint + 1) % endpoints_.size());
  }
  operation.place = Operation::Place::kPausing;
  SetTimer(operation, now + wait);
}

// Ends the operation: with `why`, or, when it may have been done, with what that means.
void Core::FailFor(Turn& turn, Operation& operation, Error why) {
  if (operation.maybe_done) {
    const std::string& key = operation.request.idempotency_key();
    why = Error{ErrorCode::kOutcomeUnknown,
                "it is not known whether the request was carried out: " + why.message, "",
                key.empty()
                    ? "without an idempotency key only the state tells: read it first"
                    : "send it again with the idempotency key " + key + ": it is done once only",
                0};
  }
  Finish(turn, operation, Fail(std::move(why)));
}

void Core::Finish(Turn& turn, Operation& operation, Result<Reply> result) {
  timers_.erase({operation.due, &operation});
  bytes_ -= operation.request.body().size();
  const auto found = operations_.find(operation.number);
  turn.Ended(std::move(operation.done), std::move(result));
  turn.Keep(std::move(found->second));
  operations_.erase(found);
}

// --- What comes

bool Core::OnMessage(Pipe& pipe, const grpc::ByteBuffer& message) {
  Batch calls;  // What the callers send next leaves together.
  Turn turn(*this);
  Endpoint& endpoint = *endpoints_[pipe.endpoint];
  endpoint.heard_at = steady_clock::now();
  if (endpoint.silent) HeardAfterAll(endpoint);
  PipeReply scratch;
  PipeReplies rest;
  const bool understood = api::grpc::ReadElements(message, PipeReplies::kRepliesFieldNumber,
                                                  &scratch, &rest, [&](PipeReply& reply) {
                                                    TakeReply(turn, endpoint, reply);
                                                    return true;
                                                  });
  if (!understood) return false;
  endpoint.node = NodeId(rest.node());
  if (rest.term() >= leader_term_.value) {
    leader_term_ = Term(rest.term());
    leader_ = NodeId(rest.leader());
  }
  endpoint.closing |= rest.closing();
  if (!std::exchange(endpoint.up, true)) {
    // A far node shows in how long the pipe took to come up: two round trips at least.
    endpoint.patience =
        std::max<steady_clock::duration>(kSilence, 2 * (endpoint.heard_at - endpoint.opened_at));
    for (Operation* operation : std::exchange(endpoint.connecting, {})) {
      Queue(turn, *operation, endpoint);
    }
  }
  if (endpoint.closing && endpoint.sent.empty() && endpoint.queued.empty()) {
    turn.Closed(endpoint.pipe);
  }
  return true;
}

void Core::TakeReply(Turn& turn, Endpoint& endpoint, PipeReply& reply) {
  NotePosition(reply.position());
  const auto found = endpoint.sent.find(reply.id());
  if (found == endpoint.sent.end()) return;  // Nobody waits for it any more.
  Operation& operation = *found->second;
  endpoint.sent.erase(found);
  if (!reply.has_error()) {
    const size_t index = operation.endpoint;
    if (operation.route == Operation::Route::kNear || !LeaderEndpoint()) near_ = index;
    return Finish(turn, operation,
                  Reply{std::move(*reply.mutable_body()), LogIndex(reply.position()),
                        reply.replayed(), milliseconds(static_cast<int64_t>(reply.age_ms()))});
  }
  Error error = FromWire(reply.error());
  End end = End::kRefused;
  switch (error.code) {
    case ErrorCode::kUnavailable:
    case ErrorCode::kDeadlineExceeded:
    case ErrorCode::kResourceExhausted: end = End::kNotDone; break;
    case ErrorCode::kOutcomeUnknown: end = End::kMaybeDone; break;
    default: break;
  }
  AttemptEnded(turn, operation, end, std::move(error), /*of_node=*/true);
}

void Core::OnDown(Pipe& pipe, const grpc::Status& status) {
  Turn turn(*this);
  Endpoint& endpoint = *endpoints_[pipe.endpoint];
  endpoint.pipe.reset();
  endpoint.up = endpoint.closing = endpoint.silent = false;
  auto connecting = std::exchange(endpoint.connecting, {});
  auto queued = std::exchange(endpoint.queued, {});
  auto sent = std::exchange(endpoint.sent, {});
  endpoint.cancelled.clear();
  endpoint.ping = false;
  Error error = CannotConnect(endpoint.address, status.error_message());
  if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
    error = Error{ErrorCode::kResourceExhausted, status.error_message(), "", "",
                  static_cast<uint32_t>(bounds::kRetryAfterMsDefault)};
  }
  for (Operation* operation : connecting) {
    AttemptEnded(turn, *operation, End::kNotDone, error);
  }
  error = Error{ErrorCode::kUnavailable, "the connection to " + endpoint.address + " was lost", "",
                "", 0};
  for (const auto& [id, operation] : queued) {
    AttemptEnded(turn, *operation, End::kNotDone, error);
  }
  for (const auto& [id, operation] : sent) {
    AttemptEnded(turn, *operation, End::kMaybeDone, error);
  }
}

void Core::OnGone() {
  std::lock_guard lock(mutex_);
  --pipes_;
  all_gone_.notify_all();
}

// --- Time

void Core::SetTimer(Operation& operation, TimePoint due) {
  timers_.erase({operation.due, &operation});
  operation.due = due;
  timers_.emplace(due, &operation);
  if (due < timer_wakes_at_) timers_changed_.notify_one();
}

void Core::TimeIsUp(Turn& turn, Operation& operation, TimePoint now) {
  Endpoint& endpoint = *endpoints_[operation.endpoint];
  const auto place = operation.place;
  TakeOut(turn, operation);
  switch (place) {
    case Operation::Place::kConnecting:
      if (endpoint.pipe && !endpoint.up && now - endpoint.opened_at >= options_.connect_timeout) {
        turn.Closed(endpoint.pipe);
      }
      AttemptEnded(turn, operation, End::kNotDone, CannotConnect(endpoint.address));
      break;
    case Operation::Place::kQueued:
    case Operation::Place::kSent:
      if (endpoint.heard_at < operation.sent_at) endpoint.silent = true;
      AttemptEnded(turn, operation,
                   place == Operation::Place::kSent ? End::kMaybeDone : End::kNotDone,
                   NoAnswer(endpoint));
      break;
    case Operation::Place::kPausing: {
      const bool round_over = operation.tried % endpoints_.size() == 0;
      Attempt(turn, operation,
              round_over ? Choose(operation) : (operation.endpoint + 1) % endpoints_.size());
      break;
    }
  }
}

void Core::RunTimers() {
  while (true) {
    Turn turn(*this);  // What time has decided is carried out at the end of each round.
    if (stopping_) return;
    const TimePoint now = steady_clock::now();
    bool any = false;
    while (!timers_.empty() && timers_.begin()->first <= now) {
      Operation& operation = *timers_.begin()->second;
      timers_.erase(timers_.begin());
      TimeIsUp(turn, operation, now);
      any = true;
    }
    TimePoint next = timers_.empty() ? TimePoint::max() : timers_.begin()->first;
    for (const auto& endpoint : endpoints_) {
      if (endpoint->watch_at <= now) {
        Watch(turn, *endpoint, now);
        any = true;
      }
      next = std::min(next, endpoint->watch_at);
    }
    if (any) continue;
    timer_wakes_at_ = next;
    if (next == TimePoint::max()) {
      timers_changed_.wait(turn.lock());
    } else {
      timers_changed_.wait_until(turn.lock(), timer_wakes_at_);
    }
    timer_wakes_at_ = TimePoint::min();
  }
}

}  // namespace holdfast::client
