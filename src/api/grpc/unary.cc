#include "src/api/grpc/unary.h"

#include <grpcpp/alarm.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "src/api/call.h"
#include "src/api/errors.h"
#include "src/api/text.h"
#include "src/base/batch.h"
#include "src/base/bounds.h"

namespace holdfast::api::grpc {
namespace {

using ::grpc::ByteBuffer;
using ::grpc::Slice;
using ::grpc::Status;
using ::grpc::StatusCode;
using state_machine::Method;

thread_local const void* this_threads_queue = nullptr;

}  // namespace

Status ToStatus(const Error& error, ::grpc::ServerContextBase* context) {
  context->AddTrailingMetadata("holdfast-code", ToString(error.code));
  // Metadata is printable ASCII; a path may hold a key of the caller's.
  const bool printable = std::all_of(error.field.begin(), error.field.end(),
                                     [](char c) { return c >= 0x20 && c <= 0x7E; });
  if (!error.field.empty() && printable && error.field.size() <= bounds::kGrpcStatusBytesMax) {
    context->AddTrailingMetadata("holdfast-field", error.field);
  }
  if (const uint32_t ms = RetryAfterMs(error); ms > 0) {
    context->AddTrailingMetadata("retry-after-ms", std::to_string(ms));
  }
  std::string message = DetailOf(error);
  if (const std::string hint = HintOf(error); !hint.empty()) Append(&message, " (", hint, ")");
  if (message.size() > bounds::kGrpcStatusBytesMax) message.resize(bounds::kGrpcStatusBytesMax);
  return {static_cast<StatusCode>(InfoOf(error.code).grpc_status), message};
}

// Calls that wait to come, and those that have. All but Reply runs on its thread.
class UnaryCalls::Queue : public std::enable_shared_from_this<Queue> {
 public:
  // What the one who replies knows of a call. The call is the thread's, and null once it is over.
  struct Open {
    std::shared_ptr<Queue> queue;
    Call* call = nullptr;
    std::atomic<bool> gone{false};  // Nobody takes the reply any more.
  };

  Queue(UnaryCalls& calls, std::unique_ptr<::grpc::ServerCompletionQueue> events)
      : calls_(calls), events_(std::move(events)) {}

  void Start();
  void Stop();
  // Has one more call come.
  void Expect();

  // Any thread; also after Stop.
  void Reply(std::shared_ptr<Open> open, node::Reply reply, bool stale);

  const state_machine::Registry& registry() const { return calls_.registry_; }
  node::Dispatcher& dispatcher() const { return calls_.dispatcher_; }
  ::grpc::ServerCompletionQueue* events() const { return events_.get(); }

 private:
  struct Ready {
    std::shared_ptr<Open> open;
    node::Reply reply;
    bool stale;
  };
  void Run();
  void Handle(void* tag, bool ok);
  void SendReplies();
  void Wake();

  UnaryCalls& calls_;
  const std::unique_ptr<::grpc::ServerCompletionQueue> events_;
  std::thread thread_;

  std::mutex mutex_;
  std::vector<Ready> ready_;
  bool wake_asked_ = false;  // The alarm is set, or will be at the end of a batch.
  bool stopped_ = false;
  ::grpc::Alarm alarm_;
};

// One call: comes, is read, handed on, and replied to.
//
//   OnCome -> OnRead -> Dispatcher::Call ... Queue::Reply -> Complete -> OnSent --.
//          `-> OnOver, when the reply is sent or the client has gone -------------+-> deleted
//
// Deleted when it is over and nothing else of it is under way.
class UnaryCalls::Call {
 public:
  struct Event {
    Call* call;
    void (Call::*happen)(bool ok);
  };

  explicit Call(Queue& queue, ::grpc::AsyncGenericService& service) : queue_(queue) {
    context_.AsyncNotifyWhenDone(&over_event_);
    service.RequestCall(&context_, &stream_, queue.events(), queue.events(), &come_event_);
  }

