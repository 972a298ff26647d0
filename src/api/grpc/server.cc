#include "src/api/grpc/server.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include "src/api/call.h"
#include "src/api/errors.h"
#include "src/api/grpc/pipe.h"
#include "src/api/grpc/pipe_frames.h"
#include "src/api/grpc/reflection.h"
#include "src/api/grpc/unary.h"
#include "src/api/text.h"
#include "src/base/bounds.h"

namespace holdfast::api::grpc {
namespace {

using ::grpc::ByteBuffer;
using ::grpc::ServerGenericBidiReactor;
using ::grpc::Slice;
using ::grpc::Status;
using ::grpc::StatusCode;

bool Flatten(const ByteBuffer& buffer, std::string* out) {
  std::vector<Slice> slices;
  if (!buffer.Dump(&slices).ok()) return false;
  out->clear();
  out->reserve(buffer.Length());
  for (const Slice& slice : slices) {
    out->append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return true;
}

ByteBuffer ToBuffer(const std::string& bytes) {
  const Slice slice(bytes);
  return ByteBuffer(&slice, 1);
}

// A stream that is refused before it begins.
class Refusal : public ServerGenericBidiReactor {
 public:
  explicit Refusal(Status status) { Finish(std::move(status)); }
  void OnDone() override { delete this; }
};

// A stream of questions, each answered before the next is read.
class ReflectionStream : public ServerGenericBidiReactor {
 public:
  explicit ReflectionStream(const Reflection& reflection) : reflection_(reflection) {
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(Status::OK);  // The client has asked all it wanted, or went away.
    std::string bytes;
    ::grpc::reflection::v1alpha::ServerReflectionRequest request;
    if (!Flatten(request_, &bytes) || !request.ParseFromString(bytes)) {
      return Finish(Status(StatusCode::INVALID_ARGUMENT,
                           "the bytes are not a valid " + request.GetDescriptor()->full_name()));
    }
    reply_ = ToBuffer(reflection_.Answer(request).SerializeAsString());
    StartWrite(&reply_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(Status::CANCELLED);
    StartRead(&request_);
  }

  void OnDone() override { delete this; }

 private:
  const Reflection& reflection_;
  ByteBuffer request_;
  ByteBuffer reply_;
};

}  // namespace

// The methods that are streams, by name, each served by what `open` makes.
class Streams : public ::grpc::Service {
 public:
  using Open = std::function<ServerGenericBidiReactor*(::grpc::CallbackServerContext*)>;

  void Add(const char* method, Open open) {
    AddMethod(new ::grpc::internal::RpcServiceMethod(
        method, ::grpc::internal::RpcMethod::BIDI_STREAMING, nullptr));
    MarkMethodRawCallback(
        count_++,
        new ::grpc::internal::CallbackBidiHandler<ByteBuffer, ByteBuffer>(std::move(open)));
  }

 private:
  int count_ = 0;
};

struct Server::Core {
  Core(const state_machine::Registry& r, node::Dispatcher& d, const ServerOptions& options)
      : registry(r),
        reflection(r),
        pipes(Pipes::Make(r, options.pipe == nullptr ? d : *options.pipe,
                          options.pipe_write_time_max)) {
    streams.Add(kPipeMethod,
                [this](::grpc::CallbackServerContext* context) { return OpenPipe(context); });
    for (const char* name : Reflection::kMethods) {
      streams.Add(name, [this](::grpc::CallbackServerContext*) -> ServerGenericBidiReactor* {
        return new ReflectionStream(reflection);
      });
    }
  }

  ServerGenericBidiReactor* OpenPipe(::grpc::CallbackServerContext* context) const {
    if (ServerGenericBidiReactor* pipe = pipes->Open(context)) return pipe;
    Error error{ErrorCode::kResourceExhausted, "this node has as many pipes as it may have", "",
                "share one client among the threads of a program, or ask another node", 0};
    return new Refusal(ToStatus(error, context));
  }

  const state_machine::Registry& registry;
  const Reflection reflection;
  const std::shared_ptr<Pipes> pipes;
  Streams streams;
  std::unique_ptr<UnaryCalls> calls;
  int port = 0;
  std::unique_ptr<::grpc::Server> server;  // Last: destroyed before what it calls.
};

Server::Server(std::unique_ptr<Core> core) : core_(std::move(core)) {}

Server::~Server() { Stop(std::chrono::milliseconds(0)); }

uint16_t Server::port() const { return static_cast<uint16_t>(core_->port); }

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                              const state_machine::Registry& registry,
                                              node::Dispatcher& dispatcher) {
  auto core = std::make_unique<Core>(registry, dispatcher, options);
  ::grpc::EnableDefaultHealthCheckService(true);
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
  builder.RegisterService(&core->streams);
  core->calls = std::make_unique<UnaryCalls>(builder, registry, dispatcher);
  core->server = builder.BuildAndStart();
  if (core->server == nullptr || core->port == 0) {
    return Fail(Error{ErrorCode::kUnavailable, "cannot listen for gRPC on " + address, "",
                      "check that the address is this machine's and the port is free", 0});
  }
  core->calls->Start();
  std::unique_ptr<Server> server(new Server(std::move(core)));
  server->SetServing(false);
  return server;
}

void Server::SetServing(bool serving) {
  ::grpc::HealthCheckServiceInterface* health = core_->server->GetHealthCheckService();
  health->SetServingStatus("", serving);
  std::set<std::string> names;
  for (const auto& method : core_->registry.methods()) {
    names.insert(method->descriptor->service()->full_name());
  }
  for (const std::string& name : names) health->SetServingStatus(name, serving);
}

void Server::Stop(std::chrono::milliseconds grace) {
  core_->pipes->Drain();
  core_->server->Shutdown(std::chrono::system_clock::now() + grace);
  core_->server->Wait();
  core_->calls->Stop();  // What its queues still hold is looked at by the server.
}

}  // namespace holdfast::api::grpc
