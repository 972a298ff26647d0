#include "src/node/cluster_service.h"

#include <gtest/gtest.h>

#include "holdfast/cluster.pb.h"
#include "src/store/memory/memory_base.h"

namespace holdfast::node {
namespace {

class ClusterServiceTest : public ::testing::Test {
 protected:
  ClusterServiceTest() {
    RegisterClusterService(registry_, {[this] { return status_; }, [] { return NodeFigures(); },
                                       [] { return NodeLoad(); }});
    registry_.Finish();
    status_.live = status_.ready = status_.founded = true;
    status_.leader = NodeId(2);
  }
  cluster::HealthReply Health() {
    cluster::HealthReply reply;
    EXPECT_TRUE(registry_.Find("/holdfast.cluster.Cluster/Ready")
                    ->stateless(cluster::ReadyRequest(), &reply));
    return reply;
  }

  store::Store store_{std::make_unique<store::MemoryBase>()};
  state_machine::Registry registry_{store_};
  NodeStatus status_;
};

TEST_F(ClusterServiceTest, AReadyNodeNeedsNoReason) {
  EXPECT_EQ(Health().status(), cluster::HealthReply::ready);
  EXPECT_TRUE(Health().is_ready());
  EXPECT_EQ(Health().reason(), "");
}

TEST_F(ClusterServiceTest, EveryOtherStateHasItsReason) {
  status_.ready = false;
  EXPECT_EQ(Health().reason(), "this node has yet to catch up with the log");
  status_.caught_up = true;
  status_.silent_ms = 1234;
  EXPECT_EQ(Health().status(), cluster::HealthReply::no_quorum);
  EXPECT_EQ(Health().reason(), "nothing was heard of the leader, node 2, for 1234 ms");
  status_.leader = NodeId(0);
  EXPECT_NE(Health().reason().find("no leader is known"), std::string::npos);
  status_.founded = false;
  EXPECT_EQ(Health().status(), cluster::HealthReply::founding);
  EXPECT_NE(Health().reason().find("the cluster is new"), std::string::npos);
  status_.ready = status_.founded = true;
  status_.stopping = true;
  EXPECT_EQ(Health().status(), cluster::HealthReply::stopping);
  EXPECT_FALSE(Health().is_ready());
  status_.live = false;
  EXPECT_EQ(Health().status(), cluster::HealthReply::stuck) << "the worst comes first";
  cluster::LiveReply live;
  ASSERT_TRUE(
      registry_.Find("/holdfast.cluster.Cluster/Live")->stateless(cluster::LiveRequest(), &live));
  EXPECT_EQ(live.status(), cluster::LiveReply::stuck);
}

// It is dialled by every node from then on, and shown to operators.
TEST_F(ClusterServiceTest, AnAddressOfAMemberIsAHostAndAPort) {
  std::vector<std::string> changed;
  store::Store store(std::make_unique<store::MemoryBase>());
  state_machine::Registry registry(store);
  RegisterClusterService(registry, {[this] { return status_; }, [] { return NodeFigures(); },
                                    [] { return NodeLoad(); },
                                    [&](MembershipChange change) -> Result<LogIndex> {
                                      changed.push_back(change.address);
                                      return LogIndex(1);
                                    }});
  registry.Finish();
  const auto add = [&](const std::string& address) {
    cluster::ChangeMembersRequest request;
    request.set_change(cluster::ChangeMembersRequest::add);
    request.set_node(4);
    request.set_address(address);
    cluster::ChangeMembersReply reply;
    return registry.Find("/holdfast.cluster.Cluster/ChangeMembers")->stateless(request, &reply);
  };
  const std::vector<std::string> good = {"10.0.0.4:7004", "node-4.example.org:1", "node_4:65535",
                                         "[::1]:7004", "[fe80::1%1]:7004"};
  for (const std::string& address : good) EXPECT_TRUE(add(address)) << address;
  EXPECT_EQ(changed, good);
  for (const char* address :
       {"",         ":",      ":7004", "10.0.0.4", "10.0.0.4:",     "10.0.0.4:0", "10.0.0.4:65536",
        "h:+7",     "h: 7",   "h:7 ",  "h:7x",     "h:00000000007", "ho st:7",    " h:7",
        "h\n:7",    "h\t:7",  "h/x:7", "h@x:7",    "h,i:7",         "h=i:7",      "h\x1b[2J:7",
        "h\xff:7",  "-h:7",   ".h:7",  "::1:7",    "[::1:7",        "[]:7",       "[::g]:7",
        "[::1]x:7", "\"h\":7"}) {
    const auto refused = add(address);
    ASSERT_FALSE(refused.has_value()) << address;
    EXPECT_EQ(refused.error().field, "address");
  }
  std::string too_long(254, 'h');
  too_long += ":7";
  EXPECT_FALSE(add(too_long).has_value());
  EXPECT_FALSE(add(std::string("h\0i:7", 6)).has_value());
  EXPECT_EQ(changed.size(), good.size());
}

TEST(ClockReplyTest, SaysWhatIsKnown) {
  ClockFigures figures;
  figures.node = NodeId(1);
  figures.elapsed_us = 5'000'000;
  figures.wall_us = 1'700'000'000'000'000;
  const int64_t offset_us = figures.wall_us - figures.elapsed_us;
  const clock::Claim good{offset_us + 20, 100};
  const clock::Claim lie{offset_us + 9'000'000, 100};
  figures.report.knowledge.Update(figures.elapsed_us, {good, good, lie}, 2, offset_us + 20);
  for (uint64_t node = 1; node <= 3; ++node) {
    ClockSource source;
    source.kind = node == 1 ? ClockSource::Kind::kOwn : ClockSource::Kind::kPeer;
    source.node = NodeId(node);
    source.heard = true;
    source.claim = node == 3 ? lie : good;
    source.is_false = node == 3;
    figures.report.sources.push_back(source);
  }
  figures.report.last_stamp_us = figures.wall_us - 380;
  cluster::ClockReply reply;
  Fill(figures, &reply);
  EXPECT_EQ(reply.status(), cluster::ClockReply::synchronised);
  EXPECT_EQ(reply.reason(), "");
  EXPECT_EQ(reply.now(), "2023-11-14T22:13:20.000020Z");
  EXPECT_EQ(reply.offset_us(), 20);
  EXPECT_EQ(reply.error_us(), 100);
  EXPECT_EQ(reply.latest_us() - reply.earliest_us(), 200);
  EXPECT_EQ(reply.falsetickers(), 1u);
  EXPECT_EQ(reply.heard(), 3u);
  EXPECT_EQ(reply.needed(), 2u);
  EXPECT_EQ(reply.log_ahead_us(), -400);
  ASSERT_EQ(reply.sources_size(), 3);
  EXPECT_EQ(reply.sources(2).offset_us(), 9'000'000);
  EXPECT_TRUE(reply.sources(2).falseticker());
}

TEST(ClockReplyTest, AndThatNothingIs) {
  ClockFigures figures;
  figures.report.sources.emplace_back();
  figures.report.knowledge.Update(0, {std::nullopt, std::nullopt, std::nullopt}, 2, 0);
  cluster::ClockReply reply;
  Fill(figures, &reply);
  EXPECT_EQ(reply.status(), cluster::ClockReply::unsynchronised);
  EXPECT_EQ(reply.reason(), "heard 0 of 3 clocks, and 2 must agree (node 0 claims nothing)");
  EXPECT_EQ(reply.now(), "");
  EXPECT_EQ(reply.now_us(), 0);
}

// Before consensus runs nobody has looked at a clock.
TEST(ClockReplyTest, BeforeTheFirstLook) {
  cluster::ClockReply reply;
  Fill(ClockFigures(), &reply);
  EXPECT_EQ(reply.status(), cluster::ClockReply::unsynchronised);
  EXPECT_EQ(reply.sources_size(), 0);
}

}  // namespace
}  // namespace holdfast::node
