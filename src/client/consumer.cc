#include "src/client/consumer.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace holdfast::client {
namespace {

using queues::AckOutcome;

constexpr char kQueues[] = "/holdfast.queues.Queues/";
constexpr size_t kNackErrorBytesMax = 256;  // What Nack takes.
constexpr std::chrono::milliseconds kExtendEveryAtLeast{300};

// Asks for more time for deliveries, from a thread of its own, as long as they are not over.
class Extender {
 public:
  Extender(Client& client, const ConsumeOptions& options, const queues::PullReply& pulled)
      : client_(client), options_(options) {
    for (const queues::Message& message : pulled.messages()) open_.push_back(message.delivery());
    thread_ = std::thread([this] { Run(); });
  }
  ~Extender() {
    {
      std::lock_guard lock(mutex_);
      open_.clear();
    }
    changed_.notify_all();
    thread_.join();
  }
  // Before it is acked: an Extend that came after the ack would be about nothing.
  void Over(const std::string& delivery) {
    std::lock_guard lock(mutex_);
    std::erase(open_, delivery);
  }

 private:
  static std::chrono::milliseconds IntervalOf(std::chrono::seconds visibility) {
    return std::max<std::chrono::milliseconds>(visibility, 3 * kExtendEveryAtLeast) / 3;
  }
  // 0: it could not be asked.
  std::chrono::seconds VisibilityOfQueue(std::chrono::milliseconds timeout) {
    queues::GetRequest request;
    request.set_name(options_.queue);
    CallOptions call;
    call.timeout = timeout;
    const auto queue = client_.Call<queues::Queue>(std::string(kQueues) + "Get", request, call);
    return std::chrono::seconds(queue ? queue->message.visibility_seconds() : 0);
  }

  void Run() {
    std::chrono::seconds visibility = options_.visibility;
    std::chrono::milliseconds interval = IntervalOf(visibility);
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, interval, [this] { return open_.empty(); })) {
      queues::ExtendRequest request;
      request.set_queue(options_.queue);
      request.mutable_deliveries()->Add(open_.begin(), open_.end());
      request.set_visibility_seconds(static_cast<uint32_t>(options_.visibility.count()));
      lock.unlock();
      CallOptions call;
      call.timeout = interval;  // Then the next one is due. Whoever comes too late hears of it.
      call.repeatable = true;
      (void)client_.Call<queues::AckReply>(std::string(kQueues) + "Extend", request, call);
      // 0 is the queue's own time; most messages are done before it matters.
      if (visibility.count() == 0) {
        visibility = VisibilityOfQueue(interval);
        interval = IntervalOf(visibility);
      }
      lock.lock();
    }
  }

  Client& client_;
  const ConsumeOptions& options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> open_;
  std::thread thread_;
};

