// Hostile and broken input against a live node of a cluster: each gets its clear error, and the
// node goes on serving.
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "holdfast/peer.pb.h"
#include "src/base/behaviour.h"
#include "src/base/bounds.h"
#include "src/node/identity.h"
#include "src/node/peer_frames.h"
#include "src/node/programs.h"
#include "tests/cluster/transfer_caller.h"
#include "tests/support/grpc_client.h"
#include "tests/support/raw_connection.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;
using testing::HttpClient;
using testing::HttpReply;
using testing::HttpRequestText;
using testing::JsonField;
using testing::ProcessCluster;
using testing::RawConnection;

constexpr milliseconds kPatience{10'000};
constexpr char kTransfers[] = "/v1/ledger/transfers";
constexpr char kCreateTransfer[] = "/holdfast.ledger.Ledger/CreateTransfer";

std::string Repeated(const std::string& text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += text;
  return all;
}

// A transfer with one member as the case wants it.
std::string TransferWith(const std::string& member) {
  std::string body = R"({"id":"t1","from":"a","to":"b")";
  if (member.find("\"amount\"") == std::string::npos) body += R"(,"amount":1)";
  return body + "," + member + "}";
}

std::string BatchOf(size_t transfers) {
  const std::string filler(120, 'x');
  std::string body = R"({"transfers":[)";
  for (size_t i = 0; i < transfers; ++i) {
    body += std::string(i == 0 ? "" : ",") + R"({"id":")" + filler + std::to_string(i) +
            R"(","from":"a)" + filler + R"(","to":"b)" + filler + R"(","amount":1})";
  }
  return body + "]}";
}

// One node, so that whatever stops it is seen at once, and its two peers, so that there are peers.
class BadInputTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_ = new ProcessCluster(3);
    cluster_->StartAll();
    ASSERT_TRUE(cluster_->WaitHealthy()) << cluster_->LogOf(1);
  }
  static void TearDownTestSuite() {
    delete cluster_;
    cluster_ = nullptr;
  }

  // The node under attack still takes part: it is healthy, pays by HTTP and answers by gRPC.
  static void ExpectServing() {
    HttpClient http(cluster_->http(kNode));
    ASSERT_TRUE(cluster_->WaitHealthy(kNode, std::chrono::seconds(20))) << cluster_->LogOf(kNode);
    const HttpReply paid = http.PostUntilKnown(
        "/payment", R"({"transaction_id":"serving-)" + std::to_string(++payments_) +
                        R"(","from_account":"ann","to_account":"bob","amount":1})");
    ASSERT_EQ(paid.status, 201) << paid.body;
    ASSERT_EQ(JsonField(paid.body, "balance"), std::to_string(-payments_))
        << "ann has paid, and nothing but these payments: " << paid.body;
  }

  static constexpr int kNode = 1;
  static inline ProcessCluster* cluster_ = nullptr;
  static inline int payments_ = 0;
};

struct HttpCase {
  const char* name;
  std::string verb;
  std::string target;
  HttpClient::Headers headers;
  std::string body;
  int status;
  const char* code;
  const char* field;  // Nullptr: none.
};

