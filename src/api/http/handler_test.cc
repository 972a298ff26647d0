#include "src/api/http/handler.h"

#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include "src/api/errors.h"
#include "src/api/openapi.h"
#include "src/api/testing/fixture.h"
#include "src/base/bounds.h"

namespace holdfast::api::http {
namespace {

using Headers = std::vector<std::pair<std::string_view, std::string_view>>;
using testing::Everything;
using testing::FakeNode;
using testing::GetRequest;
using testing::SellRequest;

class HandlerTest : public ::testing::Test {
 protected:
  Response Ask(std::string_view verb, std::string_view target, std::string_view body = "",
               Headers headers = {}) {
    Response response;
    int answers = 0;
    const auto watch = [this] { return gone_; };
    handler_.Handle(Request{verb, target, std::move(headers), body}, watch, [&](Render render) {
      ++answers;
      response = std::move(render)();
    });
    EXPECT_EQ(answers, 1);
    return response;
  }

  template <class Message>
  Message Sent() const {
    Message message;
    EXPECT_TRUE(message.ParseFromString(node_.last().request));
    return message;
  }

  // "status field: detail" of a problem.
  static std::string Problem(const Response& response) {
    EXPECT_EQ(response.content_type, "application/problem+json") << response.body;
    rapidjson::Document json;
    json.Parse(response.body.c_str());
    EXPECT_FALSE(json.HasParseError()) << response.body;
    EXPECT_EQ(json["status"].GetInt(), response.status);
    EXPECT_EQ(json["type"].GetString(), std::string("/problems/") + json["code"].GetString());
    EXPECT_TRUE(json["title"].IsString());
    if (json.HasMember("field")) {
      const std::string field = json["field"].GetString();
      EXPECT_TRUE(std::string_view(json["detail"].GetString()).starts_with(field + ": "));
    }
    return std::to_string(response.status) + " " + json["detail"].GetString();
  }

  static std::string Header(const Response& response, std::string_view name) {
    for (const auto& [key, value] : response.headers) {
      if (key == name) return value;
    }
    return "";
  }