// As much of a text as Nack takes, cut between characters.
std::string Beginning(const std::string& text) {
  if (text.size() <= kNackErrorBytesMax) return text;
  size_t end = kNackErrorBytesMax;
  while (end > 0 && (text[end] & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

// The answers after which it is certain that nothing was or will be done, and that the same again
// would fare no better.
bool IsRefusal(ErrorCode code) {
  return code == ErrorCode::kInvalidArgument || code == ErrorCode::kNotFound ||
         code == ErrorCode::kUnimplemented || code == ErrorCode::kTooLarge;
}

class OneBatch {
 public:
  OneBatch(Client& client, const ConsumeOptions& options) : client_(client), options_(options) {}

  Result<Consumed> Run(absl::FunctionRef<Handled(const queues::Message&)> handler) {
    const auto pulled = Pull();
    if (!pulled) return Fail(pulled.error());
    consumed_.pulled = pulled->messages_size();
    if (consumed_.pulled == 0) return consumed_;
    Extender extender(client_, options_, *pulled);
    for (const queues::Message& message : pulled->messages()) {
      const Handled handled = handler(message);
      extender.Over(message.delivery());
      if (!handled.done) {
        SendNack(message, handled.error, handled.retry_after);
      } else if (handled.writes.empty()) {
        SendAck(message);
      } else {
        Execute(message, handled.writes);
      }
    }
    return consumed_;
  }

 private:
  Result<queues::PullReply> Pull() {
    queues::PullRequest request;
    request.set_queue(options_.queue);
    request.set_group(options_.group);
    request.set_consumer(options_.consumer);
    request.set_max(options_.max);
    request.set_wait_ms(static_cast<uint32_t>(options_.wait.count()));
    request.set_visibility_seconds(static_cast<uint32_t>(options_.visibility.count()));
    CallOptions call;
    call.timeout = std::chrono::milliseconds(std::min<int64_t>(
        options_.wait.count() + bounds::kDeadlineMsDefault, bounds::kDeadlineMsMax));
    auto reply = client_.Call<queues::PullReply>(std::string(kQueues) + "Pull", request, call);
    if (!reply) return Fail(reply.error());
    const auto outcome = reply->message.outcome();
    if (outcome != queues::PullOutcome::pulled && outcome != queues::PullOutcome::empty) {
      return Fail(NotFound("cannot pull from " + options_.queue + ": " +
                           queues::PullOutcome::Code_Name(outcome)));
    }
    return std::move(reply->message);
  }

  void SendAck(const queues::Message& message) {
    queues::AckRequest request;
    request.set_queue(options_.queue);
    request.add_deliveries(message.delivery());
    const auto reply = client_.Call<queues::AckReply>(std::string(kQueues) + "Ack", request);
    if (!reply) return Unknown(reply.error());
    const auto& results = reply->message.results();
    if (results.empty() || results[0].outcome() != AckOutcome::acked) return Expired();
    ++consumed_.done;
  }

  void Execute(const queues::Message& message, const std::vector<atomic::Write>& writes) {
    queues::AckRequest ack;
    ack.set_queue(options_.queue);
    ack.add_deliveries(message.delivery());
    atomic::ExecuteRequest request;
    *request.add_writes() = MakeWrite("queues.Ack", ack);
    request.mutable_writes()->Add(writes.begin(), writes.end());
    const auto reply =
        client_.Call<atomic::ExecuteReply>("/holdfast.atomic.Atomic/Execute", request);
    if (!reply && IsRefusal(reply.error().code)) {
      return SendNack(message, reply.error().field + " " + reply.error().message,
                      options_.retry_delay);
    }
    if (!reply) return Unknown(reply.error());
    if (reply->message.outcome() == atomic::ExecuteOutcome::done) {
      ++consumed_.done;
      return;
    }
    if (reply->message.failed() == 0) return Expired();
    const auto& results = reply->message.results();
    SendNack(message,
             results.empty() ? "refused" : results[0].method() + ": " + results[0].outcome(),
             options_.retry_delay);
  }

  void SendNack(const queues::Message& message, const std::string& error,
                std::chrono::milliseconds delay) {
    queues::NackRequest request;
    request.set_queue(options_.queue);
    request.add_deliveries(message.delivery());
    request.set_delay_ms(static_cast<uint64_t>(delay.count()));
    request.set_error(Beginning(error));
    const auto reply = client_.Call<queues::AckReply>(std::string(kQueues) + "Nack", request);
    if (!reply) return Unknown(reply.error());
    const auto& results = reply->message.results();
    if (results.empty() || results[0].outcome() == AckOutcome::expired) return Expired();
    ++consumed_.retried;
    consumed_.error = Error{ErrorCode::kInternal, error, "", "", 0};
  }

  void Expired() {
    ++consumed_.expired;
    consumed_.error = Error{ErrorCode::kDeadlineExceeded, "the delivery was over before the ack",
                            "", "give it a longer visibility", 0};
  }
  void Unknown(const Error& error) {
    ++consumed_.unknown;
    consumed_.error = error;
  }

  Client& client_;
  const ConsumeOptions& options_;
  Consumed consumed_;
};

}  // namespace

atomic::Write MakeWrite(std::string method, const google::protobuf::Message& request) {
  atomic::Write write;
  write.set_method(std::move(method));
  write.set_request(request.SerializeAsString());
  return write;
}

Result<Consumed> Consume(Client& client, const ConsumeOptions& options,
                         absl::FunctionRef<Handled(const queues::Message&)> handler) {
  return OneBatch(client, options).Run(handler);
}

}  // namespace holdfast::client