std::vector<HttpCase> BodyCases() {
  const auto post = [](const char* name, std::string body, const char* field, int status = 400,
                       const char* code = "invalid_argument") {
    return HttpCase{name, "POST", kTransfers, {}, std::move(body), status, code, field};
  };
  const auto batch = [](const char* name, std::string body, const char* field, int status = 400,
                        const char* code = "invalid_argument") {
    return HttpCase{name, "POST", "/v1/ledger/transfers:batch", {}, std::move(body), status,
                    code, field};
  };
  return {
      post("no body", "", "id"),
      post("not JSON", "hello", nullptr),
      post("JSON that ends early", R"({"id":"t1")", "id"),
      post("two values", "{} {}", nullptr),
      post("a NUL byte after the value", std::string("{}\0", 3), nullptr),
      post("an array for an object", "[]", nullptr),
      post("a number for an object", "7", nullptr),
      post("null for an object", "null", nullptr),
      post("amount as words", TransferWith(R"("amount":"ten")"), "amount"),
      post("amount with a fraction", TransferWith(R"("amount":1.5)"), "amount"),
      post("amount as a bool", TransferWith(R"("amount":true)"), "amount"),
      post("amount as an object", TransferWith(R"("amount":{})"), "amount"),
      post("amount missing", R"({"id":"t1","from":"a","to":"b"})", "amount"),
      post("amount null", TransferWith(R"("amount":null)"), "amount"),
      post("amount negative", TransferWith(R"("amount":-1)"), "amount"),
      post("amount zero", TransferWith(R"("amount":0)"), "amount"),
      post("amount 2^63", TransferWith(R"("amount":9223372036854775808)"), "amount"),
      post("amount 2^64 + 1", TransferWith(R"("amount":18446744073709551617)"), "amount"),
      post("amount below -2^63", TransferWith(R"("amount":-9223372036854775809)"), "amount"),
      post("amount 1e400", TransferWith(R"("amount":1e400)"), "amount"),
      post("amount of 100,000 digits", TransferWith(R"("amount":)" + std::string(100'000, '9')),
           "amount"),
      post("id as a number", R"({"id":7,"from":"a","to":"b","amount":1})", "id"),
      post("id empty", R"({"id":"","from":"a","to":"b","amount":1})", "id"),
      post("id of 129 bytes",
           R"({"id":")" + std::string(129, 'x') + R"(","from":"a","to":"b","amount":1})", "id"),
      post("id with a control character", R"({"id":"a\u0007","from":"a","to":"b","amount":1})",
           "id"),
      post("id with half a surrogate pair", R"({"id":"\ud800","from":"a","to":"b","amount":1})",
           "id"),
      post("id of bad UTF-8", "{\"id\":\"\xff\xfe\",\"from\":\"a\",\"to\":\"b\",\"amount\":1}",
           "id"),
      post("id of overlong UTF-8", "{\"id\":\"\xc0\xaf\",\"from\":\"a\",\"to\":\"b\",\"amount\":1}",
           "id"),
      post("pending as a word", TransferWith(R"("pending":"yes")"), "pending"),
      post("timeout negative", TransferWith(R"("timeout_seconds":-1)"), "timeout_seconds"),
      post("timeout without a hold", TransferWith(R"("timeout_seconds":5)"), "timeout_seconds"),
      post("metadata as an array", TransferWith(R"("metadata":[])"), "metadata"),
      post("metadata with an object", TransferWith(R"("metadata":{"a":{}})"), "metadata.a"),
      post("an unknown field", TransferWith(R"("colour":"red")"), "colour"),
      post("a field twice", TransferWith(R"("from":"c")"), "from"),
      post("10,000 arrays deep", Repeated("[", 10'000), nullptr),
      post("10,000 objects deep", Repeated(R"({"metadata":)", 10'000), "metadata.metadata"),
      post("1,000,000 arrays deep in an unknown field", R"({"x":)" + Repeated("[", 1'000'000), "x"),
      batch("an unknown field in an item", R"({"transfers":[{"id":"t1","colour":1}]})",
            "transfers[0].colour"),
      batch("a bad amount in the second item",
            R"({"transfers":[{"id":"t1","from":"a","to":"b","amount":1},)"
            R"({"id":"t2","from":"a","to":"b","amount":-5}]})",
            "transfers[1].amount"),
      batch("no items", R"({"transfers":[]})", "transfers"),
      batch("8,193 items", R"({"transfers":[)" + Repeated("{},", 8'192) + "{}]}", "transfers"),
      batch("more than fits in a log entry", BatchOf(4'000), nullptr, 413, "too_large"),
      post("a body over the bound", std::string(bounds::kHttpBodyBytesMax + 1, ' '), nullptr, 413,
           "too_large"),
      {"an overdraft below 0",
       "POST",
       "/v1/ledger/accounts",
       {},
       R"({"id":"x","currency":"EUR","overdraft":-1})",
       400,
       "invalid_argument",
       "overdraft"},
      {"a currency of one letter",
       "POST",
       "/v1/ledger/accounts",
       {},
       R"({"id":"x","currency":"E"})",
       400,
       "invalid_argument",
       "currency"},
      {"a payment to nobody",
       "POST",
       "/payment",
       {},
       R"({"transaction_id":"p1","from_account":"a","amount":5})",
       400,
       "invalid_argument",
       "to_account"},
  };
}

std::vector<HttpCase> RequestCases() {
  const auto get = [](const char* name, std::string target, const char* field) {
    return HttpCase{name, "GET", std::move(target), {}, "", 400, "invalid_argument", field};
  };
  const auto header = [](const char* name, std::string key, std::string value, const char* field) {
    return HttpCase{name, "GET", "/v1/ledger/accounts/bob", {{std::move(key), std::move(value)}},
                    "",   400,   "invalid_argument",        field};
  };
  const auto sent = [](const char* name, std::string verb, std::string target, std::string body,
                       const char* field) {
    return HttpCase{
        name, std::move(verb), std::move(target), {}, std::move(body), 400, "invalid_argument",
        field};
  };
  const std::string key(256, 'k');
  return {
      sent("a task whose id is no number", "PUT", "/todos/x", "{}", "id"),
      sent("a task of the id 0", "DELETE", "/todos/0", "", "id"),
      sent("a PUT with a query", "PUT", "/todos/1?user=ann", "{}", "user"),
      sent("a PUT that contradicts its path", "PUT", "/todos/1", R"({"id":2})", "id"),
      sent("a DELETE with a body", "DELETE", "/todos/1", "{}", nullptr),
      sent("a DELETE of what nobody knows", "DELETE", "/todos/1?x=1", "", "x"),
      sent("a task without a title", "POST", "/todos", "{}", "title"),
      sent("a title of 2 KiB", "POST", "/todos",
           R"({"title":")" + std::string(2'048, 't') + R"("})", "title"),
      sent("a due date that is none", "POST", "/todos", R"({"title":"t","due":"tomorrow"})", "due"),
      get("a state that is none", "/todos?state=lost", "state"),
      get("a cursor that was not given out", "/todos?cursor=p7-", "cursor"),
      get("a rate of nothing", "/v1/convert?from=USD&to=EUR&amount=1&rate=0", "rate"),
      get("an amount with an exponent", "/v1/convert?from=USD&to=EUR&amount=1e9&rate=1", "amount"),
      sent("a rate through floating point", "POST", "/v1/ledger/exchanges",
           R"({"id":"e","from":"a","from_liquidity":"b","to_liquidity":"c","to":"d","amount":1,)"
           R"("rate":1.0875})",
           "rate"),
      sent("a spread of all", "POST", "/v1/ledger/exchanges",
           R"({"id":"e","from":"a","from_liquidity":"b","to_liquidity":"c","to":"d","amount":1,)"
           R"("rate":"1","spread_ppm":1000000})",
           "spread_ppm"),
      {"an unknown route", "GET", "/v1/ledger/nothing", {}, "", 404, "unimplemented", nullptr},
      {"an unknown verb on an id",
       "POST",
       "/v1/ledger/transfers/t1:explode",
       {},
       "",
       405,
       "unimplemented",
       nullptr},
      {"a path that climbs", "GET", "/../../etc/passwd", {}, "", 404, "unimplemented", nullptr},
      {"a path of 8 KiB",
       "GET",
       "/" + std::string(8'192, 'a'),
       {},
       "",
       404,
       "unimplemented",
       nullptr},
      {"DELETE of a transfer",
       "DELETE",
       "/v1/ledger/transfers/t1",
       {},
       "",
       405,
       "unimplemented",
       nullptr},
      {"PUT of a payment", "PUT", "/payment", {}, "{}", 405, "unimplemented", nullptr},
      {"GET of what must be posted", "GET", "/payment", {}, "", 405, "unimplemented", nullptr},
      {"POST of what must be got", "POST", "/health", {}, "{}", 405, "unimplemented", nullptr},
      {"a verb that is none", "BREW", "/health", {}, "", 405, "unimplemented", nullptr},
      {"an account that is not there",
       "GET",
       "/v1/ledger/accounts/nobody",
       {},
       "",
       404,
       "not_found",
       nullptr},
      get("half a percent", "/v1/ledger/accounts/%4", "id"),
      get("bad UTF-8 in the path", "/v1/ledger/accounts/%ff", "id"),
      get("an id of 129 bytes in the path", "/v1/ledger/accounts/" + std::string(129, 'x'), "id"),
      get("an unknown query parameter", "/v1/ledger/transfers?colour=red", "colour"),
      get("a limit as a word", "/v1/ledger/transfers?limit=many", "limit"),
      get("a limit of 1,001", "/v1/ledger/transfers?limit=1001", "limit"),
      get("a limit below 0", "/v1/ledger/transfers?limit=-1", "limit"),
      get("a limit twice", "/v1/ledger/transfers?limit=1&limit=2", "limit"),
      get("a cursor that is none", "/v1/ledger/transfers?cursor=zzz", "cursor"),
      get("a time that is none", "/v1/ledger/accounts/bob?at=yesterday", "at"),
      get("a consistency that is none", "/v1/ledger/accounts/bob?consistency=eventual",
          "holdfast-consistency"),
      header("a consistency header that is none", "Holdfast-Consistency", "eventual",
             "holdfast-consistency"),
      header("a token below 0", "Holdfast-After", "-1", "holdfast-after"),
      header("a token above 64 bits", "Holdfast-After", "18446744073709551616", "holdfast-after"),
      header("a timeout of 0", "Holdfast-Timeout-Ms", "0", "holdfast-timeout-ms"),
      header("a timeout of a day", "Holdfast-Timeout-Ms", "86400000", "holdfast-timeout-ms"),
      header("a timeout as a word", "Holdfast-Timeout-Ms", "soon", "holdfast-timeout-ms"),
      header("an idempotency key of 256 bytes", "Idempotency-Key", key, "idempotency-key"),
      header("an empty idempotency key", "Idempotency-Key", "", "idempotency-key"),
      {"a query on a POST",
       "POST",
       "/payment?amount=5",
       {},
       "{}",
       400,
       "invalid_argument",
       "amount"},
      {"a header over the bound",
       "GET",
       "/health",
       {{"X-Filler", std::string(bounds::kHttpHeaderBytesMax, 'x')}},
       "",
       431,
       "too_large",
       nullptr},
  };
}

void ExpectRefused(const ProcessCluster& cluster, int node, const HttpCase& one) {
  SCOPED_TRACE(one.name);
  RawConnection connection(cluster.http(node));
  // A refusal may come, and the connection go, before all is sent.
  (void)connection.Send(HttpRequestText(one.verb, one.target, one.body, one.headers));
  const HttpReply reply = connection.ReadReply(kPatience);
  EXPECT_EQ(reply.status, one.status) << reply.body;
  EXPECT_EQ(JsonField(reply.body, "code"), one.code) << reply.body;
  EXPECT_EQ(JsonField(reply.body, "status"), std::to_string(one.status)) << reply.body;
  EXPECT_FALSE(JsonField(reply.body, "detail").empty()) << reply.body;
  EXPECT_LT(reply.body.size(), 4'096u) << "an error does not echo what was sent";
  if (one.field == nullptr) {
    EXPECT_EQ(JsonField(reply.body, "field"), "") << reply.body;
  } else if (std::string_view(one.field).starts_with("metadata.metadata")) {
    EXPECT_TRUE(JsonField(reply.body, "field").starts_with("metadata")) << reply.body;
  } else {
    EXPECT_EQ(JsonField(reply.body, "field"), one.field) << reply.body;
  }
  if (one.status == 405) {
    EXPECT_FALSE(reply.headers.at("allow").empty());
  }
}

TEST_F(BadInputTest, EveryBadBodyGetsItsErrorByHttp) {
  for (const HttpCase& one : BodyCases()) {
    ExpectRefused(*cluster_, kNode, one);
    ExpectServing();
  }
}

TEST_F(BadInputTest, EveryBadRequestGetsItsErrorByHttp) {
  for (const HttpCase& one : RequestCases()) {
    ExpectRefused(*cluster_, kNode, one);
    ExpectServing();
  }
}

TEST_F(BadInputTest, AnIdempotencyKeyTwiceIsNotGuessedAt) {
  RawConnection connection(cluster_->http(kNode));
  const std::string body = TransferWith(R"("pending":true)");
  connection.Send(
      "POST /v1/ledger/transfers HTTP/1.1\r\nHost: x\r\nIdempotency-Key: a\r\n"
      "Idempotency-Key: b\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body);
  const HttpReply reply = connection.ReadReply(kPatience);
  EXPECT_EQ(reply.status, 400) << reply.body;
  EXPECT_EQ(JsonField(reply.body, "field"), "idempotency-key");
  ExpectServing();
}

struct BytesCase {
  const char* name;
  std::string bytes;
  // The answer: a status, or 0 when the connection is closed without a word.
  int status;
};

std::string RandomBytes(size_t size) {
  std::mt19937 random(20'240'607);
  std::string bytes;
  for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(random()));
  return bytes;
}

// What a TLS client and an HTTP/2 client say first.
std::string TlsHello() {
  return std::string("\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03", 11) + RandomBytes(194);
}
constexpr char kHttp2Preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

TEST_F(BadInputTest, WhatIsNoHttpIsRefusedOrClosed) {
  const BytesCase cases[] = {
      {"binary garbage", RandomBytes(4'096), 400},
      {"a TLS hello", TlsHello(), 400},
      {"an HTTP/2 client", kHttp2Preface, 400},
      {"a line that is no request", "hello\r\n\r\n", 400},
      {"an unknown version", "GET /health HTTP/7.0\r\n\r\n", 400},
      {"a header without a colon", "GET /health HTTP/1.1\r\nnonsense\r\n\r\n", 400},
      {"a body length that is none",
       "POST /payment HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n{}", 400},
      {"a body length below 0", "POST /payment HTTP/1.1\r\nHost: x\r\nContent-Length: -2\r\n\r\n{}",
       400},
      {"two body lengths",
       "POST /payment HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
       400},
      {"a length and chunks, as request smugglers send",
       "POST /payment HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
       "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       400},
      {"a chunk size that is none",
       "POST /payment HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", 400},
      {"a length over the bound",
       "POST /payment HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{}", 413},
      {"half a request line", "POST /paym", 0},
      {"half the headers", "POST /payment HTTP/1.1\r\nHost: x\r\nContent-", 0},
      {"half a body",
       "POST /payment HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\n"
       R"({"transaction_id":"half","from_account":"ann","to_account":"bob",)",
       0},
      {"nothing at all", "", 0},
  };
  for (const BytesCase& one : cases) {
    SCOPED_TRACE(one.name);
    RawConnection connection(cluster_->http(kNode));
    (void)connection.Send(one.bytes);
    connection.FinishSending();
    bool closed = false;
    const std::string answer = connection.ReadToEnd(kPatience, &closed);
    EXPECT_TRUE(closed) << "the connection is of no more use";
    if (one.status == 0) {
      EXPECT_EQ(answer, "");
    } else {
      EXPECT_TRUE(answer.starts_with("HTTP/1.1 " + std::to_string(one.status))) << answer;
      EXPECT_NE(answer.find("application/problem+json"), std::string::npos) << answer;
    }
    ExpectServing();
  }
}

TEST_F(BadInputTest, GarbageOnTheGrpcAndPeerPortsIsClosed) {
  const std::string preface(kHttp2Preface);
  const std::string settings("\0\0\0\4\0\0\0\0\0", 9);
  const std::string cases[] = {
      RandomBytes(4'096),
      TlsHello(),
      "GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
      preface.substr(0, 10),                                            // Cut short.
      preface + RandomBytes(1'024),                                     // No frames.
      preface + settings + std::string("\xff\xff\xff\0\0\0\0\0\1", 9),  // A frame of 16 MiB.
      preface + settings + std::string("\0\0\5\1\4\0\0\0\1", 9) + RandomBytes(5),  // No headers.
      "",
  };
  for (const uint16_t port : {cluster_->grpc(kNode), cluster_->peer(kNode)}) {
    for (size_t i = 0; i < std::size(cases); ++i) {
      SCOPED_TRACE("port " + std::to_string(port) + ", case " + std::to_string(i));
      RawConnection connection(port);
      (void)connection.Send(cases[i]);
      connection.FinishSending();
      bool closed = false;
      (void)connection.ReadToEnd(kPatience, &closed);
      EXPECT_TRUE(closed);
      ExpectServing();
    }
  }
}

// The error of a unary call, as its trailer tells it.
Error ErrorOf(const testing::GrpcReply& reply) {
  Error error;
  error.message = reply.message;
  error.field = reply.Trailer("holdfast-field");
  for (int number = 1; number <= static_cast<int>(ErrorCode::kInternal); ++number) {
    const auto code = static_cast<ErrorCode>(number);
    if (reply.Trailer("holdfast-code") == ToString(code)) error.code = code;
  }
  return error;
}

Error RefusedByGrpc(uint16_t port, const std::string& method, const std::string& bytes) {
  const testing::GrpcReply reply = testing::GrpcClient(port).Call(method, bytes);
  EXPECT_FALSE(reply.ok) << "taken: " << method;
  return ErrorOf(reply);
}

Error RefusedByPipe(uint16_t port, const std::string& method, const std::string& bytes) {
  client::Options options;
  options.auto_key = false;
  options.timeout = kPatience;
  client::Client client({"127.0.0.1:" + std::to_string(port)}, options);
  const Result<client::Reply> reply = client.Call(method, bytes);
  EXPECT_FALSE(reply) << "taken: " << method;
  return reply ? Error{} : reply.error();
}

struct GrpcCase {
  const char* name;
  std::string method;
  std::string bytes;
  ErrorCode code;
  std::string field;
};

TEST_F(BadInputTest, EveryBadRequestGetsItsErrorByGrpcAndByThePipe) {
  const auto transfer = [](const std::string& id, int64_t amount) {
    return testing::MakeTransfer(id, "a", "b", amount).SerializeAsString();
  };
  std::string bad_utf8 = transfer("good", 1);
  bad_utf8.replace(bad_utf8.find("good"), 4, "\xff\xff\xff\xff");
  ledger::CreateTransfersRequest batch;
  for (int i = 0; i < 8'193; ++i) *batch.add_transfers() = testing::MakeTransfer("t", "a", "b", 1);
  ledger::CreateTransfersRequest second;
  *second.add_transfers() = testing::MakeTransfer("t1", "a", "b", 1);
  *second.add_transfers() = testing::MakeTransfer("t2", "a", "b", 0);
  const ErrorCode invalid = ErrorCode::kInvalidArgument;
  const GrpcCase cases[] = {
      {"an unknown method", "/holdfast.ledger.Ledger/Steal", "", ErrorCode::kUnimplemented, ""},
      {"an unknown service", "/bank.Vault/Open", "", ErrorCode::kUnimplemented, ""},
      {"the peers' method", "/holdfast.Peer/Link", "", ErrorCode::kUnimplemented, ""},
      {"an empty request", kCreateTransfer, "", invalid, "id"},
      {"bytes that are no message", kCreateTransfer, RandomBytes(512), invalid, ""},
      {"a message that ends early", kCreateTransfer, transfer("t1", 5).substr(0, 3), invalid, ""},
      {"bad UTF-8", kCreateTransfer, bad_utf8, invalid, ""},
      {"amount zero", kCreateTransfer, transfer("t1", 0), invalid, "amount"},
      {"amount negative", kCreateTransfer, transfer("t1", -5), invalid, "amount"},
      {"the least amount", kCreateTransfer, transfer("t1", INT64_MIN), invalid, "amount"},
      {"an id of 129 bytes", kCreateTransfer, transfer(std::string(129, 'x'), 1), invalid, "id"},
      {"an id with a control character", kCreateTransfer, transfer("a\nb", 1), invalid, "id"},
      {"8,193 items", "/holdfast.ledger.Ledger/CreateTransfers", batch.SerializeAsString(), invalid,
       "transfers"},
      {"a bad second item", "/holdfast.ledger.Ledger/CreateTransfers", second.SerializeAsString(),
       invalid, "transfers[1].amount"},
      {"a message over the bound", kCreateTransfer,
       transfer("t1", 5) + std::string(bounds::kRequestBytesMax, '\0'), ErrorCode::kTooLarge, ""},
  };
  for (const GrpcCase& one : cases) {
    SCOPED_TRACE(one.name);
    for (const auto& refused : {RefusedByGrpc, RefusedByPipe}) {
      const Error error = refused(cluster_->grpc(kNode), one.method, one.bytes);
      EXPECT_EQ(error.code, one.code) << ToString(error.code) << ": " << error.message;
      EXPECT_EQ(error.field, one.field) << error.message;
      EXPECT_FALSE(error.message.empty());
    }
    ExpectServing();
  }
}

std::string PeerBytes(const PeerFrame& frame) {
  std::string bytes;
  node::AppendFrame(frame, &bytes);
  return bytes;
}

// The first frame of a connection to node `to`, from a node that runs the same program as it.
std::string HelloBytes(const Identity& identity, int to) {
  PeerFrame frame;
  Hello& hello = *frame.mutable_hello();
  *hello.mutable_identity() = identity;
  hello.set_to(static_cast<uint64_t>(to));
  hello.set_protocol(node::kPeerProtocol);
  *hello.mutable_program() = node::ToWire(ThisProgram(), 0);
  for (const uint64_t member : {1, 2, 3}) hello.add_members(member);
  return PeerBytes(frame);
}

// What a node answered to a hello; empty: nothing that is a frame.
std::string RefusalIn(const std::string& bytes) {
  PeerFrame frame;
  if (bytes.size() <= node::kFrameHeaderBytes) return "";
  EXPECT_TRUE(frame.ParseFromString(bytes.substr(node::kFrameHeaderBytes)));
  return frame.welcome().refusal();
}

TEST_F(BadInputTest, StrangersAreNoPeers) {
  Identity stranger;
  stranger.set_format(node::kIdentityFormat);
  stranger.set_node(9);
  Identity impostor = stranger;  // A member's number, but not its folder.
  impostor.set_node(2);
  impostor.set_incarnation(12'345);
  Identity elsewhere = impostor;  // Of a cluster in which the node attacked has another folder.
  for (uint64_t node = 1; node <= 3; ++node) {
    elsewhere.add_founders()->set_node(node);
    elsewhere.mutable_founders(static_cast<int>(node - 1))->set_incarnation(node);
  }
  elsewhere.mutable_founders(1)->set_incarnation(impostor.incarnation());
  elsewhere.set_cluster(1);
  PeerFrame no_hello;
  no_hello.mutable_probe()->set_term(UINT64_MAX);
  PeerFrame forward;
  forward.mutable_forward_write()->set_service(250);
  std::string damaged = HelloBytes(stranger, kNode);
  damaged.back() ^= 1;
  const struct {
    std::string bytes;
    std::string refusal;  // A part of it; empty: the connection ends without a word.
  } cases[] = {{"", ""},
               {RandomBytes(512), ""},
               {std::string(8, '\xff'), ""},  // Four gigabytes are announced.
               {PeerBytes(no_hello), ""},
               {PeerBytes(forward), ""},
               {damaged, ""},
               {HelloBytes(stranger, kNode), "not a member of the cluster"},
               {HelloBytes(impostor, kNode), "folder"},
               {HelloBytes(elsewhere, kNode), "folder"}};
  for (size_t i = 0; i < std::size(cases); ++i) {
    SCOPED_TRACE("case " + std::to_string(i));
    testing::RawConnection connection(cluster_->peer(kNode));
    connection.Send(cases[i].bytes);
    connection.FinishSending();
    bool closed = false;
    const std::string refusal = RefusalIn(connection.ReadToEnd(milliseconds(8'000), &closed));
    EXPECT_TRUE(closed);
    EXPECT_EQ(refusal.empty(), cases[i].refusal.empty()) << refusal;
    EXPECT_NE(refusal.find(cases[i].refusal), std::string::npos) << refusal;
    ExpectServing();
  }
}

// What went wrong: it went into the log, and stopped every node that applied it, for ever.
TEST_F(BadInputTest, AWriteThatTheLeaderDoesNotKnowIsNotTakenFromAPeer) {
  const int leader = cluster_->WaitLeader();
  ASSERT_NE(leader, 0);
  const int peer = leader % 3 + 1;
  cluster_->Kill(peer);  // Here is a newer version of it.
  std::ifstream file(cluster_->data(peer) + "/identity", std::ios::binary);
  Identity identity;
  ASSERT_TRUE(identity.ParseFromIstream(&file));
  std::string bytes = HelloBytes(identity, leader);
  uint64_t id = 0;
  for (const auto& [service, method] :
       {std::pair(250u, 1u), std::pair(2u, 200u), std::pair(2u, 3u), std::pair(258u, 7u)}) {
    PeerFrame frame;
    ForwardWrite& forward = *frame.mutable_forward_write();
    forward.set_id(++id);
    forward.set_service(service);
    forward.set_method(method);
    forward.set_timeout_ms(10'000);
    bytes += PeerBytes(frame);
  }
  testing::RawConnection connection(cluster_->peer(leader));
  connection.Send(bytes);
  bool closed = true;
  EXPECT_EQ(RefusalIn(connection.ReadToEnd(milliseconds(500), &closed)), "");
  EXPECT_FALSE(closed) << "it was welcome";
  cluster_->Start(peer);
  ASSERT_TRUE(cluster_->WaitHealthy()) << cluster_->LogOf(leader);
  std::string report;
  EXPECT_TRUE(cluster_->WaitEqualState(std::chrono::seconds(20), &report)) << report;
  ExpectServing();
}

}  // namespace
}  // namespace holdfast
