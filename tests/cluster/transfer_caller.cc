#include "tests/cluster/transfer_caller.h"

#include <gtest/gtest.h>

#include "src/api/json.h"

namespace holdfast::testing {
namespace {

constexpr std::chrono::seconds kPatience{40};
constexpr std::chrono::seconds kAttempt{5};
constexpr char kTransfers[] = "/v1/ledger/transfers";
constexpr char kCreateTransfer[] = "/holdfast.ledger.Ledger/CreateTransfer";

std::string OutcomeName(const ledger::TransferReply& reply) {
  return ledger::TransferOutcome::Code_Name(reply.outcome());
}

bool IsOpen(ErrorCode code) {
  return code == ErrorCode::kUnavailable || code == ErrorCode::kDeadlineExceeded ||
         code == ErrorCode::kOutcomeUnknown || code == ErrorCode::kResourceExhausted;
}

}  // namespace

TransferCaller::TransferCaller(const ProcessCluster& cluster, int node, Door door)
    : door_(door), next_(static_cast<size_t>(node - 1)) {
  for (int i = 1; i <= cluster.size(); ++i) {
    if (door == Door::kHttp) {
      http_.emplace_back(cluster.http(i), kAttempt);
      continue;
    }
    client::Options options;
    options.timeout = kAttempt;
    options.auto_key = false;  // The test's keys, or none.
    grpc_.push_back(std::make_unique<client::Client>(
        std::vector<std::string>{"127.0.0.1:" + std::to_string(cluster.grpc(i))}, options));
  }
}

Answer TransferCaller::Transfer(const ledger::CreateTransferRequest& request,
                                const std::string& key) {
  const std::string body =
      door_ == Door::kHttp ? api::ToJson(request) : request.SerializeAsString();
  const auto until = std::chrono::steady_clock::now() + kPatience;
  for (bool repeated = false; std::chrono::steady_clock::now() < until; repeated = true) {
    Answer answer;
    answer.door = door_;
    answer.repeated = repeated;
    const bool answered =
        door_ == Door::kHttp ? TryHttp(body, key, &answer) : TryGrpc(body, key, &answer);
    if (answered) return answer;
    next_ = (next_ + 1) % std::max(http_.size(), grpc_.size());
  }
  return {};
}

bool TransferCaller::TryHttp(const std::string& body, const std::string& key, Answer* answer) {
  HttpClient::Headers headers;
  if (!key.empty()) headers["Idempotency-Key"] = key;
  HttpReply reply = http_[next_].Post(kTransfers, body, headers);
  if (reply.status == 0 || reply.status == 429 || reply.status == 503 || reply.status == 504) {
    return false;
  }
  answer->replayed = reply.headers["idempotency-replayed"] == "true";
  answer->bytes = std::move(reply.body);
  if (reply.headers["content-type"] == "application/json") {
    const Result<void> parsed = api::ParseJson(answer->bytes, &answer->reply);
    EXPECT_TRUE(parsed) << answer->bytes;
    answer->outcome = OutcomeName(answer->reply);
  } else {
    answer->outcome = JsonField(answer->bytes, "code");
    answer->field = JsonField(answer->bytes, "field");
  }
  return true;
}

bool TransferCaller::TryGrpc(const std::string& body, const std::string& key, Answer* answer) {
  client::CallOptions options;
  options.idempotency_key = key;
  Result<client::Reply> reply = grpc_[next_]->Call(kCreateTransfer, body, options);
  if (!reply) {
    if (IsOpen(reply.error().code)) return false;
    answer->outcome = ToString(reply.error().code);
    answer->field = reply.error().field;
    return true;
  }
  answer->replayed = reply->replayed;
  answer->bytes = std::move(reply->body);
  EXPECT_TRUE(answer->reply.ParseFromString(answer->bytes));
  answer->outcome = OutcomeName(answer->reply);
  return true;
}

ledger::CreateTransferRequest MakeTransfer(const std::string& id, const std::string& from,
                                           const std::string& to, int64_t amount) {
  ledger::CreateTransferRequest request;
  request.set_id(id);
  request.set_from(from);
  request.set_to(to);
  request.set_amount(amount);
  return request;
}

int64_t BalanceAt(const ProcessCluster& cluster, int node, const std::string& account) {
  const HttpReply reply =
      HttpClient(cluster.http(node))
          .Get("/v1/ledger/accounts/" + account, {{"Holdfast-Consistency", "linearizable"}});
  EXPECT_EQ(reply.status, 200) << reply.body;
  return reply.status == 200 ? std::stoll(JsonField(reply.body, "balance")) : INT64_MIN;
}

void OpenAccount(const ProcessCluster& cluster, const std::string& id,
                 const std::string& overdraft) {
  const HttpReply reply =
      HttpClient(cluster.http(1))
          .PostUntilKnown(
              "/v1/ledger/accounts",
              R"({"id":")" + id + R"(","currency":"EUR","overdraft":)" + overdraft + "}");
  ASSERT_EQ(reply.status, 201) << reply.body;
}

}  // namespace holdfast::testing
