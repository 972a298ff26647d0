#include "tests/support/grpc_client.h"

#include <absl/synchronization/notification.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

namespace holdfast::testing {

GrpcClient::GrpcClient(const std::string& host, uint16_t port) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);  // Its own goes up to two minutes.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  stub_ = std::make_unique<grpc::GenericStub>(grpc::CreateCustomChannel(
      host + ":" + std::to_string(port), grpc::InsecureChannelCredentials(), arguments));
}

GrpcReply GrpcClient::Call(const std::string& method, const std::string& request,
                           const std::map<std::string, std::string>& metadata,
                           std::chrono::milliseconds timeout) {
  grpc::ClientContext context;
  for (const auto& [name, value] : metadata) context.AddMetadata(name, value);
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  const grpc::Slice slice(request);
  const grpc::ByteBuffer sent(&slice, 1);
  grpc::ByteBuffer answer;
  grpc::Status status;
  absl::Notification done;
  stub_->UnaryCall(&context, method, grpc::StubOptions(), &sent, &answer, [&](grpc::Status ended) {
    status = std::move(ended);
    done.Notify();
  });
  done.WaitForNotification();
  GrpcReply reply;
  reply.ok = status.ok();
  reply.message = status.error_message();
  for (const auto& [name, value] : context.GetServerTrailingMetadata()) {
    reply.trailer[{name.data(), name.size()}] = {value.data(), value.size()};
  }
  std::vector<grpc::Slice> slices;
  if (reply.ok && answer.Dump(&slices).ok()) {
    for (const grpc::Slice& part : slices) {
      reply.body.append(reinterpret_cast<const char*>(part.begin()), part.size());
    }
  }
  return reply;
}

}  // namespace holdfast::testing
