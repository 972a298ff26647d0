#include "tests/faults/door.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <mutex>

#include "holdfast/options.pb.h"
#include "src/api/call.h"
#include "src/api/json.h"
#include "src/api/route.h"
#include "tests/support/grpc_client.h"
#include "tests/support/http_client.h"

namespace holdfast::faults {
namespace {

using std::chrono::milliseconds;

ErrorCode CodeOf(const std::string& word) {
  for (int code = 1; code <= static_cast<int>(ErrorCode::kInternal); ++code) {
    if (word == ToString(static_cast<ErrorCode>(code))) return static_cast<ErrorCode>(code);
  }
  return ErrorCode::kInternal;
}

Error NoAnswer(const std::string& what) {
  return Error{ErrorCode::kOutcomeUnknown, what, "", "", 0};
}

using Words = std::map<std::string, std::string>;

Words WordsOf(const Ask& ask, LogIndex session) {
  Words words;
  words[std::string(api::kTimeoutMsName)] = std::to_string(ask.options.timeout.count());
  if (!ask.options.idempotency_key.empty()) {
    words[std::string(api::kIdempotencyKeyName)] = ask.options.idempotency_key;
    return words;
  }
  words[std::string(api::kConsistencyName)] = TextOf(ask.options.consistency);
  const LogIndex after = std::max(session, ask.options.after);
  if (ask.options.consistency == Consistency::kSession && after.value != 0) {
    words[std::string(api::kAfterName)] = after.ToString();
  }
  return words;
}

// Beside the body: the position, and whether it is a stored answer.
client::Reply ReplyOf(const Words& words) {
  client::Reply reply;
  const auto position = words.find(std::string(api::kPositionName));
  if (position != words.end()) {
    const std::string& text = position->second;
    std::from_chars(text.data(), text.data() + text.size(), reply.position.value);
  }
  const auto replayed = words.find(std::string(api::kReplayedName));
  reply.replayed = replayed != words.end() && replayed->second == "true";
  return reply;
}

const google::protobuf::MethodDescriptor& Descriptor(const std::string& method) {
  static const auto* service =
      google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
          "holdfast.ledger.Ledger");
  return *service->FindMethodByName(method);
}

class PipeDoor : public Door {
 public:
  explicit PipeDoor(const std::vector<Address>& nodes)
      : client_(Endpoints(nodes), ClientOptions()) {}
  const char* name() const override { return "pipe"; }
  Result<client::Reply> Call(const Ask& ask) override {
    auto reply = client_.Call(PathOf(ask.method), ask.request->SerializeAsString(), ask.options);
    if (reply) Saw(reply->position);
    return reply;
  }

 private:
  static std::vector<std::string> Endpoints(const std::vector<Address>& nodes) {
    std::vector<std::string> endpoints;
    for (const Address& node : nodes) endpoints.push_back(node.endpoint());
    return endpoints;
  }
  client::Client client_;
};

class GrpcDoor : public Door {
 public:
  explicit GrpcDoor(Address node) : node_(std::move(node)) {}
  const char* name() const override { return "grpc"; }
  Result<client::Reply> Call(const Ask& ask) override {
    const std::shared_ptr<testing::GrpcClient> client = Client();
    const auto answer = client->Call(PathOf(ask.method), ask.request->SerializeAsString(),
                                     WordsOf(ask, position()), ask.options.timeout);
    if (!answer.ok) {
      const std::string code = answer.Trailer("holdfast-code");
      if (!code.empty()) return Fail(Error{CodeOf(code), answer.message, "", "", 0});
      // Behind a connection that was cut gRPC waits for TCP; a new one is quicker.
      std::lock_guard lock(mutex_);
      if (client_ == client) client_.reset();
      return Fail(NoAnswer(answer.message));
    }
    client::Reply reply = ReplyOf(answer.trailer);
    reply.body = answer.body;
    Saw(reply.position);
    return reply;
  }

