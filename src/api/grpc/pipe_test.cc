#include "src/api/grpc/pipe.h"

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include "holdfast/pipe.pb.h"
#include "src/api/grpc/pipe_frames.h"
#include "src/api/grpc/server.h"
#include "src/api/testing/fixture.h"
#include "src/api/testing/grpc_stream.h"
#include "src/base/batch.h"

namespace holdfast::api::grpc {
namespace {

using ::grpc::StatusCode;
using std::chrono::milliseconds;
using testing::Everything;
using testing::FakeNode;
using testing::Stream;

constexpr char kCreate[] = "/holdfast.api.testing.Shop/Create";
constexpr char kGet[] = "/holdfast.api.testing.Shop/Get";

// The fake node, with a leader.
class Leading : public FakeNode {
 public:
  node::Leadership Leadership() const override { return {NodeId(3), NodeId(2), Term(9)}; }
};

std::string Item(const std::string& id) {
  Everything item;
  item.set_id(id);
  return item.SerializeAsString();
}

class PipeTest : public ::testing::Test {
 protected:
  PipeTest() { Serve({}); }

  void Serve(const ServerOptions& options) {
    Result<std::unique_ptr<Server>> server = Server::Start(options, shop_.registry, node_);
    EXPECT_TRUE(server) << server.error().message;
    server_ = *std::move(server);
    ::grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(-1);
    stub_ = std::make_unique<::grpc::GenericStub>(
        ::grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(server_->port()),
                                    ::grpc::InsecureChannelCredentials(), arguments));
  }

  // A pipe, past its first message.
  std::unique_ptr<Stream> Open() {
    auto pipe = std::make_unique<Stream>(*stub_, kPipeMethod);
    PipeReplies hello;
    EXPECT_TRUE(pipe->Read(&hello));
    EXPECT_EQ(hello.replies_size(), 0);
    EXPECT_EQ(hello.node(), 3u);
    return pipe;
  }
  static PipeRequest Request(uint64_t id, const char* method, const std::string& body) {
    PipeRequest request;
    request.set_id(id);
    request.set_name(method);
    request.set_body(body);
    return request;
  }
  static bool Send(Stream& pipe, const std::vector<PipeRequest>& requests) {
    PipeRequests message;
    for (const PipeRequest& request : requests) *message.add_requests() = request;
    return pipe.Write(message.SerializeAsString());
  }
  // Reads until `count` replies have come; by id.
  static std::map<uint64_t, PipeReply> Replies(Stream& pipe, size_t count) {
    std::map<uint64_t, PipeReply> replies;
    while (replies.size() < count) {
      PipeReplies message;
      if (!pipe.Read(&message)) break;
      for (const PipeReply& reply : message.replies()) replies[reply.id()] = reply;
    }
    EXPECT_EQ(replies.size(), count);
    return replies;
  }
  static PipeReply Ask(Stream& pipe, const PipeRequest& request) {
    EXPECT_TRUE(Send(pipe, {request}));
    return Replies(pipe, 1)[request.id()];
  }

