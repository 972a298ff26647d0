#include "src/client/client.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include "src/api/testing/shop.pb.h"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;

constexpr char kRead[] = "/holdfast.api.testing.Shop/Get";
constexpr char kWrite[] = "/holdfast.api.testing.Shop/Create";

// A call as a node saw it.
struct Seen {
  std::string method;
  std::string body;
  std::map<std::string, std::string> metadata;
};

// What a node answers.
struct Answer {
  grpc::Status status;
  std::string body;
  std::map<std::string, std::string> trailing;
  bool never = false;  // Keeps the caller waiting until the node stops or the caller gives up.
};

Answer Fails(grpc::StatusCode status, ErrorCode code, const std::string& message = "no") {
  return {grpc::Status(status, message), "", {{"holdfast-code", ToString(code)}}};
}
Answer Unavailable() { return Fails(grpc::UNAVAILABLE, ErrorCode::kUnavailable); }
Answer Unknown() { return Fails(grpc::DEADLINE_EXCEEDED, ErrorCode::kOutcomeUnknown); }

// A node that answers by a script: one function for all calls, which runs one at a time.
class FakeNode : public grpc::CallbackGenericService {
 public:
  using Script = std::function<Answer(const Seen&)>;

  explicit FakeNode(Script script) : script_(std::move(script)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterCallbackGenericService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeNode() override { Stop(); }

  void Stop() {
    if (server_ == nullptr) return;
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_.reset();
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::vector<Seen> seen() const {
    std::lock_guard lock(mutex_);
    return seen_;
  }
  size_t calls() const { return seen().size(); }
  void WaitForCall() {
    std::unique_lock lock(mutex_);
    called_.wait(lock, [this] { return !seen_.empty(); });
  }

 private:
  class Reactor : public grpc::ServerGenericBidiReactor {
   public:
    Reactor(FakeNode& node, grpc::GenericCallbackServerContext* context)
        : node_(node), context_(context) {
      StartRead(&buffer_);
    }
    void OnReadDone(bool /*ok*/) override {
      Seen seen;
      seen.method = context_->method();
      std::vector<grpc::Slice> slices;
      if (!buffer_.Dump(&slices).ok()) return Finish(grpc::Status::CANCELLED);
      for (const auto& slice : slices) {
        seen.body.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
      }
      for (const auto& [name, value] : context_->client_metadata()) {
        seen.metadata[{name.data(), name.size()}] = {value.data(), value.size()};
      }
      const Answer answer = node_.Take(seen);
      if (answer.never) return;
      for (const auto& [name, value] : answer.trailing) context_->AddTrailingMetadata(name, value);
      if (!answer.status.ok()) return End(answer.status);
      const grpc::Slice slice(answer.body);
      reply_ = grpc::ByteBuffer(&slice, 1);
      if (!ended_.exchange(true)) {
        StartWriteAndFinish(&reply_, grpc::WriteOptions(), grpc::Status::OK);
      }
    }
    void OnCancel() override { End(grpc::Status::CANCELLED); }
    void OnDone() override { delete this; }

   private:
    void End(const grpc::Status& status) {
      if (!ended_.exchange(true)) Finish(status);
    }
    FakeNode& node_;
    grpc::GenericCallbackServerContext* context_;
    grpc::ByteBuffer buffer_;
    grpc::ByteBuffer reply_;
    std::atomic<bool> ended_{false};
  };

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    return new Reactor(*this, context);
  }
  Answer Take(const Seen& seen) {
    std::lock_guard lock(mutex_);
    seen_.push_back(seen);
    called_.notify_all();
    return script_(seen);
  }

  const Script script_;
  mutable std::mutex mutex_;
  std::condition_variable called_;
  std::vector<Seen> seen_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// Answers with the request's own bytes.
Answer Echo(const Seen& seen) { return {grpc::Status::OK, seen.body, {}}; }

// The answers in turn, then echoes.
FakeNode::Script InTurn(std::vector<Answer> answers) {
  auto next = std::make_shared<size_t>(0);
  return [answers = std::move(answers), next](const Seen& seen) {
    return *next < answers.size() ? answers[(*next)++] : Echo(seen);
  };
}

Options Quick() {
  Options options;
  options.timeout = milliseconds(5'000);
  options.attempt_timeout = milliseconds(150);
  options.pause_min = milliseconds(1);
  options.pause_max = milliseconds(5);
  return options;
}
Options WithoutKeys() {
  Options options = Quick();
  options.auto_key = false;
  return options;
}

CallOptions Within(int64_t ms) {
  CallOptions options;
  options.timeout = milliseconds(ms);
  return options;
}

// The address of a node that is not there: its port was free a moment ago.
std::string DeadAddress() {
  FakeNode node(Echo);
  const std::string address = node.address();
  node.Stop();
  return address;
}

class ClientTest : public ::testing::Test {
 protected:
  // Keeps the .proto in the program, so that the client knows a read from a write.
  const api::testing::GetRequest linked_;
};

TEST_F(ClientTest, CarriesBytesAndMetadataBothWays) {
  FakeNode node([](const Seen& seen) {
    return Answer{
        grpc::Status::OK,
        "re:" + seen.body,
        {{"holdfast-position", "42"}, {"idempotency-replayed", "true"}, {"holdfast-age-ms", "17"}}};
  });
  Client client({node.address()}, Quick());
  CallOptions options;
  options.idempotency_key = "mine";
  const auto reply = client.Call(kWrite, "bytes", options);
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->body, "re:bytes");
  EXPECT_EQ(reply->position, LogIndex(42));
  EXPECT_TRUE(reply->replayed);
  EXPECT_EQ(reply->age, milliseconds(17));
  EXPECT_EQ(client.position(), LogIndex(42));
  ASSERT_EQ(node.calls(), 1u);
  EXPECT_EQ(node.seen()[0].method, kWrite);
  EXPECT_EQ(node.seen()[0].metadata.at("idempotency-key"), "mine");
}

TEST_F(ClientTest, TypedCallParsesTheReply) {
  FakeNode node(Echo);
  Client client({node.address()}, Quick());
  api::testing::GetRequest request;
  request.set_id("x");
  const auto reply = client.Call<api::testing::GetRequest>(kRead, request);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->message.id(), "x");

  FakeNode broken([](const Seen&) { return Answer{grpc::Status::OK, "\xff\xff", {}}; });
  Client other({broken.address()}, Quick());
  const auto bad = other.Call<api::testing::GetRequest>(kRead, request);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, ErrorCode::kInternal);
}

