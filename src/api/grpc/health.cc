#include "src/api/grpc/health.h"

#include <utility>

#include "src/api/grpc/buffers.h"
#include "src/base/bounds.h"

namespace holdfast::api::grpc {
namespace {

using ::grpc::ByteBuffer;
using ::grpc::StatusCode;
using ::grpc::health::v1::HealthCheckRequest;
using ::grpc::health::v1::HealthCheckResponse;

constexpr char kCheck[] = "/grpc.health.v1.Health/Check";
constexpr char kWatch[] = "/grpc.health.v1.Health/Watch";
constexpr size_t kServiceBytesMax = bounds::kIdempotencyKeyBytesMax;  // No name is longer.

::grpc::Status NotUnderstood() {
  return {StatusCode::INVALID_ARGUMENT,
          "the bytes are not a valid " + HealthCheckRequest::descriptor()->full_name()};
}

ByteBuffer ReplyOf(HealthCheckResponse::ServingStatus status) {
  HealthCheckResponse reply;
  reply.set_status(status);
  return ToBuffer(reply.SerializeAsString());
}

}  // namespace

class Health::Check : public Stream {
 public:
  Check(Wire& wire, const Health& health) : Stream(wire), health_(health) {}

  void Start() override { wire_.Read(&request_); }
  void OnReadDone(bool ok) override {
    HealthCheckRequest request;
    if (!ok || !Parse(request_, &request)) return wire_.Finish(NotUnderstood());
    Status status;
    {
      std::lock_guard lock(health_.mutex_);
      status = health_.Of(request.service());
    }
    if (status == HealthCheckResponse::SERVICE_UNKNOWN) {
      return wire_.Finish(::grpc::Status(StatusCode::NOT_FOUND, "there is no such service"));
    }
    wire_.WriteAndFinish(ReplyOf(status));
  }
  void OnDone() override { delete this; }

 private:
  const Health& health_;
  ByteBuffer request_;
};

// All of it but the wire is under the health's mutex.
class Health::Watch : public Stream {
 public:
  Watch(Wire& wire, Health& health) : Stream(wire), health_(health) {}

  void Start() override { wire_.Read(&request_); }
  void OnReadDone(bool ok) override {
    HealthCheckRequest request;
    if (!ok || !Parse(request_, &request)) return wire_.Finish(NotUnderstood());
    request_.Clear();  // It stays for as long as the watch.
    if (request.service().size() > kServiceBytesMax) return wire_.Finish(NotUnderstood());
    std::unique_lock lock(health_.mutex_);
    if (health_.watches_.size() >= bounds::kPipesMax) {
      lock.unlock();
      return wire_.Finish(ToStatus({ErrorCode::kResourceExhausted,
                                    "too many watch this node's health", "", "ask another node", 0},
                                   wire_.context()));
    }
    service_ = request.service();
    health_.watches_.insert(this);
    Go();
  }
  void OnWriteDone(bool ok) override {
    std::lock_guard lock(health_.mutex_);
    writing_ = false;
    broken_ |= !ok;
    Go();
  }
  void OnCancel() override {
    std::lock_guard lock(health_.mutex_);
    broken_ = true;
    if (health_.watches_.count(this) > 0) Go();
  }
  void OnDone() override { delete this; }

  // Tells what it has not told yet, or ends; a write that is under way comes back here.
  void Go() {
    if (writing_ || finished_) return;
    if (broken_ || health_.closed_) {
      finished_ = true;
      health_.watches_.erase(this);
      return wire_.Finish(broken_ ? ::grpc::Status::CANCELLED
                                  : ::grpc::Status(StatusCode::UNAVAILABLE, "this node stops"));
    }
    const Status now = health_.Of(service_);
    if (now == told_) return;
    told_ = now;
    writing_ = true;
    wire_.Write(ReplyOf(now));
  }

 private:
  Health& health_;
  ByteBuffer request_;
  std::string service_;
  Status told_ = HealthCheckResponse::UNKNOWN;
  bool writing_ = false;
  bool broken_ = false;
  bool finished_ = false;
};

Health::Health(const state_machine::Registry& registry) {
  services_.insert("");
  for (const auto& method : registry.methods()) {
    services_.insert(method->descriptor->service()->full_name());
  }
}

bool Health::Serves(const std::string& method) { return method == kCheck || method == kWatch; }

Stream* Health::Open(Wire& wire) {
  const std::string& name = wire.context().method();
  if (name == kCheck) return new Check(wire, *this);
  if (name == kWatch) return new Watch(wire, *this);
  return nullptr;
}

void Health::Set(bool serving) {
  std::lock_guard lock(mutex_);
  if (std::exchange(serving_, serving) == serving) return;
  Tell();
}

void Health::Close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  Tell();
}

void Health::Tell() {
  const std::set<Watch*> all = watches_;  // One that ends leaves.
  for (Watch* watch : all) watch->Go();
}

Health::Status Health::Of(const std::string& service) const {
  if (services_.count(service) == 0) return HealthCheckResponse::SERVICE_UNKNOWN;
  return serving_ && !closed_ ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
}

}  // namespace holdfast::api::grpc