 private:
  std::shared_ptr<testing::GrpcClient> Client() {
    std::lock_guard lock(mutex_);
    if (!client_) client_ = std::make_shared<testing::GrpcClient>(node_.host, node_.grpc);
    return client_;
  }
  const Address node_;
  std::mutex mutex_;
  std::shared_ptr<testing::GrpcClient> client_;
};

class HttpDoor : public Door {
 public:
  explicit HttpDoor(Address node) : node_(std::move(node)) {}
  const char* name() const override { return "http"; }
  Result<client::Reply> Call(const Ask& ask) override {
    const Route& rule = Descriptor(ask.method).options().GetExtension(holdfast::method).http(0);
    std::unique_ptr<testing::HttpClient> client = Take();
    client->SetTimeout(ask.options.timeout);
    const Words words = WordsOf(ask, position());
    const api::RouteParts parts = api::PartsOf(rule);
    const std::string target = Target(parts, *ask.request);
    const std::string body = parts.takes_body ? api::ToJson(*ask.request) : "";
    const testing::HttpReply answer = client->Send(std::string(parts.verb), target, body, words);
    if (answer.status == 0) return Fail(NoAnswer("no answer over HTTP"));
    PutBack(std::move(client));
    const auto type = answer.headers.find("content-type");
    if (type == answer.headers.end() || !type->second.starts_with("application/json")) {
      return Fail(Error{CodeOf(testing::JsonField(answer.body, "code")), answer.body, "", "", 0});
    }
    std::unique_ptr<google::protobuf::Message> message(
        google::protobuf::MessageFactory::generated_factory()
            ->GetPrototype(Descriptor(ask.method).output_type())
            ->New());
    if (const auto parsed = api::ParseJson(answer.body, message.get()); !parsed) {
      return Fail(Error{
          ErrorCode::kInternal,
          "a reply over HTTP does not parse: " + parsed.error().message + " in " + answer.body, "",
          "", 0});
    }
    client::Reply reply = ReplyOf(answer.headers);
    reply.body = message->SerializeAsString();
    Saw(reply.position);
    return reply;
  }

 private:
  // "/v1/ledger/accounts/{id}" with the request's field; ids of the load need no encoding.
  static std::string Target(const api::RouteParts& route,
                            const google::protobuf::Message& request) {
    std::string target = route.path;
    for (size_t open; (open = target.find('{')) != std::string::npos;) {
      const size_t close = target.find('}', open);
      const auto* field =
          request.GetDescriptor()->FindFieldByName(target.substr(open + 1, close - open - 1));
      target.replace(open, close + 1 - open, api::FieldText(request, field));
    }
    return target;
  }
  // A connection for each call that is under way.
  std::unique_ptr<testing::HttpClient> Take() {
    std::lock_guard lock(mutex_);
    if (idle_.empty()) {
      return std::make_unique<testing::HttpClient>(node_.host, node_.http, milliseconds(1'000));
    }
    auto client = std::move(idle_.back());
    idle_.pop_back();
    return client;
  }
  void PutBack(std::unique_ptr<testing::HttpClient> client) {
    std::lock_guard lock(mutex_);
    idle_.push_back(std::move(client));
  }
  const Address node_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<testing::HttpClient>> idle_;
};

}  // namespace

void Door::Saw(LogIndex position) {
  uint64_t known = position_.load();
  while (known < position.value && !position_.compare_exchange_weak(known, position.value)) {
    continue;
  }
}

std::unique_ptr<Door> MakePipeDoor(const std::vector<Address>& nodes) {
  return std::make_unique<PipeDoor>(nodes);
}
std::unique_ptr<Door> MakeGrpcDoor(const Address& node) { return std::make_unique<GrpcDoor>(node); }
std::unique_ptr<Door> MakeHttpDoor(const Address& node) { return std::make_unique<HttpDoor>(node); }

client::Options ClientOptions() {
  client::Options options;
  options.attempt_timeout = milliseconds(1'000);
  options.connect_timeout = milliseconds(500);
  return options;
}

std::string PathOf(const std::string& method) { return "/holdfast.ledger.Ledger/" + method; }

const char* TextOf(Consistency consistency) {
  switch (consistency) {
    case Consistency::kSession: return "session";
    case Consistency::kLinearizable: return "linearizable";
    case Consistency::kStale: return "stale";
  }
  return "";
}

}  // namespace holdfast::faults
