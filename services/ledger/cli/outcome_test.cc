// `holdfast outcome` against a node: committed, rejected, pending, never seen, by key and by
// transfer.
#include <gtest/gtest.h>

#include "holdfast/requests.pb.h"
#include "services/ledger/cli/commands.h"
#include "services/ledger/ledger.pb.h"
#include "src/cli/testing.h"

namespace holdfast::ledger {
namespace {

using cli::Ran;

class OutcomeTest : public ::testing::Test {
 protected:
  OutcomeTest() {
    for (const char* id : {"rich", "poor"}) {
      Run({"ledger", "create-account", "--id", id, "--currency", "EUR", "--overdraft",
           id == std::string("rich") ? "true" : "0"});
    }
  }
  Ran Run(std::vector<std::string> arguments) {
    arguments.push_back("--endpoints=" + node_.endpoint());
    arguments.push_back("--compact");
    return program_.Run(std::move(arguments));
  }
  int Pay(const std::string& id, const char* from, const char* to, const std::string& key) {
    return Run({"ledger", "create-transfer", "--id", id, "--from", from, "--to", to, "--amount",
                "5", "--idempotency-key", key})
        .code;
  }

  cli::TestNode node_;
  cli::TestProgram program_{RegisterCommands};
};

TEST_F(OutcomeTest, ByKey) {
  ASSERT_EQ(Pay("t1", "rich", "poor", "good"), cli::kExitOk);
  ASSERT_EQ(Pay("t2", "poor", "rich", "spend"), cli::kExitOk);
  ASSERT_EQ(Pay("t3", "poor", "rich", "broke"), cli::kExitRefused);

  const Ran committed = Run({"outcome", "--key", "good"});
  EXPECT_EQ(committed.code, cli::kExitOk) << committed.err;
  EXPECT_EQ(committed.out.substr(0, committed.out.find('\n')), "committed");
  EXPECT_NE(committed.out.find(R"("outcome":"created")"), std::string::npos) << committed.out;

  const Ran rejected = Run({"outcome", "--key=broke", "--method", "ledger.CreateTransfer"});
  EXPECT_EQ(rejected.code, cli::kExitOk) << rejected.err;
  EXPECT_EQ(rejected.out.substr(0, rejected.out.find('\n')), "rejected");
  EXPECT_NE(rejected.out.find(R"("outcome":"insufficient_funds")"), std::string::npos);

  const Ran never = Run({"outcome", "--key", "nobody's"});
  EXPECT_EQ(never.code, cli::kExitRefused);
  EXPECT_EQ(never.out, "never_seen\n");
}

// What went wrong: "rejected, for good", or "committed", of a pull whose call was still waiting.
TEST_F(OutcomeTest, WhatMayStillBeDoneIsPending) {
  ASSERT_EQ(Run({"queues", "create", "--name", "q"}).code, cli::kExitOk);
  Run({"queues", "pull", "--queue", "q", "--wait-ms", "1", "--idempotency-key", "k"});
  const Ran pending = Run({"outcome", "--key", "k"});
  EXPECT_EQ(pending.code, cli::kExitRefused) << pending.err;
  EXPECT_EQ(pending.out.substr(0, pending.out.find('\n')), "pending");
  EXPECT_NE(pending.out.find(R"("outcome":"empty")"), std::string::npos) << pending.out;
}

TEST_F(OutcomeTest, AKeyBelongsToAMethod) {
  ASSERT_EQ(Pay("t1", "rich", "poor", "k"), cli::kExitOk);
  EXPECT_EQ(Run({"outcome", "--key", "k", "--method", "ledger.Pay"}).out, "never_seen\n");
  ASSERT_EQ(Run({"counter", "add", "--name", "n", "--amount", "1", "--idempotency-key", "k"}).code,
            cli::kExitOk);
  const Ran two = Run({"outcome", "--key", "k"});
  EXPECT_EQ(two.code, cli::kExitUsage);
  EXPECT_NE(two.err.find("several methods"), std::string::npos) << two.err;
  EXPECT_EQ(Run({"outcome", "--key", "k", "--method", "/holdfast.ledger.Ledger/CreateTransfer"})
                .out.substr(0, 9),
            "committed");
  EXPECT_EQ(Run({"outcome", "--key", "k", "--method", "holdfast.ledger.Ledger/Pay"}).out,
            "never_seen\n");
  const Ran unknown = Run({"outcome", "--key", "k", "--method", "ledger.Steal"});
  EXPECT_EQ(unknown.code, cli::kExitUsage);
  EXPECT_NE(unknown.err.find("written as counter.Add or /holdfast.counter.Counter/Add"),
            std::string::npos)
      << unknown.err;
  EXPECT_EQ(Run({"outcome", "--key", "k", "--method", "ledger.GetAccount"}).code, cli::kExitUsage);
}

TEST_F(OutcomeTest, ByTransfer) {
  ASSERT_EQ(Pay("t1", "poor", "rich", "a"), cli::kExitRefused);
  ASSERT_EQ(Pay("t2", "rich", "poor", "b"), cli::kExitOk);
  const Ran burnt = Run({"outcome", "--transfer", "t1"});
  EXPECT_EQ(burnt.code, cli::kExitOk);
  EXPECT_EQ(burnt.out.substr(0, 9), "rejected\n");
  EXPECT_NE(burnt.out.find("insufficient_funds"), std::string::npos) << burnt.out;
  EXPECT_EQ(Run({"outcome", "--transfer", "t2"}).out.substr(0, 10), "committed\n");
  const Ran never = Run({"outcome", "--transfer", "t3"});
  EXPECT_EQ(never.out, "never_seen\n");
  EXPECT_EQ(never.code, cli::kExitRefused);
}

TEST_F(OutcomeTest, NamesExactlyOneRequest) {
  EXPECT_EQ(Run({"outcome"}).code, cli::kExitUsage);
  EXPECT_EQ(Run({"outcome", "--key", "a", "--transfer", "b"}).code, cli::kExitUsage);
  EXPECT_EQ(Run({"outcome", "--help"}).code, cli::kExitOk);
}

// A reply with its log position to a session is not enough: another's write may be later.
TEST_F(OutcomeTest, ASessionReadOfItIsLinearizable) {
  client::Client client({node_.endpoint()});
  const auto before = client.position();
  ASSERT_EQ(Pay("t1", "rich", "poor", "later"), cli::kExitOk);
  requests::GetOutcomeRequest request;
  request.set_key("later");
  const auto reply =
      client.Call<requests::GetOutcomeReply>("/holdfast.requests.Requests/GetOutcome", request);
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->message.state(), requests::GetOutcomeReply::committed);
  EXPECT_EQ(reply->message.outcome(), "created");
  EXPECT_GT(reply->position, before);
}

}  // namespace
}  // namespace holdfast::ledger
