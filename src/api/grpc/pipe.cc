#include "src/api/grpc/pipe.h"

#include <absl/container/flat_hash_map.h>

#include "holdfast/pipe.pb.h"
#include "src/api/call.h"
#include "src/api/errors.h"
#include "src/api/grpc/pipe_frames.h"
#include "src/api/text.h"
#include "src/base/batch.h"
#include "src/base/error_message.h"

namespace holdfast::api::grpc {
namespace {

using ::grpc::ByteBuffer;
using ::grpc::Status;
using ::grpc::StatusCode;
using state_machine::Method;
using std::chrono::steady_clock;

Error Overloaded(const char* what) {
  return Error{ErrorCode::kResourceExhausted, what, "",
               "Nothing was done. Slow down and try again.", 100};
}

Result<node::CallOptions> ToOptions(const Method& method, const PipeRequest& request) {
  CallWords words;
  if (!request.idempotency_key().empty()) words.idempotency_key = request.idempotency_key();
  const auto now = steady_clock::now();
  Result<node::CallOptions> options = ParseCallWords(method, words, now);
  if (!options) return options;
  options->after = LogIndex(request.after());
  switch (request.consistency()) {
    case PipeRequest::linearizable: options->consistency = node::Consistency::kLinearizable; break;
    case PipeRequest::stale: options->consistency = node::Consistency::kStale; break;
    default: options->consistency = node::Consistency::kSession;
  }
  if (request.timeout_ms() > 0) {
    options->deadline = now + TimeToAnswerIn(std::chrono::milliseconds(request.timeout_ms()));
    options->default_deadline = false;
  }
  return options;
}

}  // namespace

// One stream. gRPC calls it until OnDone; replies that are under way keep the object beyond that,
// and find it finished.
//
//   OnReadDone -> Accept each request -> Dispatcher::Call ... Complete -> queue_ -> Flush -> write
//
// Invariants: Finish is called once, when neither a read nor a write is under way, and no read or
// write is begun after it.
class Pipes::Pipe : public Stream, public std::enable_shared_from_this<Pipe> {
 public:
  Pipe(std::shared_ptr<Pipes> pipes, Wire& wire)
      : Stream(wire), pipes_(std::move(pipes)), connection_(wire.context().peer()) {}

  const std::string& connection() const { return connection_; }

  // Until OnDone.
  void Stay() { self_ = shared_from_this(); }

  void Start() override {
    wire_.Read(&incoming_);
    Tell("");  // Every message says who we are and who leads.
    if (pipes_->draining_) Drain();
  }
  bool batches() const override { return true; }
  bool idles() const override { return true; }

  // Refuses requests from here on, and asks the client to end the pipe.
  void Drain() {
    PipeReplies last;
    last.set_closing(true);
    Tell(last.SerializeAsString());
  }

  void CutOffIfStuck(steady_clock::time_point now, std::chrono::milliseconds most) {
    {
      std::lock_guard lock(mutex_);
      if (finished_ || !writing_ || now - write_began_ <= most) return;
      cutting_off_ = true;
    }
    wire_.context().TryCancel();
    std::unique_lock lock(mutex_);
    cutting_off_ = false;
    FinishIfDone(std::move(lock));
  }

  void OnReadDone(bool ok) override {
    const bool understood = !ok || TakeMessage();
    std::unique_lock lock(mutex_);
    reading_ = false;
    read_closed_ |= !ok;
    broken_ |= !understood;
    if (!read_closed_ && !broken_ && !cancelled_) {
      paused_ = unsent_bytes_ > bounds::kPipeReplyBytesMax;
      reading_ = !paused_;
    }
    if (!reading_) return FinishIfDone(std::move(lock));
    lock.unlock();
    wire_.Read(&incoming_);
  }

  void OnWriteDone(bool ok) override {
    bool read = false;
    {
      std::lock_guard lock(mutex_);
      writing_ = false;
      Sent(std::exchange(writing_bytes_, 0));
      broken_ |= !ok;
      if (paused_ && !broken_ && !cancelled_ && unsent_bytes_ <= bounds::kPipeReplyBytesMax / 2) {
        paused_ = false;
        reading_ = read = true;
      }
    }
    if (read) wire_.Read(&incoming_);
    Flush();
  }