 private:
  void OnCome(bool ok) {
    if (!ok) {
      delete this;  // The server stops.
      return;
    }
    queue_.Expect();
    method_ = queue_.registry().Find(context_.method());
    if (method_ == nullptr) {
      return Finish(
          ToStatus(Error{ErrorCode::kUnimplemented, "there is no method " + context_.method(), "",
                         "ask reflection for those that there are", 0},
                   &context_));
    }
    if (const std::optional<Error> refusal = queue_.dispatcher().Refusal(*method_)) {
      return Finish(ToStatus(*refusal, &context_));
    }
    busy_ = true;
    stream_.Read(&request_, &read_event_);
  }

  void OnRead(bool ok) {
    busy_ = false;
    if (over_) {
      delete this;
      return;
    }
    if (!ok) {
      return Refuse(InvalidArgument("", Cat("the call brought no readable request of at most ",
                                            bounds::kRequestBytesMax, " bytes")));
    }
    Result<std::string> bytes = Decode();
    if (!bytes) return Refuse(bytes.error());
    Result<node::CallOptions> options = Options();
    if (!options) return Refuse(options.error());
    open_ = std::make_shared<Queue::Open>();
    open_->queue = queue_.shared_from_this();
    open_->call = this;
    if (method_->wait_ms != nullptr) {
      options->gone = std::shared_ptr<const std::atomic<bool>>(open_, &open_->gone);
    }
    const bool stale = method_->kind() == READ && options->consistency == node::Consistency::kStale;
    queue_.dispatcher().Call(*method_, *std::move(bytes), *std::move(options),
                             [stale, open = open_](node::Reply reply) mutable {
                               Queue& queue = *open->queue;
                               queue.Reply(std::move(open), std::move(reply), stale);
                             });
  }

  void OnOver(bool /*ok*/) {
    over_ = true;
    Close();
    if (!busy_) delete this;
  }

  void OnSent(bool /*ok*/) {
    busy_ = false;
    if (over_) delete this;
  }

 public:
  void Complete(const node::Reply& reply, bool stale) {
    Close();
    if (reply.position != LogIndex()) {
      context_.AddTrailingMetadata(std::string(kPositionName), reply.position.ToString());
    }
    if (reply.replayed) context_.AddTrailingMetadata(std::string(kReplayedName), "true");
    if (stale) {
      context_.AddTrailingMetadata(std::string(kAgeMsName), std::to_string(reply.age.count()));
    }
    if (!reply.body) return Finish(ToStatus(reply.body.error(), &context_));
    const Slice slice(*reply.body);
    busy_ = true;
    stream_.WriteAndFinish(ByteBuffer(&slice, 1), ::grpc::WriteOptions(), Status::OK, &sent_event_);
  }

 private:
  // No reply reaches it from here on.
  void Close() {
    if (open_ == nullptr) return;
    open_->call = nullptr;
    open_->gone = true;
    open_.reset();
  }

  void Finish(const Status& status) {
    busy_ = true;
    stream_.Finish(status, &sent_event_);
  }

  void Refuse(const Error& error) {
    queue_.dispatcher().NoteRefused(error.code);
    Finish(ToStatus(error, &context_));
  }

  Result<std::string> Decode() {
    Slice bytes;
    if (!request_.TrySingleSlice(&bytes).ok() && !request_.DumpToSingleSlice(&bytes).ok()) {
      return Fail(Error{ErrorCode::kInternal, "the request could not be unpacked", "", "", 0});
    }
    request_.Clear();
    return EncodeRequest(
        *method_, std::string_view(reinterpret_cast<const char*>(bytes.begin()), bytes.size()));
  }

  Result<node::CallOptions> Options() const {
    CallWords words;
    const std::pair<std::string_view, std::optional<std::string_view>*> known[] = {
        {kIdempotencyKeyName, &words.idempotency_key},
        {kAfterName, &words.after},
        {kConsistencyName, &words.consistency}};
    const auto& metadata = context_.client_metadata();
    for (const auto& [name, place] : known) {
      const auto [first, last] = metadata.equal_range(::grpc::string_ref(name.data(), name.size()));
      if (first == last) continue;
      if (std::next(first) != last) {
        return Fail(InvalidArgument(std::string(name), "appears more than once"));
      }
      *place = std::string_view(first->second.data(), first->second.size());
    }
    const auto now = std::chrono::steady_clock::now();
    Result<node::CallOptions> options = ParseCallWords(*method_, words, now);
    // gRPC counts a deadline on the wall clock; none is the end of time.
    const auto deadline = context_.deadline();
    if (options && deadline != std::chrono::system_clock::time_point::max()) {
      options->deadline = now + TimeToAnswerIn(deadline - std::chrono::system_clock::now());
      options->default_deadline = false;
    }
    return options;
  }

