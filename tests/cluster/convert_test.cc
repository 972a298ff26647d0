// What needs no log, no quorum and no state is answered by a node that has none of them: over HTTP,
// gRPC and the command line, by a node that is cut off, and by one whose cluster was never founded.
#include <gtest/gtest.h>

#include <chrono>

#include "services/convert/convert.pb.h"
#include "tests/support/grpc_client.h"
#include "tests/support/http_client.h"
#include "tests/support/process_cluster.h"
#include "tests/support/run_program.h"

namespace holdfast {
namespace {

using testing::GrpcClient;
using testing::GrpcReply;
using testing::HttpClient;
using testing::HttpReply;
using testing::ProcessCluster;

constexpr char kCall[] = "/v1/convert?from=USD&to=INR&amount=100.00&rate=83.1250";
constexpr char kAnswer[] =
    R"({"from":"USD","to":"INR","amount":"100.00","converted":"8312.50","amount_minor":"10000",)"
    R"("converted_minor":"831250","rounding":"half_even","exact":true})"
    "\n";

// Through every door of one node.
void ExpectConverts(const ProcessCluster& cluster, int node) {
  const HttpReply http = HttpClient(cluster.http(node)).Get(kCall);
  EXPECT_EQ(http.status, 200) << http.body;
  EXPECT_EQ(http.body, kAnswer);

  convert::ConvertRequest request;
  request.set_from("USD");
  request.set_to("INR");
  request.set_amount("100.00");
  request.set_rate("83.1250");
  const GrpcReply grpc =
      GrpcClient(cluster.grpc(node))
          .Call("/holdfast.convert.Convert/Convert", request.SerializeAsString());
  ASSERT_TRUE(grpc.ok) << grpc.message;
  convert::ConvertReply reply;
  ASSERT_TRUE(reply.ParseFromString(grpc.body));
  EXPECT_EQ(reply.converted(), "8312.50");

  const testing::Ended ended =
      testing::RunHoldfast("--endpoints 127.0.0.1:" + std::to_string(cluster.grpc(node)) +
                           " --compact convert --from USD --to INR --amount 100.00 --rate 83.1250");
  EXPECT_EQ(ended.code, 0) << ended.output;
  EXPECT_EQ(ended.output, kAnswer);
}

TEST(ConvertTest, ANodeThatIsCutOffConvertsAndDoesNothingElse) {
  ProcessCluster cluster(3);
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  for (int node = 1; node <= 3; ++node) ExpectConverts(cluster, node);
  const int leader = cluster.WaitLeader();
  ASSERT_NE(leader, 0);
  for (const int alone : {leader, 1 + leader % 3}) {
    for (int node = 1; node <= 3; ++node) {
      if (node != alone) cluster.Freeze(node);
    }
    ExpectConverts(cluster, alone);
    // It is cut off indeed: what needs a majority waits for one, and gets none.
    const HttpReply read =
        HttpClient(cluster.http(alone))
            .Get("/todos?consistency=linearizable", {{"Holdfast-Timeout-Ms", "300"}});
    EXPECT_TRUE(read.status == 503 || read.status == 504) << read.status << read.body;
    ExpectConverts(cluster, alone);
    for (int node = 1; node <= 3; ++node) {
      if (node != alone) cluster.Thaw(node);
    }
    ASSERT_TRUE(cluster.WaitHealthy());
  }
}

TEST(ConvertTest, ANodeWhoseClusterWasNeverFoundedConverts) {
  ProcessCluster cluster(3);
  cluster.Start(2);
  HttpReply first;
  // Until its doors are open.
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (first.status == 0 && std::chrono::steady_clock::now() < until) {
    first = HttpClient(cluster.http(2)).Get(kCall);
  }
  ASSERT_EQ(first.body, kAnswer) << cluster.LogOf(2);
  ExpectConverts(cluster, 2);
}

TEST(ConvertTest, AMistakeIsNamedWhereverItIsMade) {
  ProcessCluster cluster(1);
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy());
  HttpClient http(cluster.http(1));
  const auto field = [&](const std::string& query) {
    const HttpReply reply = http.Get("/v1/convert?" + query);
    return std::to_string(reply.status) + " " + testing::JsonField(reply.body, "field");
  };
  EXPECT_EQ(field("from=USD&to=INR&amount=100.005&rate=83.1250"), "400 amount");
  EXPECT_EQ(field("from=USD&to=INR&amount=1e2&rate=83.1250"), "400 amount");
  EXPECT_EQ(field("from=USD&to=INR&amount=100.00"), "400 rate");
  EXPECT_EQ(field("from=USD&to=INR&amount=100.00&rate=0"), "400 rate");
  EXPECT_EQ(field("from=USD&to=ABC&amount=100.00&rate=1"), "400 to");
  EXPECT_EQ(field("from=USD&to=INR&amount=1&rate=1&rounding=bankers"), "400 rounding");
  EXPECT_EQ(field("from=USD&to=INR&amount=99999999999999999999999999999999999999&rate=1"),
            "400 amount");
  // A number of JSON would have been through somebody's floating point.
  const HttpReply number =
      http.Post("/v1/convert", R"({"from":"USD","to":"INR","amount":100.00,"rate":"83.1250"})");
  EXPECT_EQ(number.status, 400) << number.body;
  EXPECT_EQ(testing::JsonField(number.body, "field"), "amount");
  const HttpReply rates = http.Post(
      "/v1/convert",
      R"({"from":"USD","to":"INR","amount":"1.00","base":"EUR","rates":{"USD":"1.1","INR":"x"}})");
  EXPECT_EQ(rates.status, 400) << rates.body;
  EXPECT_EQ(testing::JsonField(rates.body, "field"), "rates.INR");
}

}  // namespace
}  // namespace holdfast