  testing::Shop shop_;
  Leading node_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<::grpc::GenericStub> stub_;
};

TEST_F(PipeTest, CarriesRequestsOfAnyMethodByNameOrByNumber) {
  node::Reply answer = FakeNode::ReplyOf(testing::Reply(), 99);
  answer.replayed = true;
  node_.SetReply(std::move(answer));
  auto pipe = Open();
  PipeRequest named = Request(7, kCreate, Item("x"));
  named.set_idempotency_key("k");
  named.set_timeout_ms(1'000);
  PipeRequest numbered = Request(8, "", Item("y"));
  const state_machine::Method* get = shop_.registry.Find(kGet);
  numbered.set_service(get->service_id);
  numbered.set_method(get->method_id);
  numbered.set_consistency(PipeRequest::linearizable);
  numbered.set_after(12);
  ASSERT_TRUE(Send(*pipe, {named, numbered}));
  const auto replies = Replies(*pipe, 2);
  EXPECT_EQ(replies.at(7).body(), testing::Reply().SerializeAsString());
  EXPECT_EQ(replies.at(7).position(), 99u);
  EXPECT_TRUE(replies.at(7).replayed());
  const auto seen = node_.seen();
  EXPECT_EQ(seen[0].method, "Create");
  EXPECT_EQ(seen[0].request, Item("x"));
  EXPECT_EQ(seen[0].options.idempotency_key, "k");
  EXPECT_LE(seen[0].options.deadline, std::chrono::steady_clock::now() + milliseconds(900));
  EXPECT_EQ(seen[1].method, "Get");
  EXPECT_EQ(seen[1].options.consistency, node::Consistency::kLinearizable);
  EXPECT_EQ(seen[1].options.after, LogIndex(12));
}

TEST_F(PipeTest, EveryMessageTellsWhoLeads) {
  Stream pipe(*stub_, kPipeMethod);
  PipeReplies hello;
  ASSERT_TRUE(pipe.Read(&hello));
  EXPECT_EQ(hello.leader(), 2u);
  EXPECT_EQ(hello.term(), 9u);
  ASSERT_TRUE(Send(pipe, {Request(1, kCreate, Item("x"))}));
  PipeReplies replies;
  ASSERT_TRUE(pipe.Read(&replies));
  EXPECT_EQ(replies.leader(), 2u);
}

TEST_F(PipeTest, StaleReadsTellTheirAge) {
  node::Reply answer = FakeNode::ReplyOf(testing::Reply());
  answer.age = milliseconds(5);
  node_.SetReply(std::move(answer));
  auto pipe = Open();
  PipeRequest request = Request(1, kGet, Item("x"));
  request.set_consistency(PipeRequest::stale);
  EXPECT_EQ(Ask(*pipe, request).age_ms(), 5u);
}

TEST_F(PipeTest, RefusesWhatUnaryCallsAreRefused) {
  auto pipe = Open();
  const auto refusal = [&](const PipeRequest& request) {
    const PipeReply reply = Ask(*pipe, request);
    EXPECT_TRUE(reply.has_error());
    return reply.error();
  };
  const auto code = [](ErrorCode number) { return static_cast<uint32_t>(number); };
  EXPECT_EQ(refusal(Request(1, "/nope", "")).code(), code(ErrorCode::kUnimplemented));
  EXPECT_EQ(refusal(Request(2, "", "")).code(), code(ErrorCode::kUnimplemented));
  EXPECT_EQ(refusal(Request(3, kCreate, "\xFF")).message(),
            "the bytes are not a valid holdfast.api.testing.Everything");
  const ErrorMessage empty = refusal(Request(4, kCreate, ""));
  EXPECT_EQ(empty.code(), code(ErrorCode::kInvalidArgument));
  EXPECT_EQ(empty.field(), "id");
  PipeRequest bad_key = Request(5, kCreate, Item("x"));
  bad_key.set_idempotency_key(std::string("\n", 1));
  EXPECT_EQ(refusal(bad_key).field(), "idempotency-key");
  EXPECT_EQ(refusal(Request(6, kCreate, Item(std::string(17, 'x')))).code(),
            code(ErrorCode::kInvalidArgument))
      << "an id that is too long";
  Everything large;
  large.set_id("x");
  large.set_blob(std::string(bounds::kRequestBytesMax, 'x'));
  EXPECT_EQ(refusal(Request(7, kCreate, large.SerializeAsString())).code(),
            code(ErrorCode::kTooLarge));
  EXPECT_TRUE(node_.seen().empty());

  node_.SetReply(FakeNode::Failure(Error{ErrorCode::kUnavailable, "why", "f", "", 0}));
  const ErrorMessage told = refusal(Request(8, kCreate, Item("x")));
  EXPECT_EQ(told.code(), code(ErrorCode::kUnavailable));
  EXPECT_EQ(told.message(), "why");
  EXPECT_EQ(told.field(), "f");
  EXPECT_FALSE(told.hint().empty()) << "the advice of its code";
  EXPECT_GT(told.retry_after_ms(), 0u);
}

TEST_F(PipeTest, RepliesOfOneBatchLeaveInOneMessage) {
  node_.Hold();
  auto pipe = Open();
  std::vector<PipeRequest> requests;
  for (uint64_t id = 1; id <= 50; ++id) requests.push_back(Request(id, kCreate, Item("x")));
  ASSERT_TRUE(Send(*pipe, requests));
  std::vector<node::Done> calls;
  calls.reserve(50);
  for (int i = 0; i < 50; ++i) calls.push_back(node_.Take());
  {
    Batch entry;
    for (node::Done& done : calls) done(FakeNode::ReplyOf(testing::Reply()));
  }
  PipeReplies message;
  ASSERT_TRUE(pipe->Read(&message));
  EXPECT_EQ(message.replies_size(), 50);
}

TEST_F(PipeTest, RepliesComeInTheOrderOfTheirEnd) {
  node_.Hold();
  auto pipe = Open();
  ASSERT_TRUE(Send(*pipe, {Request(1, kCreate, Item("a")), Request(2, kCreate, Item("b"))}));
  node::Done first = node_.Take();
  node_.Take()(FakeNode::ReplyOf(testing::Reply()));
  EXPECT_TRUE(Replies(*pipe, 1).contains(2));
  first(FakeNode::ReplyOf(testing::Reply()));
  EXPECT_TRUE(Replies(*pipe, 1).contains(1));
}

TEST_F(PipeTest, ACancelledRequestGetsNoReply) {
  node_.Hold();
  auto pipe = Open();
  ASSERT_TRUE(Send(*pipe, {Request(1, kCreate, Item("a")), Request(2, kCreate, Item("b"))}));
  node::Done first = node_.Take();
  node::Done second = node_.Take();
  PipeRequests cancel;
  cancel.add_cancelled(1);
  cancel.add_cancelled(77);  // Of nobody.
  *cancel.add_requests() = Request(3, kCreate, Item("c"));
  ASSERT_TRUE(pipe->Write(cancel.SerializeAsString()));
  node::Done third = node_.Take();
  PipeRequests more;
  *more.add_requests() = Request(4, kCreate, Item("d"));
  ASSERT_TRUE(pipe->Write(more.SerializeAsString()));
  node::Done fourth = node_.Take();  // So the message before it has been dealt with.
  for (node::Done* done : {&first, &second, &third, &fourth}) {
    (*done)(FakeNode::ReplyOf(testing::Reply()));
  }
  const auto replies = Replies(*pipe, 3);
  EXPECT_FALSE(replies.contains(1));
}

TEST_F(PipeTest, AMessageThatIsNoneEndsThePipe) {
  for (const std::string& bytes : {std::string("\xFF\xFF"), std::string("\x0A\x05\x08", 3)}) {
    auto pipe = Open();
    pipe->Write(bytes);
    EXPECT_EQ(pipe->Finish().error_code(), StatusCode::INVALID_ARGUMENT);
  }
}

TEST_F(PipeTest, AnIdThatIsInUseEndsThePipe) {
  node_.Hold();
  auto pipe = Open();
  Send(*pipe, {Request(1, kCreate, Item("a")), Request(1, kCreate, Item("b"))});
  EXPECT_EQ(pipe->Finish().error_code(), StatusCode::INVALID_ARGUMENT);
  node_.Take()(FakeNode::ReplyOf(testing::Reply()));  // Too late, and harmless.
}

TEST_F(PipeTest, AMessageOfTooManyRequestsEndsThePipe) {
  node_.Hold();
  auto pipe = Open();
  std::vector<PipeRequest> requests;
  for (uint64_t id = 0; id <= bounds::kPipeMessageRequestsMax; ++id) {
    requests.push_back(Request(id, kCreate, Item("x")));
  }
  Send(*pipe, requests);
  EXPECT_EQ(pipe->Finish().error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(PipeTest, RequestsPastTheBoundAreRefusedAndTheOthersKept) {
  node_.Hold();
  auto pipe = Open();
  uint64_t id = 0;
  while (id < bounds::kPipeRequestsMax) {
    std::vector<PipeRequest> requests;
    while (requests.size() < 4'096) requests.push_back(Request(++id, kCreate, Item("x")));
    ASSERT_TRUE(Send(*pipe, requests));
  }
  const PipeReply refused = Ask(*pipe, Request(++id, kCreate, Item("x")));
  EXPECT_EQ(refused.error().code(), static_cast<uint32_t>(ErrorCode::kResourceExhausted));
  EXPECT_GT(refused.error().retry_after_ms(), 0u);
  for (size_t i = 0; i < bounds::kPipeRequestsMax; ++i) {
    node_.Take()(FakeNode::ReplyOf(testing::Reply()));
  }
  EXPECT_EQ(Replies(*pipe, bounds::kPipeRequestsMax).size(), bounds::kPipeRequestsMax);
}

TEST_F(PipeTest, BytesPastTheBoundAreRefused) {
  node_.Hold();
  auto pipe = Open();
  Everything item;
  item.set_id("x");
  item.set_blob(std::string(bounds::kRequestBytesMax - 64, 'x'));
  const std::string large = item.SerializeAsString();
  uint64_t id = 0;
  for (size_t bytes = 0; bytes + large.size() <= bounds::kPipeRequestBytesMax;
       bytes += large.size()) {
    ASSERT_TRUE(Send(*pipe, {Request(++id, kCreate, large)}));
  }
  EXPECT_EQ(Ask(*pipe, Request(++id, kCreate, large)).error().code(),
            static_cast<uint32_t>(ErrorCode::kResourceExhausted));
  for (uint64_t i = 1; i < id; ++i) node_.Take()(FakeNode::ReplyOf(testing::Reply()));
  Replies(*pipe, id - 1);
}

TEST_F(PipeTest, AClientThatNeverReadsIsNotReadFromEither) {
  node::Reply answer;
  answer.body = std::string(1 << 20, 'x');
  node_.SetReply(std::move(answer));
  auto pipe = Open();
  // Asks for far more than the pipe may hold, in one message: what is past the bound is refused.
  std::vector<PipeRequest> requests;
  constexpr uint64_t kReads = 200;
  for (uint64_t id = 1; id <= kReads; ++id) requests.push_back(Request(id, kGet, Item("x")));
  ASSERT_TRUE(Send(*pipe, requests));
  while (node_.seen().size() < kReads) std::this_thread::yield();
  // Nothing of this is looked at before the client reads.
  ASSERT_TRUE(Send(*pipe, {Request(kReads + 1, kCreate, Item("x"))}));
  size_t given = 0;
  size_t refused = 0;
  auto replies = Replies(*pipe, kReads + 1);
  for (const auto& [id, reply] : replies) {
    if (id > kReads) continue;
    ++(reply.has_error() ? refused : given);
    if (reply.has_error()) {
      EXPECT_EQ(reply.error().code(), static_cast<uint32_t>(ErrorCode::kResourceExhausted));
    }
  }
  EXPECT_GE(given, bounds::kPipeReplyBytesMax >> 20);
  EXPECT_LE(given, (bounds::kPipeReplyBytesMax >> 20) + 2);
  EXPECT_TRUE(replies[kReads + 1].has_body());
}

TEST_F(PipeTest, AClientThatTakesNothingIsCutOff) {
  server_.reset();
  ServerOptions options;
  options.pipe_write_time_max = milliseconds(100);
  Serve(options);
  node::Reply answer;
  answer.body = std::string(1 << 20, 'x');
  node_.SetReply(std::move(answer));
  auto pipe = Open();
  std::vector<PipeRequest> requests;  // Replies to writes are kept: more than any buffer takes.
  for (uint64_t id = 1; id <= 64; ++id) requests.push_back(Request(id, kCreate, Item("x")));
  ASSERT_TRUE(Send(*pipe, requests));
  while (node_.seen().size() < requests.size()) std::this_thread::yield();
  server_->Stop(std::chrono::hours(1));  // Returns once the pipe is gone.
}

TEST_F(PipeTest, ThereAreOnlySoManyPipes) {
  std::vector<std::unique_ptr<::grpc::GenericStub>> clients;
  std::vector<std::unique_ptr<Stream>> pipes;
  const auto connect = [&] {
    ::grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    clients.push_back(std::make_unique<::grpc::GenericStub>(
        ::grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(server_->port()),
                                    ::grpc::InsecureChannelCredentials(), arguments)));
  };
  const auto refuses = [&] {
    Stream refused(*clients.back(), kPipeMethod);
    return refused.Finish().error_code() == StatusCode::RESOURCE_EXHAUSTED;
  };
  for (size_t i = 0; i < bounds::kPipesMax; ++i) {
    if (i % bounds::kPipesPerConnectionMax == 0) {
      EXPECT_TRUE(clients.empty() || refuses()) << "a connection has as many as it may have";
      connect();
    }
    pipes.push_back(std::make_unique<Stream>(*clients.back(), kPipeMethod));
    PipeReplies hello;
    ASSERT_TRUE(pipes.back()->Read(&hello));
  }
  connect();
  EXPECT_TRUE(refuses()) << "the node has as many as it may have";
  // A client that is gone leaves its places to others.
  pipes.resize(pipes.size() - 1);
  for (bool has_room = false; !has_room;) {
    Stream pipe(*clients.back(), kPipeMethod);
    PipeReplies hello;
    has_room = pipe.Read(&hello);
  }
  pipes.clear();
}

TEST_F(PipeTest, AClientThatHasAskedAllGetsItsRepliesAndTheEnd) {
  node_.Hold();
  auto pipe = Open();
  ASSERT_TRUE(Send(*pipe, {Request(1, kCreate, Item("a"))}));
  node::Done done = node_.Take();
  pipe->WritesDone();
  done(FakeNode::ReplyOf(testing::Reply()));
  Replies(*pipe, 1);
  EXPECT_TRUE(pipe->Finish().ok());
}

TEST_F(PipeTest, RepliesForAPipeThatIsGoneGoNowhere) {
  node_.Hold();
  auto pipe = Open();
  ASSERT_TRUE(Send(*pipe, {Request(1, kCreate, Item("a")), Request(2, kCreate, Item("b"))}));
  node::Done first = node_.Take();
  node::Done second = node_.Take();
  pipe.reset();
  first(FakeNode::ReplyOf(testing::Reply()));
  server_.reset();
  second(FakeNode::ReplyOf(testing::Reply()));
}

TEST_F(PipeTest, AServerThatStopsLetsPipesFinish) {
  node_.Hold();
  auto pipe = Open();
  ASSERT_TRUE(Send(*pipe, {Request(1, kCreate, Item("a"))}));
  node::Done done = node_.Take();
  std::thread stopping([&] { server_->Stop(std::chrono::seconds(20)); });
  PipeReplies last;
  ASSERT_TRUE(pipe->Read(&last));
  EXPECT_TRUE(last.closing());
  const PipeReply refused = Ask(*pipe, Request(2, kCreate, Item("b")));
  EXPECT_EQ(refused.error().code(), static_cast<uint32_t>(ErrorCode::kUnavailable));
  done(FakeNode::ReplyOf(testing::Reply()));
  EXPECT_TRUE(Replies(*pipe, 1)[1].has_body());
  pipe->WritesDone();
  EXPECT_TRUE(pipe->Finish().ok());
  stopping.join();
}

TEST_F(PipeTest, ManyThreadsMayAnswerWhileClientsComeAndGo) {
  node_.Hold();
  std::atomic<bool> stop{false};
  std::thread answers([&] {
    for (int i = 0; i < 40 * 50; ++i) node_.Take()(FakeNode::ReplyOf(testing::Reply()));
  });
  for (int round = 0; round < 40; ++round) {
    auto pipe = Open();
    std::vector<PipeRequest> requests;
    for (uint64_t id = 1; id <= 50; ++id) requests.push_back(Request(id, kCreate, Item("x")));
    ASSERT_TRUE(Send(*pipe, requests));
    while (node_.seen().size() < static_cast<size_t>(round + 1) * 50) std::this_thread::yield();
    if (round % 2 == 0) Replies(*pipe, 50);
  }
  stop = true;
  answers.join();
}

}  // namespace
}  // namespace holdfast::api::grpc
