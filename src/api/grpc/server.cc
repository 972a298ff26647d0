#include "src/api/grpc/server.h"

#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include "src/api/call.h"
#include "src/api/errors.h"
#include "src/api/grpc/buffers.h"
#include "src/api/grpc/health.h"
#include "src/api/grpc/listener.h"
#include "src/api/grpc/pipe.h"
#include "src/api/grpc/pipe_frames.h"
#include "src/api/grpc/queues.h"
#include "src/api/grpc/reflection.h"
#include "src/api/grpc/status.h"
#include "src/api/text.h"
#include "src/base/bounds.h"

namespace holdfast::api::grpc {
namespace {

using ::grpc::ByteBuffer;
using ::grpc::Slice;
using ::grpc::Status;
using ::grpc::StatusCode;
using state_machine::Method;
using Context = ::grpc::GenericServerContext;
using Taker = ::grpc::experimental::ExternalConnectionAcceptor;

// A call that is refused before it begins.
class Refused : public Stream {
 public:
  Refused(Wire& wire, Error error) : Stream(wire), error_(std::move(error)) {}
  void Start() override { wire_.Finish(ToStatus(error_, wire_.context())); }
  void OnDone() override { delete this; }

 private:
  const Error error_;
};

// One unary call. Finish is called by whoever comes first: the reply or the cancellation. The reply
// finds out through `Open`, which it shares, so it never touches a call that is gone:
//
//   OnReadDone -> Dispatcher::Call ... reply --.
//   client gives up -> OnCancel ---------------+--> Open::Take: the first one finishes
//                                                   the other one does nothing
class UnaryCall : public Stream {
 public:
  // `unsent`: bytes of all calls' replies that are on their way out.
  UnaryCall(Wire& wire, const Method& method, node::Dispatcher& dispatcher,
            std::atomic<size_t>& unsent)
      : Stream(wire), method_(method), dispatcher_(dispatcher), unsent_(unsent) {}

  void Start() override { wire_.Read(&request_); }

  void OnReadDone(bool ok) override {
    if (!ok) {
      return Refuse(InvalidArgument("", Cat("the call brought no readable request of at most ",
                                            bounds::kRequestBytesMax, " bytes")));
    }
    Result<std::string> bytes = Decode();
    if (!bytes) return Refuse(bytes.error());
    Result<node::CallOptions> options = Options();
    if (!options) return Refuse(options.error());
    if (method_.wait_ms != nullptr) {
      options->gone = std::shared_ptr<const std::atomic<bool>>(open_, &open_->taken);
    }
    const bool stale = method_.kind() == READ && options->consistency == node::Consistency::kStale;
    dispatcher_.Call(
        method_, *std::move(bytes), *std::move(options),
        [this, stale, open = open_](node::Reply reply) {
          if (!open->Take()) return;
          // Who replies has better things to do than to write to a socket.
          wire_.Post([this, stale, reply = std::move(reply)] { Complete(reply, stale); });
        });
  }

  void OnCancel() override {
    if (open_->Take()) wire_.Finish(Status(StatusCode::CANCELLED, "cancelled by the client"));
  }

  void OnLate() override { Refuse(BroughtNoRequest()); }

  void OnDone() override {
    unsent_ -= bytes_;
    delete this;
  }

 private:
  struct Open {
    std::atomic<bool> taken{false};
    bool Take() { return !taken.exchange(true); }
  };

  Result<std::string> Decode() {
    const Slice bytes = Flat(request_);
    request_.Clear();
    return EncodeRequest(method_, View(bytes));
  }

  Result<node::CallOptions> Options() const {
    CallWords words;
    const std::pair<std::string_view, std::optional<std::string_view>*> known[] = {
        {kIdempotencyKeyName, &words.idempotency_key},
        {kAfterName, &words.after},
        {kConsistencyName, &words.consistency}};
    const auto& metadata = wire_.context().client_metadata();
    for (const auto& [name, place] : known) {
      const auto [first, last] = metadata.equal_range(::grpc::string_ref(name.data(), name.size()));
      if (first == last) continue;
      if (std::next(first) != last) {
        return Fail(InvalidArgument(std::string(name), "appears more than once"));
      }
      *place = std::string_view(first->second.data(), first->second.size());
    }
    const auto now = std::chrono::steady_clock::now();
    Result<node::CallOptions> options = ParseCallWords(method_, words, now);
    // gRPC counts a deadline on the wall clock; none is the end of time.
    const auto deadline = wire_.context().deadline();
    if (options && deadline != std::chrono::system_clock::time_point::max()) {
      options->deadline = now + TimeToAnswerIn(deadline - std::chrono::system_clock::now());
      options->default_deadline = false;
    }
    return options;
  }