TEST_F(ClientTest, SessionReadsCarryTheHighestPositionSeen) {
  FakeNode node(InTurn({{grpc::Status::OK, "", {{"holdfast-position", "7"}}},
                        {grpc::Status::OK, "", {{"holdfast-position", "5"}}}}));
  Client client({node.address()}, Quick());
  ASSERT_TRUE(client.Call(kWrite, ""));
  ASSERT_TRUE(client.Call(kRead, ""));  // An older position does not take the session back.
  ASSERT_TRUE(client.Call(kRead, ""));
  CallOptions options;
  options.after = LogIndex(9);
  ASSERT_TRUE(client.Call(kRead, "", options));
  options.consistency = Consistency::kStale;
  ASSERT_TRUE(client.Call(kRead, "", options));
  const auto seen = node.seen();
  EXPECT_FALSE(seen[0].metadata.contains("holdfast-after"));
  EXPECT_EQ(seen[1].metadata.at("holdfast-after"), "7");
  EXPECT_EQ(seen[2].metadata.at("holdfast-after"), "7");
  EXPECT_EQ(seen[2].metadata.at("holdfast-consistency"), "session");
  EXPECT_EQ(seen[3].metadata.at("holdfast-after"), "9");
  EXPECT_EQ(seen[4].metadata.at("holdfast-consistency"), "stale");
  EXPECT_FALSE(seen[4].metadata.contains("holdfast-after"));
}

TEST_F(ClientTest, AnErrorOfTheNodeComesBackAsItWas) {
  FakeNode node([](const Seen&) {
    return Answer{grpc::Status(grpc::INVALID_ARGUMENT, "legs[1].amount: must be at least 1"),
                  "",
                  {{"holdfast-code", "invalid_argument"}, {"holdfast-field", "legs[1].amount"}}};
  });
  Client client({node.address()}, Quick());
  const auto reply = client.Call(kWrite, "");
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(reply.error().field, "legs[1].amount");
  EXPECT_EQ(reply.error().message, "must be at least 1");
  EXPECT_EQ(node.calls(), 1u) << "a refusal is final";
}