  Queue& queue_;
  Event come_event_{this, &Call::OnCome};
  Event read_event_{this, &Call::OnRead};
  Event sent_event_{this, &Call::OnSent};
  Event over_event_{this, &Call::OnOver};
  ::grpc::GenericServerContext context_;
  ::grpc::GenericServerAsyncReaderWriter stream_{&context_};
  ByteBuffer request_;
  const Method* method_ = nullptr;
  std::shared_ptr<Queue::Open> open_;  // From when it is handed on until the reply is there.
  bool busy_ = false;                  // A read, or the reply, is under way.
  bool over_ = false;
};

void UnaryCalls::Queue::Start() {
  for (int i = 0; i < 64; ++i) Expect();
  thread_ = std::thread([this] { Run(); });
}

void UnaryCalls::Queue::Stop() {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(stopped_, true)) return;
  }
  events_->Shutdown();
  if (thread_.joinable()) {
    thread_.join();
  } else {
    void* tag = nullptr;
    bool ok = false;
    while (events_->Next(&tag, &ok)) {
    }
  }
}

void UnaryCalls::Queue::Expect() { new Call(*this, calls_.service_); }

void UnaryCalls::Queue::Run() {
  constexpr int kTogetherMax = 256;
  this_threads_queue = this;
  void* tag = nullptr;
  bool ok = false;
  while (events_->Next(&tag, &ok)) {
    {
      Batch together;
      int count = 0;
      do {
        Handle(tag, ok);
      } while (++count < kTogetherMax &&
               events_->AsyncNext(&tag, &ok, gpr_inf_past(GPR_CLOCK_MONOTONIC)) ==
                   ::grpc::CompletionQueue::GOT_EVENT);
    }
    SendReplies();
  }
}

void UnaryCalls::Queue::Handle(void* tag, bool ok) {
  if (tag == this) {
    std::lock_guard lock(mutex_);
    wake_asked_ = false;
    return;
  }
  auto* event = static_cast<Call::Event*>(tag);
  (event->call->*event->happen)(ok);
}

void UnaryCalls::Queue::Reply(std::shared_ptr<Open> open, node::Reply reply, bool stale) {
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return;
    ready_.push_back({std::move(open), std::move(reply), stale});
    if (this_threads_queue == this || std::exchange(wake_asked_, true)) return;
  }
  Batch::AtEnd([self = shared_from_this()] { self->Wake(); });
}

void UnaryCalls::Queue::Wake() {
  std::lock_guard lock(mutex_);
  if (!stopped_) alarm_.Set(events_.get(), gpr_inf_past(GPR_CLOCK_MONOTONIC), this);
}

void UnaryCalls::Queue::SendReplies() {
  std::vector<Ready> ready;
  {
    std::lock_guard lock(mutex_);
    ready.swap(ready_);
  }
  for (const Ready& one : ready) {
    if (one.open->call != nullptr) one.open->call->Complete(one.reply, one.stale);
  }
}

UnaryCalls::UnaryCalls(::grpc::ServerBuilder& builder, const state_machine::Registry& registry,
                       node::Dispatcher& dispatcher)
    : registry_(registry), dispatcher_(dispatcher) {
  builder.RegisterAsyncGenericService(&service_);
  queues_.push_back(std::make_shared<Queue>(*this, builder.AddCompletionQueue()));
}

UnaryCalls::~UnaryCalls() { Stop(); }

void UnaryCalls::Stop() {
  for (const auto& queue : queues_) queue->Stop();
}

void UnaryCalls::Start() {
  for (const auto& queue : queues_) queue->Start();
}

}  // namespace holdfast::api::grpc