  void Refuse(const Error& error) {
    dispatcher_.NoteRefused(error.code);
    if (open_->Take()) wire_.Finish(ToStatus(error, wire_.context()));
  }

  // Only for the one that has taken the call.
  void Complete(const node::Reply& reply, bool stale) {
    Context& context = wire_.context();
    if (reply.position != LogIndex()) {
      context.AddTrailingMetadata(std::string(kPositionName), reply.position.ToString());
    }
    if (reply.replayed) context.AddTrailingMetadata(std::string(kReplayedName), "true");
    if (stale) {
      context.AddTrailingMetadata(std::string(kAgeMsName), std::to_string(reply.age.count()));
    }
    if (!reply.body) return wire_.Finish(ToStatus(reply.body.error(), context));
    bytes_ = reply.body->size();
    const bool too_many = (unsent_ += bytes_) > bounds::kGrpcRepliesBytesMax;
    if (too_many && method_.kind() == READ) {
      const Error error{ErrorCode::kResourceExhausted,
                        "too many replies are on their way to clients that do not take them", "",
                        "try again", 0};
      unsent_ -= std::exchange(bytes_, 0);
      dispatcher_.NoteRefused(error.code);
      return wire_.Finish(ToStatus(error, context));
    }
    wire_.WriteAndFinish(ToBuffer(*reply.body));
  }

  const Method& method_;
  node::Dispatcher& dispatcher_;
  std::atomic<size_t>& unsent_;
  size_t bytes_ = 0;  // Of its own reply.
  const std::shared_ptr<Open> open_ = std::make_shared<Open>();
  ByteBuffer request_;
};

// A stream of questions, each answered before the next is read.
class ReflectionStream : public Stream {
 public:
  ReflectionStream(Wire& wire, const Reflection& reflection)
      : Stream(wire), reflection_(reflection) {}

  void Start() override { wire_.Read(&request_); }

  void OnReadDone(bool ok) override {
    if (!ok) return wire_.Finish(Status::OK);  // The client has asked all it wanted, or went away.
    ::grpc::reflection::v1alpha::ServerReflectionRequest request;
    if (!Parse(request_, &request)) {
      return wire_.Finish(
          Status(StatusCode::INVALID_ARGUMENT,
                 "the bytes are not a valid " + request.GetDescriptor()->full_name()));
    }
    wire_.Write(ToBuffer(reflection_.Answer(request).SerializeAsString()));
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return wire_.Finish(Status::CANCELLED);
    wire_.Read(&request_);
  }

  void OnDone() override { delete this; }

 private:
  const Reflection& reflection_;
  ByteBuffer request_;
};

}  // namespace

struct Server::Core {
  Core(const state_machine::Registry& r, node::Dispatcher& d, const ServerOptions& options)
      : registry(r),
        dispatcher(d),
        reflection(r),
        health(r),
        pipes(Pipes::Make(r, options.pipe == nullptr ? d : *options.pipe,
                          options.pipe_write_time_max)),
        calls_max(options.calls_max) {}

  Stream* Open(Wire& wire, size_t calls) {
    const std::string& name = wire.context().method();
    const bool is_pipe = name == kPipeMethod;
    // Those that wait keep no pipe out, and nobody who asks for the node's health.
    const size_t spare = is_pipe || Health::Serves(name) ? 2 * bounds::kPipesMax : 0;
    if (calls > calls_max + spare) {
      return Refuse(wire, "this node has as many calls as it may have",
                    "end some of those that wait, or ask another node");
    }
    if (const Method* method = registry.Find(name)) {
      if (std::optional<Error> refusal = dispatcher.Refusal(*method)) {
        return new Refused(wire, *std::move(refusal));
      }
      return new UnaryCall(wire, *method, dispatcher, unsent);
    }
    if (is_pipe) return OpenPipe(wire);
    if (Reflection::Serves(name)) return new ReflectionStream(wire, reflection);
    if (Stream* asks = health.Open(wire)) return asks;
    return new Refused(wire, Error{ErrorCode::kUnimplemented, "there is no method " + name, "",
                                   "ask reflection for those that there are", 0});
  }

