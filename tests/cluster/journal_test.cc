// A log that is fed through a pipe while the leader is killed: every line is in the journal once,
// at every node under the same number.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <optional>
#include <sstream>

#include "services/journal/journal.pb.h"
#include "src/base/utc_text.h"
#include "src/client/client.h"
#include "tests/support/process_cluster.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_folder.h"

namespace holdfast {
namespace {

using testing::ProcessCluster;
using testing::RunHoldfast;

constexpr int kLines = 600;

int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string EndpointOf(const ProcessCluster& cluster, int node) {
  return "127.0.0.1:" + std::to_string(cluster.grpc(node));
}

// The bodies of all that was released, in the order of their numbers.
std::vector<std::string> Followed(const std::string& endpoint) {
  client::Client client({endpoint});
  std::vector<std::string> bodies;
  journal::FollowRequest request;
  request.set_journal("ops");
  request.set_limit(250);
  while (true) {
    request.set_wait_ms(bodies.size() < kLines ? 3'000 : 300);
    const auto page =
        client.Call<journal::FollowReply>("/holdfast.journal.Journal/Follow", request);
    EXPECT_TRUE(page.has_value()) << (page ? "" : page.error().message);
    if (!page || page->message.records().empty()) break;
    for (const journal::Record& record : page->message.records()) {
      EXPECT_EQ(record.number(), bodies.size() + 1);
      bodies.push_back(record.body());
    }
    request.set_after(page->message.after());
  }
  return bodies;
}

// Waits until so many lines were released.
bool WaitReleased(const std::string& endpoint, uint64_t wanted) {
  client::Client client({endpoint});
  journal::FollowRequest request;
  request.set_journal("ops");
  request.set_wait_ms(5'000);
  while (request.after() < wanted) {
    const auto page =
        client.Call<journal::FollowReply>("/holdfast.journal.Journal/Follow", request);
    if (!page || page->message.records().empty()) return false;
    request.set_after(page->message.after());
  }
  return true;
}

TEST(JournalClusterTest, ALogIsFedThroughAFailoverWithoutALineLostOrTwice) {
  ProcessCluster cluster(3);
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitHealthy()) << cluster.LogOf(1);
  ASSERT_EQ(
      RunHoldfast("journal create --name ops --window-ms 200 --endpoints " + EndpointOf(cluster, 1))
          .code,
      0);
  testing::TempFolder folder;
  const std::string said = folder.path() + "/said";
  FILE* feed =
      popen((ProcessCluster::Program() + " journal feed --journal ops --source web --endpoints " +
             EndpointOf(cluster, 1) + "," + EndpointOf(cluster, 2) + "," + EndpointOf(cluster, 3) +
             " > " + said + " 2>&1")
                .c_str(),
            "w");
  ASSERT_NE(feed, nullptr);
  const int leader = cluster.WaitLeader();
  std::vector<std::string> wanted;
  for (int i = 0; i < kLines; ++i) {
    const std::string line = UtcText(NowUs(), 6) + " line " + std::to_string(i);
    wanted.push_back(line);
    fprintf(feed, "%s\n", line.c_str());
    if (i == kLines / 2) {
      // In the midst: some are in the journal, and the others go to the next leader.
      fflush(feed);
      EXPECT_TRUE(WaitReleased(EndpointOf(cluster, leader), kLines / 2));
      cluster.Kill(leader);
    }
  }
  const int status = pclose(feed);
  std::ostringstream output;
  output << std::ifstream(said).rdbuf();
  std::sort(wanted.begin(), wanted.end());
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << output.str();
  std::optional<std::vector<std::string>> first;
  for (int node = 1; node <= 3; ++node) {
    if (node == leader) continue;
    std::vector<std::string> followed = Followed(EndpointOf(cluster, node));
    if (!first) first = followed;
    EXPECT_EQ(followed, *first) << "node " << node << " tells it in another order";
    // By corrected times two lines may change places within their errors; by their own they are
    // what was written.
    std::sort(followed.begin(), followed.end());
    EXPECT_EQ(followed, wanted) << "node " << node << "\n" << output.str();
  }
}

}  // namespace
}  // namespace holdfast
