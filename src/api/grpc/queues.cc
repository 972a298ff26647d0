#include "src/api/grpc/queues.h"

#include <grpcpp/alarm.h>
#include <pthread.h>

#include <algorithm>
#include <boost/intrusive/list.hpp>
#include <chrono>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "src/base/batch.h"

namespace holdfast::api::grpc {
namespace {

// As many as gRPC would have threads of its own, but that one is enough for two processors.
unsigned CountOfQueues() { return std::clamp(std::thread::hardware_concurrency() / 2, 1U, 16U); }

// Calls that gRPC may begin before the thread has come round to ask for more.
constexpr int kExpected = 64;
// The first that came must not wait too long for the last; some of those between may be reads.
constexpr int kEventsTogether = 256;
constexpr std::chrono::milliseconds kTimeTogether{1};

using SteadyClock = std::chrono::steady_clock;

thread_local const void* this_threads_queue = nullptr;

// What has to be done by a certain time: a link of the queue's list, or of none.
struct Due
    : boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
  SteadyClock::time_point at;
};

gpr_timespec AtOnce() { return gpr_inf_past(GPR_CLOCK_MONOTONIC); }

}  // namespace

class Queues::Queue : public std::enable_shared_from_this<Queue> {
 public:
  Queue(Queues& queues, std::unique_ptr<::grpc::ServerCompletionQueue> events)
      : queues_(queues), events_(std::move(events)) {}

  void Start();
  void Stop();
  void Post(Task task);

  // One step of a call begins, which has to be done in time; it takes the place of the one before.
  // Any thread.
  void BeginStep(Due& due);
  void EndStep(Due& due);
  std::chrono::milliseconds step_time_max() const { return queues_.step_time_max_; }

  // The rest on its thread. Has one more call come.
  void Expect();
  void Ended(Call* call, bool had_come);
  Stream* Open(Wire& wire) const { return queues_.open_(wire, ++queues_.calls_); }
  ::grpc::ServerCompletionQueue* events() const { return events_.get(); }
  // Hands on what the batch has; the next event begins another.
  void EndBatch() { batch_.reset(); }

 private:
  void Run();
  void Handle(void* tag, bool ok);
  void RunTasks();
  void EndLateCalls(SteadyClock::time_point now);
  void Wake();
  void Close();

  Queues& queues_;
  const std::unique_ptr<::grpc::ServerCompletionQueue> events_;
  std::thread thread_;
  std::optional<Batch> batch_;
  int calls_ = 0;  // That are expected, or have come and are not over.
  bool stopping_ = false;

  std::mutex steps_mutex_;
  // All have the same time, so the one that began first is due first.
  boost::intrusive::list<Due, boost::intrusive::constant_time_size<false>> steps_;

  std::mutex mutex_;
  std::vector<Task> tasks_;
  bool wake_asked_ = false;  // The alarm is set, or will be at the end of a batch.
  bool closed_ = false;
  ::grpc::Alarm alarm_;
};

// One call, from before it comes. Deleted when gRPC says that it is over, it is finished, and no
// read is under way.
class Queues::Call final : public Wire, private Due {
 public:
  struct Event {
    Call* call;
    void (Call::*happen)(bool ok);
  };

  Call(Queue& queue, ::grpc::AsyncGenericService& service) : queue_(queue) {
    context_.AsyncNotifyWhenDone(&over_);
    service.RequestCall(&context_, &line_, queue.events(), queue.events(), &come_);
  }

  ::grpc::GenericServerContext& context() override { return context_; }
  void Read(::grpc::ByteBuffer* into) override {
    is_reading_ = true;
    if (!stream_->idles()) queue_.BeginStep(*this);
    line_.Read(into, &read_);
  }
  void Write(const ::grpc::ByteBuffer& message) override {
    if (!stream_->idles()) queue_.BeginStep(*this);
    line_.Write(message, &written_);
  }
  void Finish(const ::grpc::Status& status) override {
    queue_.BeginStep(*this);
    line_.Finish(status, &finished_);
  }
  void WriteAndFinish(const ::grpc::ByteBuffer& message) override {
    queue_.BeginStep(*this);
    line_.WriteAndFinish(message, ::grpc::WriteOptions(), ::grpc::Status::OK, &finished_);
  }
  void Post(Task task) override { queue_.Post(std::move(task)); }

  // A step of it was not done in time.
  static void IsLate(Due& due) { static_cast<Call&>(due).EndLate(); }

 private:
  void OnCome(bool ok) {
    if (!ok) return queue_.Ended(this, false);  // The server stops.
    queue_.Expect();
    stream_ = queue_.Open(*this);
    stream_->Start();
  }
  void OnRead(bool ok) {
    is_reading_ = false;
    if (is_late_) return EndIfDone();
    if (!stream_->idles()) queue_.EndStep(*this);
    if (stream_->batches()) queue_.EndBatch();
    stream_->OnReadDone(ok);
    EndIfDone();
  }
  void OnWritten(bool ok) {
    if (!stream_->idles()) queue_.EndStep(*this);
    stream_->OnWriteDone(ok);
  }
  void OnFinished(bool /*ok*/) {
    is_finished_ = true;
    EndIfDone();
  }
  void OnOver(bool /*ok*/) {
    is_over_ = true;
    if (context_.IsCancelled() && !is_late_) stream_->OnCancel();
    EndIfDone();
  }
  // Whoever brings no request is told; whoever takes no answer cannot be.
  void EndLate() {
    if (!is_reading_ || is_late_) return context_.TryCancel();
    is_late_ = true;
    stream_->OnLate();
  }

