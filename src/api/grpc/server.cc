#include "src/api/grpc/server.h"

#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include "src/api/call.h"
#include "src/api/errors.h"
#include "src/api/grpc/buffers.h"
#include "src/api/grpc/health.h"
#include "src/api/grpc/pipe.h"
#include "src/api/grpc/pipe_frames.h"
#include "src/api/grpc/queues.h"
#include "src/api/grpc/reflection.h"
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

// The error as a status; what programs want to read goes into the trailing metadata.
Status ToStatus(const Error& error, Context& context) {
  context.AddTrailingMetadata("holdfast-code", ToString(error.code));
  // Metadata is printable ASCII; a path may hold a key of the caller's.
  const bool printable = std::all_of(error.field.begin(), error.field.end(),
                                     [](char c) { return c >= 0x20 && c <= 0x7E; });
  if (!error.field.empty() && printable && error.field.size() <= bounds::kGrpcStatusBytesMax) {
    context.AddTrailingMetadata("holdfast-field", error.field);
  }
  if (const uint32_t ms = RetryAfterMs(error); ms > 0) {
    context.AddTrailingMetadata("retry-after-ms", std::to_string(ms));
  }
  std::string message = DetailOf(error);
  if (const std::string hint = HintOf(error); !hint.empty()) Append(&message, " (", hint, ")");
  if (message.size() > bounds::kGrpcStatusBytesMax) message.resize(bounds::kGrpcStatusBytesMax);
  return {static_cast<StatusCode>(InfoOf(error.code).grpc_status), message};
}

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
  UnaryCall(Wire& wire, const Method& method, node::Dispatcher& dispatcher)
      : Stream(wire), method_(method), dispatcher_(dispatcher) {}

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

  void OnDone() override { delete this; }

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
    wire_.WriteAndFinish(ToBuffer(*reply.body));
  }

  const Method& method_;
  node::Dispatcher& dispatcher_;
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
    if (calls > calls_max) {
      dispatcher.NoteRefused(ErrorCode::kResourceExhausted);
      return new Refused(
          wire, Error{ErrorCode::kResourceExhausted, "this node has as many calls as it may have",
                      "", "end some of those that wait, or ask another node", 0});
    }
    const std::string& name = wire.context().method();
    if (const Method* method = registry.Find(name)) {
      if (std::optional<Error> refusal = dispatcher.Refusal(*method)) {
        return new Refused(wire, *std::move(refusal));
      }
      return new UnaryCall(wire, *method, dispatcher);
    }
    if (name == kPipeMethod) return OpenPipe(wire);
    if (Reflection::Serves(name)) return new ReflectionStream(wire, reflection);
    if (Stream* asks = health.Open(wire)) return asks;
    return new Refused(wire, Error{ErrorCode::kUnimplemented, "there is no method " + name, "",
                                   "ask reflection for those that there are", 0});
  }

  Stream* OpenPipe(Wire& wire) const {
    if (Stream* pipe = pipes->Open(wire)) return pipe;
    return new Refused(
        wire, Error{ErrorCode::kResourceExhausted, "this node has as many pipes as it may have", "",
                    "share one client among the threads of a program, or ask another node", 0});
  }

  const state_machine::Registry& registry;
  node::Dispatcher& dispatcher;
  const Reflection reflection;
  Health health;
  const std::shared_ptr<Pipes> pipes;
  const size_t calls_max;
  int port = 0;
  std::unique_ptr<Queues> queues;          // Stopped before the server is destroyed.
  std::unique_ptr<::grpc::Server> server;  // Last: destroyed before what it calls.
};

Server::Server(std::unique_ptr<Core> core) : core_(std::move(core)) {}

Server::~Server() { Stop(std::chrono::milliseconds(0)); }

uint16_t Server::port() const { return static_cast<uint16_t>(core_->port); }

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                              const state_machine::Registry& registry,
                                              node::Dispatcher& dispatcher) {
  auto core = std::make_unique<Core>(registry, dispatcher, options);
  ::grpc::ResourceQuota quota("holdfast-api");
  quota.Resize(bounds::kGrpcMemoryBytesMax);
  quota.SetMaxThreads(bounds::kGrpcThreadsMax);
  ::grpc::ServerBuilder builder;
  builder.SetResourceQuota(quota);
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
  // Two processes on one port would each get some of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  const std::string address = Cat(options.address, ":", options.port);
  builder.AddListeningPort(address, ::grpc::InsecureServerCredentials(), &core->port);
  core->queues = std::make_unique<Queues>(
      builder, options.step_time_max,
      [at = core.get()](Wire& wire, size_t calls) { return at->Open(wire, calls); });
  core->server = builder.BuildAndStart();
  if (core->server == nullptr || core->port == 0) {
    return Fail(Error{ErrorCode::kUnavailable, "cannot listen for gRPC on " + address, "",
                      "check that the address is this machine's and the port is free", 0});
  }
  core->queues->Start();
  return std::unique_ptr<Server>(new Server(std::move(core)));
}

void Server::SetServing(bool serving) { core_->health.Set(serving); }

void Server::Stop(std::chrono::milliseconds grace) {
  core_->pipes->Drain();
  core_->health.Close();
  core_->server->Shutdown(std::chrono::system_clock::now() + grace);
  core_->server->Wait();
  core_->queues->Stop();
}

}  // namespace holdfast::api::grpc
