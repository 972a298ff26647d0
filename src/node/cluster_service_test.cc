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

}  // namespace
}  // namespace holdfast::node