  void OnCancel() override {
    std::unique_lock lock(mutex_);
    cancelled_ = true;
    FinishIfDone(std::move(lock));
  }

  void OnDone() override {
    pipes_->Leave(this);
    self_.reset();  // Perhaps the last one.
  }

 private:
  struct InFlight {
    uint32_t bytes = 0;
    bool read = false;
    bool cancelled = false;
    std::shared_ptr<std::atomic<bool>> gone;  // Of one that may wait; see CallOptions.

    void Cancel() {
      cancelled = true;
      if (gone != nullptr) *gone = true;
    }
  };

  // Every request of the message that has come. False: it is none, or breaks the rules.
  bool TakeMessage() {
    constexpr size_t kTogether = 256;  // The first of very many must not wait for the last.
    std::optional<Batch> batch(std::in_place);
    PipeRequests rest;
    size_t requests = 0;
    const bool understood = ReadElements(incoming_, PipeRequests::kRequestsFieldNumber, &request_,
                                         &rest, [&](PipeRequest& request) {
                                           if (++requests > bounds::kPipeMessageRequestsMax)
                                             return false;
                                           if (requests % kTogether == 0) batch.emplace();
                                           return Take(request);
                                         });
    incoming_.Clear();
    // Each takes three bytes of a message of usual size.
    const bool too_many =
        static_cast<size_t>(rest.cancelled_size()) > bounds::kPipeMessageBytesTarget / 2;
    if (!understood || too_many) return false;
    std::lock_guard lock(mutex_);
    for (const uint64_t id : rest.cancelled()) {
      // It keeps its place until the node has answered: what is under way is under way.
      if (auto found = in_flight_.find(id); found != in_flight_.end()) {
        found->second.Cancel();
      }
    }
    return true;
  }

  // False: an id that is in use.
  bool Take(PipeRequest& request) {
    const Method* method = Find(request);
    const bool read = method != nullptr && method->kind() != WRITE;
    const size_t bytes = request.body().size() + request.idempotency_key().size();
    const uint64_t id = request.id();
    Result<void> admitted;
    {
      std::lock_guard lock(mutex_);
      admitted = Admit(bytes);
      InFlight place{static_cast<uint32_t>(admitted ? bytes : 0), read, false, nullptr};
      if (!in_flight_.emplace(id, place).second) return false;
      Hold(place.bytes);
    }
    if (!admitted) return Refuse(id, std::move(admitted.error()));
    if (method == nullptr) return Refuse(id, Unknown(request));
    Result<std::string> canonical = EncodeRequest(*method, request.body());
    if (!canonical) return Refuse(id, std::move(canonical.error()));
    Result<node::CallOptions> options = ToOptions(*method, request);
    if (!options) return Refuse(id, std::move(options.error()));
    if (method->wait_ms != nullptr) {
      auto gone = std::make_shared<std::atomic<bool>>(false);
      options->gone = gone;
      std::lock_guard lock(mutex_);
      in_flight_.at(id).gone = std::move(gone);
    }
    const bool stale = method->kind() == READ && options->consistency == node::Consistency::kStale;
    pipes_->dispatcher_.Call(*method, *std::move(canonical), *std::move(options),
                             [self = self_, id, stale](node::Reply reply) {
                               self->Complete(id, std::move(reply), stale);
                             });
    return true;
  }

  bool Refuse(uint64_t id, Error error) {
    pipes_->dispatcher_.NoteRefused(error.code);
    Complete(id, {Fail(std::move(error))}, false);
    return true;
  }

  const Method* Find(const PipeRequest& request) const {
    if (!request.name().empty()) return pipes_->registry_.Find(request.name());
    if (request.service() > UINT8_MAX || request.method() > UINT8_MAX) return nullptr;
    return pipes_->registry_.Find(static_cast<uint8_t>(request.service()),
                                  static_cast<uint8_t>(request.method()));
  }

