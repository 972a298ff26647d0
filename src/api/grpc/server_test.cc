#include "src/api/grpc/server.h"

#include <absl/synchronization/notification.h>
#include <google/protobuf/descriptor.pb.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include "holdfast/health.pb.h"
#include "holdfast/reflection.pb.h"
#include "src/api/testing/fixture.h"
#include "src/api/testing/grpc_stream.h"
#include "src/base/batch.h"
#include "src/base/bounds.h"

namespace holdfast::api::grpc {
namespace {

using ::grpc::ByteBuffer;
using ::grpc::ClientContext;
using ::grpc::Status;
using ::grpc::StatusCode;
using ::grpc::reflection::v1alpha::ServerReflectionRequest;
using ::grpc::reflection::v1alpha::ServerReflectionResponse;
using std::chrono::milliseconds;
using testing::Everything;
using testing::FakeNode;
using testing::Pack;
using testing::Stream;
using testing::Unpack;

constexpr char kCreate[] = "/holdfast.api.testing.Shop/Create";
constexpr char kGet[] = "/holdfast.api.testing.Shop/Get";
constexpr char kReflect[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";
constexpr char kHealthWatch[] = "/grpc.health.v1.Health/Watch";

// A unary call of any method.
struct Call {
  ClientContext context;
  ByteBuffer request;
  ByteBuffer response;
  Status status;
  absl::Notification done;

  std::string reply() const { return Unpack(response); }
  std::string Trailer(const std::string& name) const {
    const auto& metadata = context.GetServerTrailingMetadata();
    const auto it = metadata.find(name);
    return it == metadata.end() ? "" : std::string(it->second.data(), it->second.size());
  }
};

class GrpcServerTest : public ::testing::Test {
 protected:
  GrpcServerTest() { Serve({}); }

  void Serve(const ServerOptions& options) {
    server_.reset();
    Result<std::unique_ptr<Server>> server = Server::Start(options, shop_.registry, node_);
    EXPECT_TRUE(server) << server.error().message;
    server_ = *std::move(server);
    stub_ = Connect();
  }
  std::unique_ptr<::grpc::GenericStub> Connect() {
    ::grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // A connection of its own.
    arguments.SetMaxReceiveMessageSize(-1);
    // What it does not read stays with the server: its window does not grow.
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 64 << 10);
    return std::make_unique<::grpc::GenericStub>(
        ::grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(server_->port()),
                                    ::grpc::InsecureChannelCredentials(), arguments));
  }

  void Begin(Call& call, const char* method, const std::string& bytes) {
    call.request = Pack(bytes);
    stub_->UnaryCall(&call.context, method, {}, &call.request, &call.response,
                     [&call](Status status) {
                       call.status = std::move(status);
                       call.done.Notify();
                     });
  }
  void Ask(Call& call, const char* method, const std::string& bytes) {
    Begin(call, method, bytes);
    call.done.WaitForNotification();
  }
  // "CODE message" of a call with no metadata.
  std::pair<StatusCode, std::string> Refusal(const char* method, const std::string& bytes) {
    Call call;
    Ask(call, method, bytes);
    return {call.status.error_code(), call.status.error_message()};
  }

  static std::string Item(const std::string& id) {
    Everything item;
    item.set_id(id);
    return item.SerializeAsString();
  }

