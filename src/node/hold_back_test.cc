#include "src/node/hold_back.h"

#include <gtest/gtest.h>

namespace holdfast::node {
namespace {

LogIndex At(uint64_t index) { return LogIndex(index); }

TEST(HoldBackTest, ShowsWhatWasCommittedSomeTimeAgo) {
  HoldBack hold;
  EXPECT_EQ(hold.Limit(1'000, At(5), false), At(5)) << "nothing is held back unless asked";
  hold.Begin(1'000, 100, 10'000);
  EXPECT_EQ(hold.Limit(1'000, At(5), false), At(5)) << "nor what is there already";
  EXPECT_EQ(hold.Limit(1'050, At(7), false), At(5));
  EXPECT_EQ(hold.Limit(1'090, At(9), false), At(5));
  EXPECT_EQ(hold.Limit(1'149, At(9), false), At(5));
  EXPECT_EQ(hold.Limit(1'150, At(9), false), At(7));
  EXPECT_EQ(hold.Limit(1'190, At(9), false), At(9));
  EXPECT_EQ(hold.Limit(5'000, At(9), false), At(9));
  EXPECT_EQ(hold.Limit(5'001, At(10), false), At(9)) << "after a long silence, too";
  EXPECT_EQ(hold.Limit(5'101, At(10), false), At(10));
}

TEST(HoldBackTest, EndsByItselfByRequestAndWithLeadership) {
  HoldBack hold;
  hold.Begin(0, 100, 1'000);
  EXPECT_EQ(hold.Limit(0, At(1), false), At(1));
  EXPECT_EQ(hold.Limit(999, At(2), false), At(1));
  EXPECT_EQ(hold.Limit(1'000, At(2), false), At(2));
  hold.Begin(2'000, 100, 1'000);
  EXPECT_EQ(hold.Limit(2'000, At(2), false), At(2));
  EXPECT_EQ(hold.Limit(2'001, At(3), false), At(2));
  hold.Begin(2'900, 100, 1'000);
  EXPECT_EQ(hold.Limit(2'900, At(3), false), At(3));
  EXPECT_EQ(hold.Limit(3'500, At(4), false), At(3)) << "it goes on";
  hold.Begin(3'501, 0, 0);
  EXPECT_EQ(hold.Limit(3'501, At(4), false), At(4));
  hold.Begin(5'000, 100, 1'000);
  EXPECT_EQ(hold.Limit(5'000, At(4), false), At(4));
  EXPECT_EQ(hold.Limit(5'001, At(5), false), At(4));
  EXPECT_EQ(hold.Limit(5'002, At(5), true), At(5)) << "it leads";
  EXPECT_EQ(hold.Limit(5'003, At(6), false), At(6)) << "and not again afterwards";
}

}  // namespace
}  // namespace holdfast::node