  testing::Shop shop_;
  FakeNode node_;
  Handler handler_{shop_.registry, node_, "1.2.3"};
  const std::shared_ptr<const std::atomic<bool>> gone_ = std::make_shared<std::atomic<bool>>(false);
};

TEST_F(HandlerTest, WatchesOverCallersWhoWait) {
  Ask("GET", "/v1/shop/items?limit=1");
  EXPECT_EQ(node_.last().options.gone, nullptr) << "it does not wait";
  Ask("GET", "/v1/shop/items?wait_ms=5");
  EXPECT_EQ(node_.last().options.gone, gone_);
}

TEST_F(HandlerTest, RoutesByTheMostLiteralTemplate) {
  const auto method = [&](std::string_view verb, std::string_view target) {
    const size_t before = node_.seen().size();
    const Response response = Ask(verb, target, verb == "POST" ? R"({"id":"x"})" : "");
    if (node_.seen().size() == before) return std::to_string(response.status);
    return node_.last().method;
  };
  EXPECT_EQ(method("POST", "/v1/shop/items"), "Create");
  EXPECT_EQ(method("POST", "/make"), "Create");
  EXPECT_EQ(method("GET", "/v1/shop/items"), "List");
  EXPECT_EQ(method("GET", "/v1/shop/items/x"), "Get");
  EXPECT_EQ(method("GET", "/v1/shop/items:batch"), "Batch");
  EXPECT_EQ(method("GET", "/v1/shop/other"), "Batch");
  EXPECT_EQ(method("POST", "/v1/shop/items/x:sell"), "Sell");
  EXPECT_EQ(method("GET", "http://host:80/v1/shop/items/x"), "Get");
  for (const char* target :
       {"/v1/shop", "/v1/shop/items/", "/v1/shop/items/x/", "/v1//items", "//",
        "/v1/shop/items/x/y", "", "v1/shop/items", "/V1/shop/items", "/make/"}) {
    EXPECT_EQ(method("GET", target), "404") << target;
  }
  EXPECT_EQ(method("POST", "/v1/shop/items/:sell"), "405");  // GET would take it as an id.
}

TEST_F(HandlerTest, DecodesFieldsOfThePath) {
  const auto id = [&](std::string_view segment) {
    Ask("GET", "/v1/shop/items/" + std::string(segment));
    return Sent<GetRequest>().id();
  };
  EXPECT_EQ(id("plain"), "plain");
  EXPECT_EQ(id("a%2Fb%3ac%20d+e"), "a/b:c d+e");
  EXPECT_EQ(id("x:y"), "x:y");
  EXPECT_EQ(id("%C3%A9"), "\xC3\xA9");
  EXPECT_EQ(id("x:sell"), "x:sell");  // A verb of POST alone.
  Ask("POST", "/v1/shop/items/a%2Fb%3Asell:sell", "{}");
  EXPECT_EQ(Sent<SellRequest>().id(), "a/b:sell");

  EXPECT_EQ(Problem(Ask("GET", "/v1/shop/items/%zz")),
            "400 id: has a % in the path that two hex digits must follow");
  EXPECT_EQ(Problem(Ask("GET", "/v1/shop/items/a%4")),
            "400 id: has a % in the path that two hex digits must follow");
  EXPECT_EQ(Problem(Ask("GET", "/v1/shop/items/%FF")), "400 id: must be valid UTF-8");
}

TEST_F(HandlerTest, TakesQueryParametersOfAGet) {
  Ask("GET", "/v1/shop/items/x?limit=5&tags=a+b&tags=c%26&price.amount=3&&");
  const auto request = Sent<GetRequest>();
  EXPECT_EQ(request.limit(), 5);
  ASSERT_EQ(request.tags_size(), 2);
  EXPECT_EQ(request.tags(0), "a b");
  EXPECT_EQ(request.tags(1), "c&");
  EXPECT_EQ(request.price().amount(), 3);

  EXPECT_EQ(Problem(Ask("GET", "/v1/shop/items?nope=1")), "400 nope: unknown query parameter");
  EXPECT_EQ(Problem(Ask("GET", "/v1/shop/items?limit=x")), "400 limit: must be an integer");
  EXPECT_EQ(Problem(Ask("GET", "/v1/shop/items?limit")), "400 limit: must be an integer");
  const Response plus = Ask("GET", "/v1/shop/items?limit=+1");  // As +01:00 of a time, mostly.
  EXPECT_EQ(plus.status, 400);
  EXPECT_NE(plus.body.find("write a plus sign as %2B"), std::string::npos) << plus.body;
  EXPECT_EQ(Problem(Ask("GET", "/v1/shop/items?limit=1&limit=1")),
            "400 limit: appears more than once");
  EXPECT_EQ(Problem(Ask("GET", "/v1/shop/items/x?id=y")), "400 id: appears more than once");
  EXPECT_EQ(Problem(Ask("GET", "/v1/shop/items?limit=%")),
            "400 limit: has a % in the query that two hex digits must follow");
  EXPECT_EQ(Problem(Ask("GET", "/v1/shop/items?%FF=1")),
            "400 a name in the query is not valid UTF-8");
  EXPECT_EQ(Problem(Ask("GET", "/v1/shop/items", "{}")),
            "400 a GET takes no body; put the fields into the query");
}

TEST_F(HandlerTest, TakesTheBodyOfAPost) {
  EXPECT_EQ(Ask("POST", "/make", R"({"id": "x", "numbers": [1]})").status, 201);
  EXPECT_EQ(Sent<Everything>().numbers(0), 1);
  Ask("POST", "/ping");
  EXPECT_EQ(node_.last().method, "Ping");  // No body is {}.
  Ask("POST", "/v1/shop/items/x:sell", R"({"id": "x", "count": 2})");
  EXPECT_EQ(Sent<SellRequest>().count(), 2);

  EXPECT_EQ(Problem(Ask("POST", "/v1/shop/items/x:sell", R"({"id": "y"})")),
            "400 id: must be the same in the path and in the body");
  EXPECT_EQ(Problem(Ask("POST", "/make?big=1", R"({"id": "x"})")),
            "400 big: is not taken from the query of a POST; put it into the body");
  EXPECT_EQ(
      Problem(Ask("POST", "/make", R"({"id": "x", "offers": [{"amount": 1}, {"amount": "a"}]})")),
      "400 offers[1].amount: must be an integer");
  EXPECT_EQ(Problem(Ask("POST", "/make", "id=x")), "400 not valid JSON at byte 0: Invalid value.");
  EXPECT_EQ(Problem(Ask("POST", "/make", "{\"id\": \"\xFF\"}")).substr(0, 36),
            "400 id: not valid JSON at byte 8: In");
}

TEST_F(HandlerTest, ValidatesBeforeItCalls) {
  EXPECT_EQ(Problem(Ask("POST", "/make", "{}")).substr(0, 7), "400 id:");
  EXPECT_EQ(Problem(Ask("POST", "/make", R"({"id": "x", "price": {"amount": 0}})")).substr(0, 17),
            "400 price.amount:");
  const std::string big = R"({"id": "x", "blob": ")" + std::string(1'600'000, 'A') + "\"}";
  EXPECT_EQ(Problem(Ask("POST", "/make", big)), "413 the request takes 1200007 bytes; at most " +
                                                    std::to_string(bounds::kRequestBytesMax) +
                                                    " are allowed");
  EXPECT_TRUE(node_.seen().empty());
}

TEST_F(HandlerTest, PassesTheWordsOfTheHeaders) {
  const auto before = std::chrono::steady_clock::now();
  Ask("POST", "/make", R"({"id": "x"})",
      {{"IDEMPOTENCY-Key", "k 1"},
       {"Holdfast-After", "18446744073709551615"},
       {"holdfast-timeout-ms", "60000"},
       {"Content-Type", "application/x-www-form-urlencoded"}});
  auto options = node_.last().options;
  EXPECT_EQ(options.idempotency_key, "k 1");
  EXPECT_EQ(options.after, LogIndex(UINT64_MAX));
  EXPECT_EQ(options.consistency, node::Consistency::kSession);
  EXPECT_GE(options.deadline, before + std::chrono::seconds(60));

  Ask("GET", "/v1/shop/items", "",
      {{"Holdfast-Consistency", "linearizable"}, {"Idempotency-Key", "k"}});
  options = node_.last().options;
  EXPECT_EQ(options.consistency, node::Consistency::kLinearizable);
  EXPECT_EQ(options.idempotency_key, "");
  EXPECT_GE(options.deadline, before + std::chrono::milliseconds(bounds::kDeadlineMsDefault));
  EXPECT_LE(options.deadline, std::chrono::steady_clock::now() +
                                  std::chrono::milliseconds(bounds::kDeadlineMsDefault));
  Ask("GET", "/v1/shop/items?consistency=stale");
  EXPECT_EQ(node_.last().options.consistency, node::Consistency::kStale);
}

TEST_F(HandlerTest, RefusesHeadersThatAreNotOfTheirForm) {
  const auto refusal = [&](std::string_view name, std::string_view value) {
    return Problem(Ask("POST", "/make", R"({"id": "x"})", {{name, value}}));
  };
  const std::string key = "400 idempotency-key: must be 1 to 255 printable ASCII characters";
  EXPECT_EQ(refusal("Idempotency-Key", ""), key);
  EXPECT_EQ(refusal("Idempotency-Key", std::string(256, 'k')), key);
  EXPECT_EQ(refusal("Idempotency-Key", "\xC3\xA9"), key);
  for (const char* value : {"", "-1", "x", "1x", "18446744073709551616", " 1"}) {
    EXPECT_EQ(refusal("Holdfast-After", value),
              "400 holdfast-after: must be a holdfast-position from an earlier reply");
  }
  EXPECT_EQ(refusal("Holdfast-Consistency", "Stale"),
            "400 holdfast-consistency: must be session, linearizable or stale");
  for (const char* value : {"0", "60001", "x", ""}) {
    EXPECT_EQ(refusal("Holdfast-Timeout-Ms", value),
              "400 holdfast-timeout-ms: must be an integer from 1 to 60000");
  }
  EXPECT_EQ(Problem(Ask("POST", "/ping", "", {{"Idempotency-Key", "a"}, {"idempotency-key", "a"}})),
            "400 idempotency-key: appears more than once");
  EXPECT_EQ(Problem(Ask("GET", "/v1/shop/items?consistency=stale", "",
                        {{"Holdfast-Consistency", "session"}})),
            "400 consistency: is given twice, differently");
  EXPECT_EQ(Problem(Ask("GET", "/v1/shop/items?consistency=x")),
            "400 holdfast-consistency: must be session, linearizable or stale");
  EXPECT_TRUE(node_.seen().empty());
}

TEST_F(HandlerTest, TheOutcomeDecidesTheStatus) {
  const auto status = [&](testing::Outcome outcome) {
    testing::Reply reply;
    reply.set_outcome(outcome);
    node_.SetReply(FakeNode::ReplyOf(reply));
    const Response response = Ask("POST", "/make", R"({"id": "x"})");
    EXPECT_EQ(response.content_type, "application/json");
    EXPECT_EQ(response.body, "{\"outcome\":\"" + testing::Outcome_Name(outcome) + "\"}\n");
    return response.status;
  };
  EXPECT_EQ(status(testing::created), 201);
  EXPECT_EQ(status(testing::already_exists), 200);
  EXPECT_EQ(status(testing::sold_out), 422);
}

TEST_F(HandlerTest, ShowsWhatTheReplySaysOfItself) {
  node::Reply reply = FakeNode::ReplyOf(testing::Reply(), 42);
  reply.replayed = true;
  reply.age = std::chrono::milliseconds(17);
  node_.SetReply(std::move(reply));
  Response response = Ask("POST", "/make", R"({"id": "x"})");
  EXPECT_EQ(Header(response, "holdfast-position"), "42");
  EXPECT_EQ(Header(response, "idempotency-replayed"), "true");
  EXPECT_EQ(Header(response, "holdfast-age-ms"), "");
  response = Ask("GET", "/v1/shop/items?consistency=stale");
  EXPECT_EQ(Header(response, "holdfast-age-ms"), "17");

  node_.SetReply(FakeNode::ReplyOf(testing::Reply(), 0));
  response = Ask("POST", "/ping");
  EXPECT_TRUE(response.headers.empty());
}

TEST_F(HandlerTest, EveryErrorHasItsStatus) {
  const std::pair<ErrorCode, int> expected[] = {
      {ErrorCode::kInvalidArgument, 400},      {ErrorCode::kNotFound, 404},
      {ErrorCode::kUnimplemented, 404},        {ErrorCode::kTooLarge, 413},
      {ErrorCode::kIdempotencyKeyReused, 422}, {ErrorCode::kResourceExhausted, 429},
      {ErrorCode::kUnavailable, 503},          {ErrorCode::kDeadlineExceeded, 504},
      {ErrorCode::kOutcomeUnknown, 504},       {ErrorCode::kInternal, 500}};
  for (const auto& [code, status] : expected) {
    node_.SetReply(FakeNode::Failure(Error{code, "why", "", "", 0}));
    const Response response = Ask("POST", "/ping");
    EXPECT_EQ(Problem(response), std::to_string(status) + " why");
    EXPECT_NE(response.body.find(std::string("\"code\":\"") + ToString(code)), std::string::npos);
    const bool retry = code == ErrorCode::kResourceExhausted || code == ErrorCode::kUnavailable;
    EXPECT_EQ(Header(response, "Retry-After"), retry ? "1" : "") << ToString(code);
    EXPECT_EQ(Ask("GET", std::string("/problems/") + ToString(code)).status, 200);
  }
  EXPECT_EQ(AllErrors().size(), std::size(expected));

  node_.SetReply(FakeNode::Failure(Error{ErrorCode::kUnavailable, "w", "f", "h", 1001}));
  const Response response = Ask("POST", "/ping");
  EXPECT_EQ(Header(response, "Retry-After"), "2");
  EXPECT_EQ(response.body,
            R"({"type":"/problems/unavailable","title":"The service is unavailable","status":503,)"
            R"("code":"unavailable","detail":"f: w","field":"f","hint":"h","retry_after_ms":1001})"
            "\n");
}

TEST_F(HandlerTest, AReplyThatCannotBeReadIsAFaultOfOurs) {
  node::Reply reply;
  reply.body = "\xFF\xFF";
  node_.SetReply(std::move(reply));
  EXPECT_EQ(Problem(Ask("POST", "/ping")), "500 the reply could not be read");
}

TEST_F(HandlerTest, AGetThatWritesTakesNoHeadAndIsNotKept) {
  EXPECT_EQ(Header(Ask("GET", "/sell/x"), "Cache-Control"), "no-store");
  EXPECT_EQ(Header(Ask("GET", "/v1/shop/items/x"), "Cache-Control"), "");
  const Response response = Ask("HEAD", "/sell/x");
  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(Header(response, "Allow"), "GET, OPTIONS");
}

TEST_F(HandlerTest, TellsAWrongVerbFromAWrongPath) {
  Response response = Ask("POST", "/v1/shop/items/x");
  EXPECT_EQ(Problem(response), "405 this path takes GET, HEAD, OPTIONS only");
  EXPECT_EQ(Header(response, "Allow"), "GET, HEAD, OPTIONS");
  response = Ask("DELETE", "/v1/shop/items");
  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(Header(response, "Allow"), "GET, POST, HEAD, OPTIONS");
  response = Ask("OPTIONS", "/make");
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(Header(response, "Allow"), "POST, OPTIONS");
  EXPECT_EQ(Ask("OPTIONS", "*").status, 204);
  EXPECT_EQ(Ask("POST", "/openapi.json").status, 405);
  EXPECT_EQ(Problem(Ask("GET", "/nope")), "404 no such route");
  EXPECT_EQ(Problem(Ask("GET", "/problems/nope")), "404 no such route");
  EXPECT_EQ(Ask("HEAD", "/v1/shop/items").body, Ask("GET", "/v1/shop/items").body);
}

TEST_F(HandlerTest, TheIndexSaysWhereToGo) {
  const Response response = Ask("GET", "/");
  EXPECT_EQ(response.status, 200);
  EXPECT_NE(response.body.find("/openapi.json"), std::string::npos);
  EXPECT_NE(response.body.find("shop: A shop of tests."), std::string::npos);
}

TEST_F(HandlerTest, OpenApiHoldsEveryRouteAndResolves) {
  const Response response = Ask("GET", "/openapi.json");
  EXPECT_EQ(response.body, OpenApiJson(shop_.registry, "1.2.3") + "\n");
  rapidjson::Document json;
  json.Parse(response.body.c_str());
  ASSERT_FALSE(json.HasParseError());
  EXPECT_STREQ(json["openapi"].GetString(), "3.0.3");
  EXPECT_STREQ(json["info"]["version"].GetString(), "1.2.3");
  std::set<std::string> operations;
  for (const auto& method : shop_.registry.methods()) {
    for (const auto& route : method->options.http()) {
      const std::string& path = route.has_get() ? route.get() : route.post();
      const char* verb = route.has_get() ? "get" : "post";
      ASSERT_TRUE(json["paths"].HasMember(path.c_str())) << path;
      ASSERT_TRUE(json["paths"][path.c_str()].HasMember(verb)) << path;
      const auto& operation = json["paths"][path.c_str()][verb];
      EXPECT_EQ(operation["summary"].GetString(), method->options.help());
      EXPECT_TRUE(operations.insert(operation["operationId"].GetString()).second);
      EXPECT_TRUE(operation["responses"].HasMember("default"));
    }
  }
  // Every reference leads somewhere.
  size_t references = 0;
  for (size_t at = 0; (at = response.body.find("\"$ref\":\"#/", at)) != std::string::npos;) {
    at += 10;
    const std::string path = response.body.substr(at, response.body.find('"', at) - at);
    const rapidjson::Value* value = &json;
    std::istringstream parts(path);
    for (std::string part; std::getline(parts, part, '/');) {
      ASSERT_TRUE(value->HasMember(part.c_str())) << path;
      value = &(*value)[part.c_str()];
    }
    ++references;
  }
  EXPECT_GT(references, 10u);

  const auto& schemas = json["components"]["schemas"];
  const auto& properties = schemas["holdfast.api.testing.Everything"]["properties"];
  EXPECT_STREQ(schemas["holdfast.api.testing.Everything"]["required"][0].GetString(), "id");
  EXPECT_EQ(properties["id"]["maxLength"].GetInt(), 16);
  EXPECT_STREQ(properties["id"]["description"].GetString(), "Names it, for ever.");
  EXPECT_EQ(properties["limit"]["oneOf"].Size(), 2u);
  EXPECT_STREQ(properties["at"]["format"].GetString(), "date-time");
  EXPECT_EQ(properties["offers"]["maxItems"].GetInt(), 4);
  const auto& create = json["paths"]["/make"]["post"];
  EXPECT_TRUE(create["responses"].HasMember("201"));
  EXPECT_TRUE(create["responses"].HasMember("422"));
  const auto& get = json["paths"]["/v1/shop/items/{id}"]["get"]["parameters"];
  EXPECT_STREQ(get[0]["in"].GetString(), "path");
  EXPECT_TRUE(get[0]["required"].GetBool());
}

}  // namespace
}  // namespace holdfast::api::http