TEST_F(ClientTest, TriesTheNextNodeAndStaysWithIt) {
  FakeNode node(Echo);
  Client client({DeadAddress(), node.address()}, WithoutKeys());
  for (int i = 0; i < 3; ++i) {
    const auto reply = client.Call(kWrite, "x");
    ASSERT_TRUE(reply) << reply.error().message;
  }
  EXPECT_EQ(node.calls(), 3u);
}

TEST_F(ClientTest, WhatWasCertainlyNotDoneIsTriedAgainWithoutAKey) {
  FakeNode first([](const Seen&) { return Unavailable(); });
  FakeNode second(InTurn({Unavailable(), Unavailable()}));
  Client client({first.address(), second.address()}, WithoutKeys());
  const auto reply = client.Call(kWrite, "x");
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(first.calls(), 3u);
  EXPECT_EQ(second.calls(), 3u);
  EXPECT_FALSE(second.seen()[0].metadata.contains("idempotency-key"));
}

TEST_F(ClientTest, AWriteOfUnknownOutcomeIsNotRepeatedWithoutAKey) {
  FakeNode first([](const Seen&) { return Unknown(); });
  FakeNode second(Echo);
  Client client({first.address(), second.address()}, WithoutKeys());
  const auto reply = client.Call(kWrite, "x");
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kOutcomeUnknown);
  EXPECT_EQ(first.calls() + second.calls(), 1u);
}

TEST_F(ClientTest, AWriteOfUnknownOutcomeIsRepeatedUnderOneKey) {
  FakeNode first([](const Seen&) { return Unknown(); });
  FakeNode second(Echo);
  Client client({first.address(), second.address()}, Quick());
  ASSERT_TRUE(client.Call(kWrite, "x"));
  ASSERT_EQ(first.calls(), 1u);
  ASSERT_EQ(second.calls(), 1u);
  const std::string key = first.seen()[0].metadata.at("idempotency-key");
  EXPECT_GE(key.size(), 32u);
  EXPECT_EQ(second.seen()[0].metadata.at("idempotency-key"), key);
  ASSERT_TRUE(client.Call(kWrite, "x"));
  EXPECT_NE(second.seen()[1].metadata.at("idempotency-key"), key) << "another call, another key";
}

TEST_F(ClientTest, AMethodThatIsNotKnownCountsAsAWrite) {
  FakeNode node([](const Seen&) { return Unknown(); });
  Client client({node.address()}, WithoutKeys());
  const auto reply = client.Call("/some.other.Service/Get", "");
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kOutcomeUnknown);
  EXPECT_EQ(node.calls(), 1u);
}

TEST_F(ClientTest, AConnectionLostInTheMiddleLeavesAWriteUnknown) {
  FakeNode node([](const Seen&) { return Answer{{}, "", {}, true}; });
  FakeNode other(Echo);
  Client client({node.address(), other.address()}, WithoutKeys());
  std::thread killer([&node] {
    node.WaitForCall();
    node.Stop();
  });
  const auto reply = client.Call(kWrite, "x");
  killer.join();
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kOutcomeUnknown);
  EXPECT_EQ(other.calls(), 0u);
}

TEST_F(ClientTest, AConnectionLostInTheMiddleIsRepeatedUnderAKey) {
  FakeNode node([](const Seen&) { return Answer{{}, "", {}, true}; });
  FakeNode other(Echo);
  Options options = Quick();
  options.attempt_timeout = milliseconds(4'000);  // The loss must be noticed, not timed out.
  Client client({node.address(), other.address()}, options);
  std::thread killer([&node] {
    node.WaitForCall();
    node.Stop();
  });
  const auto reply = client.Call(kWrite, "x");
  killer.join();
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(other.seen().at(0).metadata.at("idempotency-key"),
            node.seen().at(0).metadata.at("idempotency-key"));
}

TEST_F(ClientTest, ANodeThatHangsCostsOneAttempt) {
  FakeNode hanging([](const Seen&) { return Answer{{}, "", {}, true}; });
  FakeNode node(Echo);
  Client client({hanging.address(), node.address()}, Quick());
  ASSERT_TRUE(client.Call(kRead, "x"));
  EXPECT_EQ(hanging.calls(), 1u);
  ASSERT_TRUE(client.Call(kRead, "x"));
  EXPECT_EQ(hanging.calls(), 1u) << "the next call begins at the node that answered";
}

TEST_F(ClientTest, WithoutAnyNodeTheAnswerIsUnavailable) {
  Client client({DeadAddress(), DeadAddress()}, Quick());
  const auto reply = client.Call(kWrite, "x", Within(100));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kUnavailable);
}

