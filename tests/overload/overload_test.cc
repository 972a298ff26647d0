// Several times the load that a cluster can carry: it goes on doing as much as it can, answers what
// it takes in time, refuses the rest at once, and keeps what it took.
//
// HOLDFAST_OVERLOAD_SECONDS: how long each; 5 by default. Rates and times are judged only when the
// machine had nothing else to do. Goodput stays within 20 % of the most over a minute; a few
// seconds hold one checkpoint more or less, and only show that it does not collapse.
#include <cstdlib>
#include <iostream>

#include "src/base/bounds.h"
#include "tests/overload/overload_fixture.h"
#include "tests/support/raw_connection.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using namespace testing;

constexpr uint64_t kMemoryBytesMax = 600 << 20;
constexpr seconds kLong(30);  // Averages out what a checkpoint takes.

seconds Length() {
  const char* text = std::getenv("HOLDFAST_OVERLOAD_SECONDS");
  return seconds(text == nullptr ? 5 : std::max(1, std::atoi(text)));
}

// Transfers of 1 from `account` to "sink".
std::string Transfer(const std::string& account, const std::string& id) {
  return R"({"id":")" + id + R"(","from":")" + account + R"(","to":"sink","amount":1})";
}
std::string BatchRequest(const std::string& account, uint64_t number, int transfers) {
  std::string body = R"({"transfers":[)";
  for (int i = 0; i < transfers; ++i) {
    if (i > 0) body += ',';
    body += Transfer(account, account + "-" + std::to_string(number) + "-" + std::to_string(i));
  }
  return HttpRequestText("POST", "/v1/ledger/transfers:batch", body + "]}");
}
std::string SingleRequest(const std::string& account, uint64_t number) {
  return HttpRequestText("POST", "/v1/ledger/transfers",
                         Transfer(account, account + "-" + std::to_string(number)));
}

void Print(const char* what, const LoadResult& load) {
  std::cout << what << ": " << load.seconds << " s, offered "
            << static_cast<double>(load.offered) / load.seconds << "/s, goodput " << load.goodput()
            << "/s, accepted " << load.accepted << " (p50 " << Quantile(load.accepted_ms, 0.5)
            << " ms, p99 " << Quantile(load.accepted_ms, 0.99) << " ms), refused " << load.refused
            << " (p50 " << Quantile(load.refused_ms, 0.5) << " ms, p99 "
            << Quantile(load.refused_ms, 0.99) << " ms), without a connection " << load.unsent
            << ", interrupted " << load.interrupted << ", others " << load.others << ", lost "
            << load.lost << ", longest pause of the load " << load.pause_ms << " ms" << std::endl;
}

class FourTimesTest : public OverloadTest {
 protected:
  using Request = std::function<std::string(const std::string& account, uint64_t number)>;

  static void SetUpTestSuite() {
    OverloadTest::SetUpTestSuite();
    OpenAccount("sink");
  }

  // `weight` transfers in a request.
  void Run(const std::string& name, int64_t weight, const Request& request) {
    RaiseFiles();
    const Bystanders bystanders(cluster());
    const std::string calm = name + "-calm", stormy = name + "-stormy";
    OpenAccount(stormy);
    const uint64_t term = cluster().Term();
    const LoadResult before = Calm(name + ", 256 clients before", calm + "-1", request);
    LoadOptions options = Options();
    options.connections = 4'096;
    options.duration = Length();
    options.per_second = 4 * before.goodput();
    options.request = [&](uint64_t number) { return request(stormy, number); };
    const LoadResult load = RunLoad(options);
    Print((name + ", 4 times the capacity").c_str(), load);
    ExpectKept(stormy, weight, load);
    // Before and after: what the nodes hold grows meanwhile, and what checkpoints cost with it.
    const LoadResult after = Calm(name + ", 256 clients after", calm + "-2", request);
    ExpectInterruptedByAnElection(before.interrupted + load.interrupted + after.interrupted, term);
    ExpectInTime((before.goodput() + after.goodput()) / 2, load, bystanders.Share());
  }

  static LoadOptions Options() {
    LoadOptions options;
    options.port = cluster().http(leader());
    options.cpu = 0;
    return options;
  }

  // As much as the cluster carries.
  static LoadResult Calm(const std::string& what, const std::string& account,
                         const Request& request) {
    OpenAccount(account);
    LoadOptions options = Options();
    options.connections = 256;
    options.duration = std::max<milliseconds>(seconds(3), Length() / 3);
    options.request = [&](uint64_t number) { return request(account, number); };
    LoadResult load = RunLoad(options);
    Print(what.c_str(), load);
    EXPECT_EQ(load.others, 0u) << load.first_other;
    return load;
  }

  // Exactly what was accepted was done, and nothing that was refused; and memory stayed bounded.
  void ExpectKept(const std::string& account, int64_t weight, const LoadResult& load) {
    EXPECT_EQ(load.others, 0u) << load.first_other;
    EXPECT_EQ(load.lost, 0u);
    EXPECT_GT(load.refused + load.unsent, 0u);
    for (int node = 1; node <= cluster().size(); ++node) {
      std::cout << "node " << node << ": " << (PeakMemoryOf(node) >> 20) << " MB at most\n";
      EXPECT_LE(PeakMemoryOf(node), kMemoryBytesMax);
    }
    ExpectEqualAndServing();
    const int64_t paid = -BalanceOf(account);
    EXPECT_GE(paid, weight * static_cast<int64_t>(load.accepted));
    EXPECT_LE(paid, weight * static_cast<int64_t>(load.accepted + load.interrupted));
    EXPECT_EQ(paid % weight, 0);
  }

  static void ExpectInTime(double most, const LoadResult& load, double others) {
    std::cout << "goodput " << load.goodput() / most << " of the most; others took " << others
              << " of the machine\n";
    if (others > 0.15) {
      std::cout << "which leaves nothing to be said about time\n";
      return;
    }
    EXPECT_GE(load.goodput(), (Length() >= kLong ? 0.8 : 0.5) * most);
    EXPECT_LE(Quantile(load.accepted_ms, 0.99), 4 * bounds::kWaitMsMax);
    EXPECT_LE(Quantile(load.refused_ms, 0.5), bounds::kWaitMsMax);
  }
};

TEST_F(FourTimesTest, BatchesOfAHundred) {
  Run("batches", 100, [](const std::string& account, uint64_t number) {
    return BatchRequest(account, number, 100);
  });
}

TEST_F(FourTimesTest, SingleTransfers) { Run("singles", 1, SingleRequest); }

}  // namespace
}  // namespace holdfast
