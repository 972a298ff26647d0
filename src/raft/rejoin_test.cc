// What a server that lost its disk must have been told before it takes part, and before it votes.
#include "src/raft/rejoin.h"

#include <gtest/gtest.h>

namespace holdfast::raft {
namespace {

const Membership kThree{{NodeId(1), NodeId(2), NodeId(3)}};

TEST(Rejoin, TheFloorIsTheHighestTermOfAllOthers) {
  Rejoin rejoin(NodeId(1), kThree);
  EXPECT_FALSE(rejoin.floor());
  rejoin.Answered(NodeId(2), {Term(5), true, LogIndex(9)});
  EXPECT_FALSE(rejoin.floor()) << "node 3 may hold a vote of ours in term 6";
  rejoin.Answered(NodeId(3), {Term(4), false, LogIndex(9)});
  EXPECT_EQ(rejoin.floor(), Term(5));
  rejoin.Answered(NodeId(3), {Term(7), false, LogIndex(9)});
  rejoin.Answered(NodeId(3), {Term(6), false, LogIndex(9)});
  EXPECT_EQ(rejoin.floor(), Term(7)) << "a late answer takes nothing back";
}

TEST(Rejoin, OnlyMembersCount) {
  Rejoin rejoin(NodeId(1), kThree);
  rejoin.Answered(NodeId(1), {Term(9), true, LogIndex(9)});
  rejoin.Answered(NodeId(4), {Term(9), true, LogIndex(9)});
  rejoin.Answered(NodeId(2), {Term(1), false, LogIndex(1)});
  EXPECT_FALSE(rejoin.floor());
}

TEST(Rejoin, TheAimIsReachedDurablyAndInItsTerm) {
  Rejoin rejoin(NodeId(1), kThree);
  EXPECT_FALSE(rejoin.Reached(Term(5), LogIndex(99), LogIndex(99))) << "no aim";
  rejoin.AimAt(Term(5), LogIndex(10));
  EXPECT_FALSE(rejoin.Reached(Term(5), LogIndex(9), LogIndex(10)));
  EXPECT_FALSE(rejoin.Reached(Term(5), LogIndex(10), LogIndex(9)));
  EXPECT_FALSE(rejoin.Reached(Term(6), LogIndex(10), LogIndex(10))) << "of another leader";
  EXPECT_TRUE(rejoin.Reached(Term(5), LogIndex(10), LogIndex(10)));
}

}  // namespace
}  // namespace holdfast::raft