TEST_F(ClientTest, UnavailableAfterAnUnknownOutcomeStaysUnknown) {
  FakeNode node([first = true](const Seen&) mutable {
    return std::exchange(first, false) ? Unknown() : Unavailable();
  });
  Client client({node.address()}, Quick());
  const auto write = client.Call(kWrite, "x", Within(100));
  ASSERT_FALSE(write);
  EXPECT_EQ(write.error().code, ErrorCode::kOutcomeUnknown);
  EXPECT_NE(write.error().hint.find(node.seen()[0].metadata.at("idempotency-key")),
            std::string::npos)
      << "the caller needs the key to go on: " << write.error().hint;
  EXPECT_GT(node.calls(), 1u);
}

TEST_F(ClientTest, AReadIsNeverOfUnknownOutcome) {
  FakeNode node([](const Seen&) { return Answer{{}, "", {}, true}; });
  Client client({node.address()}, Quick());
  const auto read = client.Call(kRead, "x", Within(100));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kDeadlineExceeded);
}

TEST_F(ClientTest, AFullQueueIsGivenTheTimeItAsksFor) {
  Answer full = Fails(grpc::RESOURCE_EXHAUSTED, ErrorCode::kResourceExhausted);
  full.trailing["retry-after-ms"] = "60";
  FakeNode node(InTurn({full}));
  Client client({node.address()}, WithoutKeys());
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(client.Call(kWrite, "x"));
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(60));
  EXPECT_EQ(node.calls(), 2u);
}

TEST_F(ClientTest, RefusesAKeyThatMetadataCannotCarry) {
  Client client({DeadAddress()}, Quick());
  for (const std::string& key : {std::string("a\nb"), std::string("\xc3\xa9"),
                                 std::string(bounds::kIdempotencyKeyBytesMax + 1, 'k')}) {
    CallOptions options;
    options.idempotency_key = key;
    const auto reply = client.Call(kWrite, "x", options);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().field, "idempotency-key");
  }
}

TEST_F(ClientTest, ThreadsShareOneClient) {
  std::set<std::string> keys;  // Under the node's own lock.
  FakeNode node([&keys, position = 0](const Seen& seen) mutable {
    keys.insert(seen.metadata.at("idempotency-key"));
    return Answer{grpc::Status::OK, "", {{"holdfast-position", std::to_string(++position)}}};
  });
  Client client({node.address()}, Quick());
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&client, &good] {
      for (int j = 0; j < 25; ++j) good += client.Call(kWrite, "x").has_value() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 200);
  EXPECT_EQ(keys.size(), 200u);
  EXPECT_EQ(client.position(), LogIndex(200));
}

TEST(ParseEndpointsTest, TakesAddressesAndNamesTheBadOne) {
  const auto good = ParseEndpoints("127.0.0.1:9001,node-2.example:1,[::1]:65535");
  ASSERT_TRUE(good);
  EXPECT_EQ(*good, (std::vector<std::string>{"127.0.0.1:9001", "node-2.example:1", "[::1]:65535"}));
  for (const char* bad :
       {"", "a", ":1", "a:", "a:0", "a:65536", "a:99999999999", "a:1,", ",a:1", "a:1x", "a:-1"}) {
    const auto refused = ParseEndpoints(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().field, "endpoints");
  }
  std::string many = "a:1";
  for (size_t i = 0; i < kEndpointsMax; ++i) many += ",a:1";
  EXPECT_FALSE(ParseEndpoints(many));
}

}  // namespace
}  // namespace holdfast::client