  static Error Unknown(const PipeRequest& request) {
    const std::string what =
        request.name().empty() ? Cat(request.service(), "/", request.method()) : request.name();
    return Error{ErrorCode::kUnimplemented, Cat("there is no method ", what), "",
                 "ask reflection for those that there are", 0};
  }

  // Under mutex_.
  Result<void> Admit(size_t bytes) const {
    if (pipes_->draining_.load(std::memory_order_relaxed)) {
      return Fail(
          Error{ErrorCode::kUnavailable, "this node is stopping", "", "Ask another node.", 0});
    }
    if (in_flight_.size() >= bounds::kPipeRequestsMax ||
        request_bytes_ + bytes > bounds::kPipeRequestBytesMax) {
      return Fail(Overloaded("too many requests are waiting on this pipe"));
    }
    if (pipes_->bytes() + bytes > bounds::kPipesBytesMax) {
      return Fail(Overloaded("too many requests are waiting on the pipes of this node"));
    }
    return {};
  }

  // How a request ended. Any thread; may outlive the stream.
  void Complete(uint64_t id, node::Reply reply, bool stale) {
    PipeReply out;
    out.set_id(id);
    out.set_position(reply.position.value);
    out.set_replayed(reply.replayed);
    if (stale) out.set_age_ms(static_cast<uint64_t>(reply.age.count()));
    if (reply.body) {
      out.set_body(*std::move(reply.body));
    } else {
      FillError(reply.body.error(), &out);
    }
    std::unique_lock lock(mutex_);
    const auto found = in_flight_.find(id);
    const InFlight place = found->second;
    in_flight_.erase(found);
    Release(place.bytes);
    if (finished_) return;
    if (place.cancelled) return FinishIfDone(std::move(lock));
    if (place.read && out.has_body() && unsent_bytes_ > bounds::kPipeReplyBytesMax) {
      FillError(Overloaded("the replies of this pipe are not taken"), &out);
    }
    Queued(queue_.Append(PipeReplies::kRepliesFieldNumber, out));
    if (std::exchange(flush_asked_, true)) return;
    lock.unlock();
    Batch::AtEnd([self = shared_from_this()] { self->Flush(); });
  }

  static void FillError(Error error, PipeReply* out) {
    error.hint = HintOf(error);
    error.retry_after_ms = RetryAfterMs(error);
    *out->mutable_error() = ToWire(error);
  }

  // Sends a message of its own.
  void Tell(std::string message) {
    {
      std::lock_guard lock(mutex_);
      if (finished_) return;
      Queued(message.size());
      queue_.AppendMessage(std::move(message));
    }
    Flush();
  }

  // Begins to write what is queued, unless a write is under way: its end comes back here.
  void Flush() {
    const node::Leadership leadership = pipes_->dispatcher_.Leadership();
    std::unique_lock lock(mutex_);
    flush_asked_ = false;
    if (writing_ || finished_) return;
    if (queue_.empty() || cancelled_ || broken_) return FinishIfDone(std::move(lock));
    std::string message = queue_.Take();
    writing_ = true;
    writing_bytes_ = message.size();
    write_began_ = steady_clock::now();
    lock.unlock();
    PipeReplies rest;
    rest.set_node(leadership.self.value);
    rest.set_leader(leadership.leader.value);
    rest.set_term(leadership.term.value);
    rest.AppendToString(&message);
    outgoing_ = ToPipeBuffer(std::move(message));
    wire_.Write(outgoing_);
  }

  // Lets go of the mutex before it finishes: gRPC may call back at once. Nothing of the pipe may be
  // touched after this, unless it is held.
  void FinishIfDone(std::unique_lock<std::mutex> lock) {
    if (finished_ || reading_ || writing_ || cutting_off_) return;
    const bool answered = read_closed_ && in_flight_.empty() && queue_.empty();
    if (!answered && !cancelled_ && !broken_) return;
    finished_ = true;
    for (auto& [id, place] : in_flight_) place.Cancel();
    Sent(queue_.bytes());
    queue_.Clear();
    Status status;
    if (cancelled_) {
      status = Status(StatusCode::CANCELLED, "cancelled");
    } else if (broken_) {
      status = Status(StatusCode::INVALID_ARGUMENT,
                      "a message of the pipe that is none, or an id that is in use");
    }
    lock.unlock();
    wire_.Finish(status);
  }