  void EndIfDone() {
    if (!is_over_ || !is_finished_ || is_reading_) return;
    queue_.EndStep(*this);
    stream_->OnDone();
    queue_.Ended(this, true);
  }

  Queue& queue_;
  Event come_{this, &Call::OnCome};
  Event read_{this, &Call::OnRead};
  Event written_{this, &Call::OnWritten};
  Event finished_{this, &Call::OnFinished};
  Event over_{this, &Call::OnOver};
  ::grpc::GenericServerContext context_;
  ::grpc::GenericServerAsyncReaderWriter line_{&context_};
  Stream* stream_ = nullptr;
  bool is_reading_ = false;
  bool is_late_ = false;  // It was finished here, as its read was late: the stream is not told.
  bool is_finished_ = false;
  bool is_over_ = false;
};

void Queues::Queue::Start() {
  for (int i = 0; i < kExpected; ++i) Expect();
  thread_ = std::thread([this] { Run(); });
}

void Queues::Queue::Stop() {
  if (thread_.joinable()) {
    Post([this] { stopping_ = true; });
    return thread_.join();
  }
  Close();
  void* tag = nullptr;
  bool ok = false;
  while (events_->Next(&tag, &ok)) {
  }
}

void Queues::Queue::Close() {
  std::lock_guard lock(mutex_);
  if (std::exchange(closed_, true)) return;
  events_->Shutdown();
}

void Queues::Queue::Expect() {
  ++calls_;
  new Call(*this, queues_.service_);
}

void Queues::Queue::Ended(Call* call, bool had_come) {
  delete call;
  --calls_;
  if (had_come) --queues_.calls_;
}

void Queues::Queue::BeginStep(Due& due) {
  std::lock_guard lock(steps_mutex_);
  if (due.is_linked()) due.unlink();
  due.at = SteadyClock::now() + queues_.step_time_max_;
  steps_.push_back(due);
}

void Queues::Queue::EndStep(Due& due) {
  std::lock_guard lock(steps_mutex_);
  if (due.is_linked()) due.unlink();
}

void Queues::Queue::EndLateCalls(SteadyClock::time_point now) {
  for (;;) {
    Due* late = nullptr;
    {
      std::lock_guard lock(steps_mutex_);
      if (steps_.empty() || steps_.front().at > now) return;
      late = &steps_.front();
      steps_.pop_front();
    }
    Call::IsLate(*late);  // It is there: calls end on this thread.
  }
}

void Queues::Queue::Run() {
  this_threads_queue = this;
  pthread_setname_np(pthread_self(), "hf-grpc");
  void* tag = nullptr;
  bool ok = false;
  for (;;) {
    // It looks for what is late now and then, whether or not something happens.
    const auto next =
        events_->AsyncNext(&tag, &ok, std::chrono::system_clock::now() + step_time_max() / 4);
    const auto began = SteadyClock::now();
    if (next == ::grpc::CompletionQueue::SHUTDOWN) return;
    EndLateCalls(began);
    if (next == ::grpc::CompletionQueue::TIMEOUT) continue;
    int count = 0;
    do {
      if (!batch_) batch_.emplace();
      Handle(tag, ok);
    } while (++count < kEventsTogether && SteadyClock::now() - began < kTimeTogether &&
             events_->AsyncNext(&tag, &ok, AtOnce()) == ::grpc::CompletionQueue::GOT_EVENT);
    EndBatch();
    RunTasks();
    if (stopping_ && calls_ == 0) Close();  // None is expected either: the server is shut down.
  }
}

void Queues::Queue::Handle(void* tag, bool ok) {
  if (tag == this) {
    std::lock_guard lock(mutex_);
    wake_asked_ = false;
    return;
  }
  auto* event = static_cast<Call::Event*>(tag);
  (event->call->*event->happen)(ok);
}

void Queues::Queue::Post(Task task) {
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    tasks_.push_back(std::move(task));
    // Its own thread looks for tasks before it waits again.
    if (this_threads_queue == this || std::exchange(wake_asked_, true)) return;
  }
  Batch::AtEnd([self = shared_from_this()] { self->Wake(); });
}

void Queues::Queue::Wake() {
  std::lock_guard lock(mutex_);
  if (!closed_) alarm_.Set(events_.get(), AtOnce(), this);
}

void Queues::Queue::RunTasks() {
  for (std::vector<Task> tasks;; tasks.clear()) {
    {
      std::lock_guard lock(mutex_);
      tasks.swap(tasks_);
    }
    if (tasks.empty()) return;
    for (Task& task : tasks) task();
  }
}

Queues::Queues(::grpc::ServerBuilder& builder, std::chrono::milliseconds step_time_max, Open open)
    : step_time_max_(step_time_max), open_(std::move(open)) {
  builder.RegisterAsyncGenericService(&service_);
  for (unsigned i = 0; i < CountOfQueues(); ++i) {
    queues_.push_back(std::make_shared<Queue>(*this, builder.AddCompletionQueue()));
  }
}

Queues::~Queues() { Stop(); }

void Queues::Start() {
  for (const auto& queue : queues_) queue->Start();
}

void Queues::Stop() {
  for (const auto& queue : queues_) queue->Stop();
}

}  // namespace holdfast::api::grpc