  testing::Shop shop_;
  FakeNode node_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<::grpc::GenericStub> stub_;
};

TEST_F(GrpcServerTest, ServesAMethodOfTheTable) {
  node::Reply reply = FakeNode::ReplyOf(testing::Reply(), 99);
  testing::Reply message;
  message.set_outcome(testing::already_exists);
  reply.body = message.SerializeAsString();
  reply.replayed = true;
  node_.SetReply(std::move(reply));
  Call call;
  call.context.AddMetadata("idempotency-key", "k");
  call.context.AddMetadata("holdfast-after", "12");
  const auto before = std::chrono::steady_clock::now();
  Ask(call, kCreate, Item("x"));
  ASSERT_TRUE(call.status.ok()) << call.status.error_message();
  EXPECT_EQ(call.reply(), message.SerializeAsString());
  EXPECT_EQ(call.Trailer("holdfast-position"), "99");
  EXPECT_EQ(call.Trailer("idempotency-replayed"), "true");
  EXPECT_EQ(call.Trailer("holdfast-code"), "");
  const auto seen = node_.last();
  EXPECT_EQ(seen.method, "Create");
  EXPECT_EQ(seen.request, Item("x"));
  EXPECT_EQ(seen.options.idempotency_key, "k");
  EXPECT_EQ(seen.options.after, LogIndex(12));
  EXPECT_GE(seen.options.deadline, before + milliseconds(bounds::kDeadlineMsDefault));
}

TEST_F(GrpcServerTest, BoundsTheDeadlineAndPassesTheConsistency) {
  node::Reply reply = FakeNode::ReplyOf(testing::Reply());
  reply.age = milliseconds(5);
  node_.SetReply(std::move(reply));
  Call call;
  call.context.set_deadline(std::chrono::system_clock::now() + std::chrono::hours(5));
  call.context.AddMetadata("holdfast-consistency", "stale");
  Ask(call, kGet, Item("x"));
  ASSERT_TRUE(call.status.ok()) << call.status.error_message();
  EXPECT_EQ(call.Trailer("holdfast-age-ms"), "5");
  EXPECT_EQ(node_.last().options.consistency, node::Consistency::kStale);
  EXPECT_LE(node_.last().options.deadline,
            std::chrono::steady_clock::now() + milliseconds(bounds::kDeadlineMsMax));
}

TEST_F(GrpcServerTest, CanonicalBytesReachTheNode) {
  // Two entries of a map in the other order: the same request.
  const std::string a(
      "\x5A\x06\x0A\x01"
      "a"
      "\x12\x01"
      "1",
      8);
  const std::string b(
      "\x5A\x06\x0A\x01"
      "b"
      "\x12\x01"
      "2",
      8);
  Call first, second;
  Ask(first, kCreate, Item("x") + a + b);
  const std::string bytes = node_.last().request;
  Ask(second, kCreate, Item("x") + b + a);
  ASSERT_TRUE(second.status.ok());
  EXPECT_EQ(node_.last().request, bytes);
}

TEST_F(GrpcServerTest, RefusesBadInputWithTheFieldAndTheReason) {
  const auto malformed = Refusal(kCreate, "\xFF");
  EXPECT_EQ(malformed.first, StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(malformed.second, "the bytes are not a valid holdfast.api.testing.Everything");
  // A string that is not UTF-8.
  EXPECT_EQ(Refusal(kCreate, std::string("\x0A\x01\xFF", 3)).first, StatusCode::INVALID_ARGUMENT);

  Call call;
  Ask(call, kCreate, "");
  EXPECT_EQ(call.status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(call.status.error_message().substr(0, 4), "id: ");
  EXPECT_EQ(call.Trailer("holdfast-code"), "invalid_argument");
  EXPECT_EQ(call.Trailer("holdfast-field"), "id");

  for (const auto& [name, value] : std::vector<std::pair<const char*, const char*>>{
           {"holdfast-after", "x"}, {"holdfast-consistency", "x"}, {"idempotency-key", ""}}) {
    Call bad;
    bad.context.AddMetadata(name, value);
    Ask(bad, kCreate, Item("x"));
    EXPECT_EQ(bad.status.error_code(), StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(bad.status.error_message().find(name), 0u) << bad.status.error_message();
  }
  EXPECT_TRUE(node_.seen().empty());
}

TEST_F(GrpcServerTest, RefusesAMethodThatThereIsNot) {
  for (const char* method : {"/holdfast.api.testing.Shop/Nope", "/nope", "/a/b/c"}) {
    const auto refusal = Refusal(method, "");
    EXPECT_EQ(refusal.first, StatusCode::UNIMPLEMENTED);
    EXPECT_NE(refusal.second.find(method), std::string::npos) << refusal.second;
  }
}

TEST_F(GrpcServerTest, RefusesWhatIsTooLarge) {
  const std::string padding(bounds::kRequestBytesMax, 'x');
  EXPECT_EQ(Refusal(kCreate, Item(padding)).first, StatusCode::RESOURCE_EXHAUSTED);
  Call call;
  Ask(call, kCreate, Item("x"));
  EXPECT_TRUE(call.status.ok());
}

TEST_F(GrpcServerTest, TellsErrorsWithTheirCodes) {
  const std::pair<ErrorCode, StatusCode> expected[] = {
      {ErrorCode::kNotFound, StatusCode::NOT_FOUND},
      {ErrorCode::kIdempotencyKeyReused, StatusCode::FAILED_PRECONDITION},
      {ErrorCode::kResourceExhausted, StatusCode::RESOURCE_EXHAUSTED},
      {ErrorCode::kUnavailable, StatusCode::UNAVAILABLE},
      {ErrorCode::kDeadlineExceeded, StatusCode::DEADLINE_EXCEEDED},
      {ErrorCode::kOutcomeUnknown, StatusCode::DEADLINE_EXCEEDED},
      {ErrorCode::kInternal, StatusCode::INTERNAL}};
  for (const auto& [code, status] : expected) {
    node_.SetReply(FakeNode::Failure(Error{code, "why", "some.field", "do this", 1500}));
    Call call;
    Ask(call, kCreate, Item("x"));
    EXPECT_EQ(call.status.error_code(), status);
    EXPECT_EQ(call.status.error_message(), "some.field: why (do this)");
    EXPECT_EQ(call.Trailer("holdfast-code"), ToString(code));
    EXPECT_EQ(call.Trailer("holdfast-field"), "some.field");
    EXPECT_EQ(call.Trailer("retry-after-ms"), "1500");
  }
  // What metadata cannot carry is left out, and a long message is cut.
  node_.SetReply(
      FakeNode::Failure(Error{ErrorCode::kInternal, std::string(100'000, 'm'), "\xC3\xA9", "", 0}));
  Call call;
  Ask(call, kCreate, Item("x"));
  EXPECT_EQ(call.status.error_code(), StatusCode::INTERNAL);
  EXPECT_EQ(call.Trailer("holdfast-field"), "");
}

TEST_F(GrpcServerTest, ACallThatIsCancelledIsLetGo) {
  node_.Hold();
  Call call;
  Begin(call, kCreate, Item("x"));
  node::Done done = node_.Take();
  call.context.TryCancel();
  call.done.WaitForNotification();
  EXPECT_EQ(call.status.error_code(), StatusCode::CANCELLED);
  done(FakeNode::ReplyOf(testing::Reply()));  // Too late, and harmless.
}

TEST_F(GrpcServerTest, ACallWhoseTimeRunsOutIsLetGo) {
  node_.Hold();
  Call call;
  call.context.set_deadline(std::chrono::system_clock::now() + milliseconds(2'000));
  Begin(call, kCreate, Item("x"));
  node::Done done = node_.Take();
  const auto taken = std::chrono::steady_clock::now();
  EXPECT_LE(node_.last().options.deadline, taken + milliseconds(1'950)) << "no time to answer in";
  call.done.WaitForNotification();
  EXPECT_EQ(call.status.error_code(), StatusCode::DEADLINE_EXCEEDED);
  done(FakeNode::ReplyOf(testing::Reply()));
}

// Calls are begun, and their requests never come: each kind of call is told so and ended.
TEST_F(GrpcServerTest, ARequestThatDoesNotComeIsNotWaitedFor) {
  Serve({.step_time_max = milliseconds(50)});
  Stream pipe(*stub_, "/holdfast.Pipe/Connect");  // Which may idle for as long as it likes.
  for (const char* method : {kCreate, kHealthCheck, kHealthWatch, kReflect}) {
    Stream call(*stub_, method);
    const Status status = call.Finish();
    EXPECT_EQ(status.error_code(), StatusCode::DEADLINE_EXCEEDED) << method;
    EXPECT_EQ(status.error_message(), "the call brought no request in time (nothing was done)")
        << method;
  }
  EXPECT_TRUE(node_.seen().empty());
  EXPECT_TRUE(pipe.Write(""));
}

// The node may take its time, though: that is what deadlines are for.
TEST_F(GrpcServerTest, WhatTheNodeTakesIsNoStepOfTheCall) {
  Serve({.step_time_max = milliseconds(500)});
  node_.Hold();
  Call call;
  Begin(call, kCreate, Item("x"));
  node::Done done = node_.Take();
  Stream late(*stub_, kCreate);
  EXPECT_EQ(late.Finish().error_code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_FALSE(call.done.HasBeenNotified());
  done(FakeNode::ReplyOf(testing::Reply()));
  call.done.WaitForNotification();
  EXPECT_TRUE(call.status.ok()) << call.status.error_message();
}

TEST_F(GrpcServerTest, WhoTakesNoAnswerIsCutOff) {
  constexpr milliseconds kStep(500);
  Serve({.step_time_max = kStep});
  node::Reply answer;
  answer.body = std::string(1 << 20, 'x');  // More than a stream's window of flow control.
  node_.SetReply(std::move(answer));
  const auto began = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<Stream>> calls;
  for (size_t i = 0; i < 8; ++i) {
    calls.push_back(std::make_unique<Stream>(*stub_, kCreate));
    ASSERT_TRUE(calls.back()->Write(Item("x")));
    calls.back()->WritesDone();
  }
  while (node_.seen().size() < calls.size()) {
    ASSERT_LT(std::chrono::steady_clock::now(), began + std::chrono::seconds(20));
    std::this_thread::yield();
  }
  server_->Stop(std::chrono::hours(1));  // Returns once the calls are gone.
  EXPECT_GE(std::chrono::steady_clock::now() - began, kStep) << "not before it is late";
}

// Others who read are refused then, whoever wrote is answered, and who had room before has it
// again.
TEST_F(GrpcServerTest, RepliesThatNobodyTakesHaveABoundInBytes) {
  node::Reply answer;
  answer.body = std::string(4 << 20, 'x');
  node_.SetReply(std::move(answer));
  const auto takes_nothing = Connect();
  std::vector<std::unique_ptr<Stream>> calls;
  for (size_t i = 0; i < bounds::kGrpcRepliesBytesMax >> 22; ++i) {
    calls.push_back(std::make_unique<Stream>(*takes_nothing, kGet));
    ASSERT_TRUE(calls.back()->Write(Item("x")));
    calls.back()->WritesDone();
  }
  while (node_.seen().size() < calls.size()) std::this_thread::yield();
  // The last ones may not have got so far, so it is asked until it is refused.
  for (StatusCode code = StatusCode::OK; code != StatusCode::RESOURCE_EXHAUSTED;) {
    Call refused;
    Ask(refused, kGet, Item("x"));
    code = refused.status.error_code();
    ASSERT_TRUE(code == StatusCode::OK || code == StatusCode::RESOURCE_EXHAUSTED);
  }
  Call write;
  Ask(write, kCreate, Item("x"));
  EXPECT_TRUE(write.status.ok()) << write.status.error_message();
  calls.clear();
  for (StatusCode code = StatusCode::RESOURCE_EXHAUSTED; code != StatusCode::OK;) {
    Call served;
    Ask(served, kGet, Item("x"));
    code = served.status.error_code();
  }
}

TEST_F(GrpcServerTest, WhoWaitsKeepsNoPipeOutAndNoLookAtTheHealth) {
  Serve({.calls_max = 1});
  node_.Hold();
  Call waits;
  Begin(waits, kCreate, Item("a"));
  node::Done done = node_.Take();
  EXPECT_EQ(Refusal(kCreate, Item("b")).first, StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Refusal(kHealthCheck, "").first, StatusCode::OK);
  Stream pipe(*stub_, "/holdfast.Pipe/Connect");
  EXPECT_TRUE(pipe.Write(""));
  done(FakeNode::ReplyOf(testing::Reply()));
  waits.done.WaitForNotification();
}

// The store needs file descriptors, too.
TEST_F(GrpcServerTest, WhereTooManyFilesAreOpenNoConnectionIsTaken) {
  Serve({.files_max = 3});
  Call call;
  call.context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  Ask(call, kGet, "");
  EXPECT_EQ(call.status.error_code(), StatusCode::UNAVAILABLE) << call.status.error_message();
}

TEST_F(GrpcServerTest, ThereAreOnlySoManyCalls) {
  Serve({.calls_max = 2});
  node_.Hold();
  Call first, second, third;
  Begin(first, kCreate, Item("a"));
  node::Done done = node_.Take();
  Begin(second, kCreate, Item("b"));
  node::Done other = node_.Take();
  Ask(third, kCreate, Item("c"));
  EXPECT_EQ(third.status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_NE(third.Trailer("retry-after-ms"), "");
  EXPECT_EQ(node_.seen().size(), 2U);
  done(FakeNode::ReplyOf(testing::Reply()));
  first.done.WaitForNotification();
  other(FakeNode::ReplyOf(testing::Reply()));
  second.done.WaitForNotification();
  for (bool served = false; !served;) {  // They are over here a moment before they are there.
    Call fourth;
    Begin(fourth, kCreate, Item("d"));
    while (!fourth.done.HasBeenNotified() && node_.seen().size() == 2) std::this_thread::yield();
    if (node_.seen().size() > 2) node_.Take()(FakeNode::ReplyOf(testing::Reply()));
    fourth.done.WaitForNotification();
    served = fourth.status.ok();
  }
}

TEST_F(GrpcServerTest, RepliesAndCancellationsMayRace) {
  node_.Hold();
  constexpr int kCalls = 300;
  std::thread replies([&] {
    for (int i = 0; i < kCalls; ++i) node_.Take()(FakeNode::ReplyOf(testing::Reply()));
  });
  int good = 0, cancelled = 0;
  for (int i = 0; i < kCalls; ++i) {
    Call call;
    Begin(call, kCreate, Item("x"));
    const size_t calls = static_cast<size_t>(i) + 1;
    while (node_.seen().size() < calls) std::this_thread::yield();  // It has reached the node.
    call.context.TryCancel();
    call.done.WaitForNotification();
    ++(call.status.ok() ? good : cancelled);
  }
  replies.join();
  EXPECT_EQ(good + cancelled, kCalls);
}

TEST_F(GrpcServerTest, StopLetsCallsFinishOrCancelsThem) {
  node_.Hold();
  Call first, second;
  Begin(first, kCreate, Item("a"));
  node::Done done = node_.Take();
  std::thread stopping([&] { server_->Stop(std::chrono::seconds(20)); });
  // A call that is refused shows that stopping has begun.
  while (node_.seen().size() == 1) {
    Call probe;
    Ask(probe, "/nope", "");
    if (probe.status.error_code() != StatusCode::UNIMPLEMENTED) break;
  }
  done(FakeNode::ReplyOf(testing::Reply()));
  first.done.WaitForNotification();
  EXPECT_TRUE(first.status.ok()) << first.status.error_message();
  stopping.join();
}

TEST_F(GrpcServerTest, AReplyAfterTheServerIsGoneGoesNowhere) {
  node_.Hold();
  Call call;
  Begin(call, kCreate, Item("a"));
  node::Done done = node_.Take();
  server_.reset();
  call.done.WaitForNotification();
  EXPECT_FALSE(call.status.ok());
  done(FakeNode::ReplyOf(testing::Reply()));
}

TEST_F(GrpcServerTest, HealthSaysWhatItIsTold) {
  using ::grpc::health::v1::HealthCheckRequest;
  using ::grpc::health::v1::HealthCheckResponse;
  const auto check = [&](const std::string& service) {
    HealthCheckRequest request;
    request.set_service(service);
    Call call;
    Ask(call, kHealthCheck, request.SerializeAsString());
    HealthCheckResponse response;
    if (!call.status.ok() || !response.ParseFromString(call.reply())) {
      return HealthCheckResponse::SERVICE_UNKNOWN;
    }
    return response.status();
  };
  EXPECT_EQ(check(""), HealthCheckResponse::NOT_SERVING);
  Stream watch(*stub_, kHealthWatch);
  ASSERT_TRUE(watch.Write(HealthCheckRequest().SerializeAsString()));
  watch.WritesDone();
  HealthCheckResponse seen;
  ASSERT_TRUE(watch.Read(&seen));
  EXPECT_EQ(seen.status(), HealthCheckResponse::NOT_SERVING);
  server_->SetServing(true);
  ASSERT_TRUE(watch.Read(&seen));
  EXPECT_EQ(seen.status(), HealthCheckResponse::SERVING);
  EXPECT_EQ(check(""), HealthCheckResponse::SERVING);
  EXPECT_EQ(check("holdfast.api.testing.Shop"), HealthCheckResponse::SERVING);
  EXPECT_EQ(check("nope"), HealthCheckResponse::SERVICE_UNKNOWN);
}

TEST_F(GrpcServerTest, HealthRefusesWhatItDoesNotUnderstand) {
  using ::grpc::health::v1::HealthCheckRequest;
  using ::grpc::health::v1::HealthCheckResponse;
  HealthCheckRequest nope;
  nope.set_service("nope");
  EXPECT_EQ(Refusal(kHealthCheck, nope.SerializeAsString()).first, StatusCode::NOT_FOUND);
  EXPECT_EQ(Refusal(kHealthCheck, "\x0A\x05").first, StatusCode::INVALID_ARGUMENT);
  Stream watch(*stub_, kHealthWatch);
  ASSERT_TRUE(watch.Write(nope.SerializeAsString()));
  HealthCheckResponse seen;
  ASSERT_TRUE(watch.Read(&seen));  // It may come to be.
  EXPECT_EQ(seen.status(), HealthCheckResponse::SERVICE_UNKNOWN);
  Stream garbage(*stub_, kHealthWatch);
  ASSERT_TRUE(garbage.Write("\x0A\x05"));
  EXPECT_EQ(garbage.Finish().error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(GrpcServerTest, WhoWatchesDoesNotHoldUpAStop) {
  using ::grpc::health::v1::HealthCheckRequest;
  using ::grpc::health::v1::HealthCheckResponse;
  server_->SetServing(true);
  Stream watch(*stub_, kHealthWatch);
  ASSERT_TRUE(watch.Write(HealthCheckRequest().SerializeAsString()));
  HealthCheckResponse seen;
  ASSERT_TRUE(watch.Read(&seen));
  const auto began = std::chrono::steady_clock::now();
  std::thread stopping([&] { server_->Stop(std::chrono::seconds(60)); });
  EXPECT_FALSE(watch.Read(&seen));
  EXPECT_EQ(watch.Finish().error_code(), StatusCode::UNAVAILABLE);
  stopping.join();
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(30));
}

TEST_F(GrpcServerTest, WhatComesTogetherIsHandedOnTogether) {
  Call call;
  Ask(call, kCreate, Item("x"));
  EXPECT_TRUE(node_.last().in_batch);
}

TEST_F(GrpcServerTest, CallsThatWaitOccupyNoThread) {
  node_.Hold();
  constexpr int kCalls = 200;
  std::vector<std::unique_ptr<Call>> calls;
  std::vector<node::Done> held;
  for (int i = 0; i < kCalls; ++i) {
    calls.push_back(std::make_unique<Call>());
    Begin(*calls.back(), kCreate, Item("x"));
  }
  for (int i = 0; i < kCalls; ++i) held.push_back(node_.Take());
  node_.HoldNoMore();
  Call other;
  Ask(other, kGet, Item("x"));
  EXPECT_TRUE(other.status.ok());
  {
    Batch entry;  // As the replies of an entry.
    for (node::Done& done : held) done(FakeNode::ReplyOf(testing::Reply()));
  }
  for (const auto& call : calls) {
    call->done.WaitForNotification();
    EXPECT_TRUE(call->status.ok()) << call->status.error_message();
  }
}

TEST_F(GrpcServerTest, ReflectionDescribesEveryService) {
  for (const char* method :
       {kReflect, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"}) {
    Stream stream(*stub_, method);
    const auto ask = [&](const ServerReflectionRequest& request) {
      ServerReflectionResponse response;
      EXPECT_TRUE(stream.Write(request.SerializeAsString()));
      EXPECT_TRUE(stream.Read(&response));
      EXPECT_EQ(response.original_request().SerializeAsString(), request.SerializeAsString());
      return response;
    };
    ServerReflectionRequest request;
    request.set_list_services("*");
    std::vector<std::string> names;
    const ServerReflectionResponse listed = ask(request);
    for (const auto& service : listed.list_services_response().service()) {
      names.push_back(service.name());
    }
    EXPECT_EQ(names, (std::vector<std::string>{"grpc.health.v1.Health",
                                               "grpc.reflection.v1alpha.ServerReflection",
                                               "holdfast.api.testing.Shop"}));

    // Every service can be rebuilt from the files that come for it, in the order they come.
    for (const std::string& name : names) {
      google::protobuf::DescriptorPool pool;
      request.set_file_containing_symbol(name);
      const ServerReflectionResponse files = ask(request);
      for (const std::string& bytes : files.file_descriptor_response().file_descriptor_proto()) {
        google::protobuf::FileDescriptorProto file;
        ASSERT_TRUE(file.ParseFromString(bytes));
        ASSERT_NE(pool.BuildFile(file), nullptr) << file.name();
      }
      ASSERT_NE(pool.FindServiceByName(name), nullptr) << name;
    }

    request.set_file_containing_symbol("holdfast.api.testing.Shop.Create");
    EXPECT_TRUE(ask(request).has_file_descriptor_response());
    request.set_file_by_filename("holdfast/options.proto");
    EXPECT_EQ(ask(request).file_descriptor_response().file_descriptor_proto_size(), 2);
    request.set_all_extension_numbers_of_type("google.protobuf.FieldOptions");
    EXPECT_EQ(ask(request).all_extension_numbers_response().extension_number(0), 50103);
    request.mutable_file_containing_extension()->set_containing_type(
        "google.protobuf.FieldOptions");
    request.mutable_file_containing_extension()->set_extension_number(50103);
    EXPECT_TRUE(ask(request).has_file_descriptor_response());

    request.set_file_by_filename("nope.proto");
    EXPECT_EQ(ask(request).error_response().error_code(), StatusCode::NOT_FOUND);
    request.set_file_containing_symbol("no.such.Symbol");
    EXPECT_EQ(ask(request).error_response().error_message(), "there is no symbol no.such.Symbol");
    request.set_all_extension_numbers_of_type("nope");
    EXPECT_EQ(ask(request).error_response().error_code(), StatusCode::NOT_FOUND);
    EXPECT_EQ(ask(ServerReflectionRequest()).error_response().error_code(),
              StatusCode::INVALID_ARGUMENT);
    stream.WritesDone();
    EXPECT_TRUE(stream.Finish().ok());
  }
  Stream broken(*stub_, kReflect);
  broken.Write("\xFF");
  EXPECT_EQ(broken.Finish().error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(GrpcServerTest, APortThatIsTakenIsAnError) {
  ServerOptions options;
  options.port = server_->port();
  const auto second = Server::Start(options, shop_.registry, node_);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("cannot listen for gRPC on 127.0.0.1:"), std::string::npos);
}

}  // namespace
}  // namespace holdfast::api::grpc
