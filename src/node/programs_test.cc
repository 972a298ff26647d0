// Whose program can do what: who is refused, who ends, and when the leader raises the behaviour.
#include "src/node/programs.h"

#include <gtest/gtest.h>

#include <set>

#include "src/base/bounds.h"
#include "src/node/identity.h"

namespace holdfast::node {
namespace {

constexpr NodeId kSelf{1}, kPeer{2}, kOther{3};
const Behaviour kProgram{1, 2, "0.1.0"};

Hello HelloOf(uint32_t oldest, uint32_t newest, uint32_t in_force = 0) {
  Hello hello;
  hello.set_protocol(kPeerProtocol);
  hello.mutable_identity()->set_node(kPeer.value);
  hello.mutable_identity()->set_format(kIdentityFormat);
  hello.mutable_program()->set_oldest(oldest);
  hello.mutable_program()->set_newest(newest);
  hello.mutable_program()->set_release("7.0");
  hello.mutable_program()->set_in_force(in_force);
  hello.mutable_program()->set_in_force_release("6.0");
  return hello;
}

ProgramVerdict Compare(uint32_t in_force, const Hello& hello) {
  return CompareWith(kProgram, in_force, kSelf, hello);
}

TEST(ProgramsTest, WhoCanDoTheSameIsWelcome) {
  for (const Hello& hello : {HelloOf(1, 2), HelloOf(1, 1), HelloOf(2, 9), HelloOf(1, 9, 2)}) {
    const uint32_t in_force = hello.program().in_force();
    EXPECT_EQ(Compare(in_force, hello).refused, "");
    EXPECT_EQ(Compare(in_force, hello).unfit, "");
  }
}

// A hello of a later protocol may mean something else by everything but its first words.
TEST(ProgramsTest, ANewerHelloIsRefusedAndNotMisread) {
  Hello later = HelloOf(1, 9, 9);
  later.set_protocol(kPeerProtocol + 1);
  EXPECT_NE(Compare(1, later).refused.find("install the newer Holdfast on node 1"),
            std::string::npos)
      << Compare(1, later).refused;
  EXPECT_EQ(Compare(1, later).unfit, "");
  Hello folder = HelloOf(1, 2);
  folder.mutable_identity()->set_format(kIdentityFormat + 1);
  EXPECT_NE(Compare(1, folder).refused.find("install the newer Holdfast on node 1"),
            std::string::npos);
  Hello before = HelloOf(1, 2);
  before.clear_protocol();
  EXPECT_NE(Compare(1, before).refused.find("install the newer Holdfast on node 2"),
            std::string::npos);
}

TEST(ProgramsTest, WhoCannotDoWhatIsInForceIsRefusedWithTheRelease) {
  const std::string refused = Compare(2, HelloOf(1, 1)).refused;
  EXPECT_NE(refused.find("node 2 runs Holdfast 7.0"), std::string::npos) << refused;
  EXPECT_NE(refused.find("Install Holdfast 0.1.0 or newer"), std::string::npos) << refused;
  EXPECT_NE(Compare(2, HelloOf(3, 4)).refused, "");
  EXPECT_NE(Compare(0, HelloOf(3, 4)).refused.find("in common"), std::string::npos);
}

TEST(ProgramsTest, WhoHearsOfWhatItCannotDoEnds) {
  const ProgramVerdict verdict = Compare(2, HelloOf(1, 9, 3));
  EXPECT_EQ(verdict.refused, "");
  EXPECT_NE(verdict.unfit.find("this node runs Holdfast 0.1.0"), std::string::npos);
  EXPECT_NE(verdict.unfit.find("Install Holdfast 6.0 or newer"), std::string::npos);
}

class WantedTest : public ::testing::Test {
 protected:
  void Says(NodeId peer, uint32_t newest) { programs_.Said(peer, HelloOf(1, newest).program()); }
  uint32_t Wanted(uint32_t in_force, uint64_t later_ms = 0) {
    now_ms_ += later_ms;
    return programs_.Wanted(now_ms_, in_force, {kPeer, kOther},
                            [this](NodeId peer) { return heard_.contains(peer); });
  }

  Programs programs_{kProgram};
  std::set<NodeId> heard_{kPeer, kOther};
  uint64_t now_ms_ = 1'000;
};

TEST_F(WantedTest, RaisedOnceAllHaveBeenAbleForAWhile) {
  Says(kPeer, 2);
  EXPECT_EQ(Wanted(1), 0u) << "one has said nothing";
  Says(kOther, 1);
  EXPECT_EQ(Wanted(1, bounds::kBehaviourSettleMs), 0u) << "one cannot";
  Says(kOther, 9);
  EXPECT_EQ(Wanted(1), 0u);
  EXPECT_EQ(Wanted(1, bounds::kBehaviourSettleMs - 1), 0u) << "not for long enough";
  EXPECT_EQ(Wanted(1, 1), 2u);
  EXPECT_EQ(Wanted(2), 0u) << "done";
}

TEST_F(WantedTest, WhoGoesAwayOrBackBeginsTheWaitAnew) {
  Says(kPeer, 2);
  Says(kOther, 2);
  EXPECT_EQ(Wanted(1), 0u);
  heard_.erase(kOther);
  EXPECT_EQ(Wanted(1, bounds::kBehaviourSettleMs), 0u) << "it may come back with another program";
  heard_.insert(kOther);
  EXPECT_EQ(Wanted(1), 0u);
  Says(kOther, 1);
  EXPECT_EQ(Wanted(1, bounds::kBehaviourSettleMs), 0u);
  Says(kOther, 2);
  EXPECT_EQ(Wanted(1), 0u);
  EXPECT_EQ(Wanted(1, bounds::kBehaviourSettleMs), 2u);
}

TEST_F(WantedTest, ANewClusterBeginsAtOnceWithWhatItsFoundersCanDo) {
  Says(kPeer, 2);
  Says(kOther, 2);
  EXPECT_EQ(Wanted(0), 2u);
  Says(kOther, 1);
  EXPECT_EQ(Wanted(0), 1u);
}

TEST(ProgramsAloneTest, ANodeAloneBeginsWithItsNewest) {
  Programs alone(kProgram);
  EXPECT_EQ(alone.Wanted(0, 0, {}, [](NodeId) { return false; }), 2u);
  EXPECT_EQ(alone.Wanted(0, 1, {}, [](NodeId) { return false; }), 0u);
  EXPECT_EQ(alone.Wanted(bounds::kBehaviourSettleMs, 1, {}, [](NodeId) { return false; }), 2u);
}

}  // namespace
}  // namespace holdfast::node