  Stream* OpenPipe(Wire& wire) const {
    if (Stream* pipe = pipes->Open(wire)) return pipe;
    return Refuse(wire, "this node has as many pipes as it may have, or this connection has",
                  "share one client among the threads of a program, or ask another node");
  }
  Stream* Refuse(Wire& wire, const char* why, const char* hint) const {
    dispatcher.NoteRefused(ErrorCode::kResourceExhausted);
    return new Refused(wire, Error{ErrorCode::kResourceExhausted, why, "", hint, 0});
  }

  const state_machine::Registry& registry;
  node::Dispatcher& dispatcher;
  const Reflection reflection;
  Health health;
  const std::shared_ptr<Pipes> pipes;
  const size_t calls_max;
  std::atomic<size_t> unsent{0};
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Queues> queues;          // Stopped before the server is destroyed.
  std::unique_ptr<::grpc::Server> server;  // Last: destroyed before what it calls.
};

Server::Server(std::unique_ptr<Core> core) : core_(std::move(core)) {}

Server::~Server() { Stop(std::chrono::milliseconds(0)); }

uint16_t Server::port() const { return core_->listener->port(); }

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                              const state_machine::Registry& registry,
                                              node::Dispatcher& dispatcher) {
  auto core = std::make_unique<Core>(registry, dispatcher, options);
  ::grpc::ResourceQuota quota("holdfast-api");
  quota.Resize(bounds::kGrpcMemoryBytesMax);
  quota.SetMaxThreads(bounds::kGrpcThreadsMax);
  ::grpc::ServerBuilder builder;
  builder.SetResourceQuota(quota);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, bounds::kGrpcIdleMs);
  // Of the pipe; that a unary request is smaller is seen to by EncodeRequest.
  builder.SetMaxReceiveMessageSize(static_cast<int>(bounds::kPipeMessageBytesMax));
  builder.SetMaxSendMessageSize(static_cast<int>(bounds::kPipeMessageBytesMax));
  // Idle pipes are asked for a sign of life by their clients.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1'000);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, bounds::kGrpcStreamsPerConnectionMax);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE,
                             static_cast<int>(bounds::kHttpHeaderBytesMax));
  // Whoever vanished, or never begins, is not kept.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, bounds::kGrpcKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, bounds::kGrpcKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, bounds::kGrpcHandshakeMsMax);
  std::shared_ptr<Taker> taker = builder.experimental().AddExternalConnectionAcceptor(
      ::grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      ::grpc::InsecureServerCredentials());
  core->queues = std::make_unique<Queues>(
      builder, options.step_time_max,
      [at = core.get()](Wire& wire, size_t calls) { return at->Open(wire, calls); });
  auto listener = Listener::Open(options.address, options.port);
  if (!listener) return Fail(listener.error());
  core->listener = *std::move(listener);
  core->server = builder.BuildAndStart();
  if (core->server == nullptr) {
    return Fail(Error{ErrorCode::kUnavailable, "cannot start to serve gRPC", "", "", 0});
  }
  core->queues->Start();
  core->listener->Start(options.files_max, [taker = std::move(taker)](int connection) {
    Taker::NewConnectionParameters parameters;
    parameters.fd = connection;
    taker->HandleNewConnection(&parameters);
  });
  return std::unique_ptr<Server>(new Server(std::move(core)));
}

void Server::SetServing(bool serving) { core_->health.Set(serving); }

void Server::Stop(std::chrono::milliseconds grace) {
  core_->listener->Stop();
  core_->pipes->Drain();
  core_->health.Close();
  core_->server->Shutdown(std::chrono::system_clock::now() + grace);
  core_->server->Wait();
  core_->queues->Stop();
}

}  // namespace holdfast::api::grpc