  // Under mutex_: what this pipe and all pipes hold.
  void Hold(size_t bytes) {
    request_bytes_ += bytes;
    pipes_->bytes_ += bytes;
  }
  void Release(size_t bytes) {
    request_bytes_ -= bytes;
    pipes_->bytes_ -= bytes;
  }
  void Queued(size_t bytes) {
    unsent_bytes_ += bytes;
    pipes_->bytes_ += bytes;
  }
  void Sent(size_t bytes) {
    unsent_bytes_ -= bytes;
    pipes_->bytes_ -= bytes;
  }

  const std::shared_ptr<Pipes> pipes_;
  const std::string connection_;
  std::shared_ptr<Pipe> self_;  // Until OnDone.
  ByteBuffer incoming_;
  PipeRequest request_;  // Used again for every request.
  ByteBuffer outgoing_;

  std::mutex mutex_;
  absl::flat_hash_map<uint64_t, InFlight> in_flight_;
  size_t request_bytes_ = 0;  // Of those in flight.
  PipeQueue queue_;
  size_t unsent_bytes_ = 0;  // In queue_ and being written.
  size_t writing_bytes_ = 0;
  steady_clock::time_point write_began_;
  bool flush_asked_ = false;
  bool reading_ = true;
  bool paused_ = false;  // Not read from until replies are taken.
  bool writing_ = false;
  bool read_closed_ = false;  // The client sends nothing more.
  bool broken_ = false;       // A rule was broken, or the connection.
  bool cancelled_ = false;
  bool cutting_off_ = false;
  bool finished_ = false;
};

std::shared_ptr<Pipes> Pipes::Make(const state_machine::Registry& registry,
                                   node::Dispatcher& dispatcher,
                                   std::chrono::milliseconds write_time_max) {
  return std::shared_ptr<Pipes>(new Pipes(registry, dispatcher, write_time_max));
}

Stream* Pipes::Open(Wire& wire) {
  auto pipe = std::make_shared<Pipe>(shared_from_this(), wire);
  std::lock_guard lock(mutex_);
  if (pipes_.size() >= bounds::kPipesMax) return nullptr;
  size_t& of_connection = of_connection_[pipe->connection()];
  if (of_connection >= bounds::kPipesPerConnectionMax) return nullptr;
  ++of_connection;
  pipe->Stay();
  pipes_.insert(pipe.get());
  if (watch_ == nullptr) Watch();
  return pipe.get();
}

void Pipes::Drain() {
  draining_ = true;
  for (const auto& pipe : All()) pipe->Drain();
}

std::vector<std::shared_ptr<Pipes::Pipe>> Pipes::All() const {
  std::vector<std::shared_ptr<Pipe>> all;
  std::lock_guard lock(mutex_);
  for (Pipe* pipe : pipes_) all.push_back(pipe->shared_from_this());
  return all;
}

size_t Pipes::open() const {
  std::lock_guard lock(mutex_);
  return pipes_.size();
}

void Pipes::Leave(Pipe* pipe) {
  std::lock_guard lock(mutex_);
  pipes_.erase(pipe);
  const auto of_connection = of_connection_.find(pipe->connection());
  if (--of_connection->second == 0) of_connection_.erase(of_connection);
}

void Pipes::Watch() {
  // One alarm each time: gRPC still runs the old one's function when it asks for the next.
  watch_ = std::make_unique<::grpc::Alarm>();
  watch_->Set(std::chrono::system_clock::now() + write_time_max_ / 4,
              [weak = weak_from_this()](bool ok) {
                if (auto self = weak.lock(); self && ok) self->CutOffStuck();
              });
}

void Pipes::CutOffStuck() {
  const auto now = steady_clock::now();
  for (const auto& pipe : All()) pipe->CutOffIfStuck(now, write_time_max_);
  std::lock_guard lock(mutex_);
  watch_.reset();
  if (!pipes_.empty()) Watch();
}

}  // namespace holdfast::api::grpc
