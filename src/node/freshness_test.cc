#include "src/node/freshness.h"

#include <gtest/gtest.h>

namespace holdfast::node {
namespace {

TEST(FreshnessTest, NothingHeardIsNoContact) { EXPECT_EQ(Freshness().ContactMs(LogIndex(7)), 0U); }

TEST(FreshnessTest, AWordCountsOnceItIsReached) {
  Freshness freshness;
  freshness.Heard(LogIndex(5), LogIndex(5), 100);
  EXPECT_EQ(freshness.ContactMs(LogIndex(5)), 100U) << "at once, where nothing is missing";
  freshness.Heard(LogIndex(5), LogIndex(9), 200);
  EXPECT_EQ(freshness.ContactMs(LogIndex(8)), 100U);
  EXPECT_EQ(freshness.ContactMs(LogIndex(9)), 200U);
}

// A log that grows faster than it is applied must not put the contact off for ever.
TEST(FreshnessTest, ANewerWordDoesNotReplaceOneThatIsNotReached) {
  Freshness freshness;
  freshness.Heard(LogIndex(0), LogIndex(5), 100);
  freshness.Heard(LogIndex(4), LogIndex(9), 200);
  EXPECT_EQ(freshness.ContactMs(LogIndex(4)), 0U);
  EXPECT_EQ(freshness.ContactMs(LogIndex(5)), 100U);
}

}  // namespace
}  // namespace holdfast::node
