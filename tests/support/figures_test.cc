#include "tests/support/figures.h"

#include <gtest/gtest.h>

namespace holdfast::testing {
namespace {

TEST(FiguresTest, ReadsAPage) {
  const Figures figures(
      "# HELP a What it is\n"
      "# TYPE a counter\n"
      "a 3\n"
      "b{peer=\"2 and 3\"} 1.5\n"
      "c 1e-06\n");
  EXPECT_FALSE(figures.empty());
  EXPECT_EQ(figures.Get("a"), 3);
  EXPECT_EQ(figures.Get("b{peer=\"2 and 3\"}"), 1.5);
  EXPECT_EQ(figures.Get("c"), 1e-6);
  EXPECT_EQ(figures.Get("b"), 0) << "another series";
}

TEST(FiguresTest, LeavesOutWhatIsNoNumber) {
  EXPECT_TRUE(Figures("").empty());
  EXPECT_TRUE(Figures("a\n\n \na x\na 1x\na \n<html>\n").empty());
  EXPECT_EQ(Figures("a 1\nb").Get("a"), 1);
}

TEST(FiguresTest, TellsWhatCameSince) {
  const Figures before("a 3\nb 7\n"), after("a 5\nb 2\nc 4\n");
  EXPECT_EQ(after.Since(before, "a"), 2);
  EXPECT_EQ(after.Since(before, "b"), 2) << "the node has begun anew";
  EXPECT_EQ(after.Since(before, "c"), 4);
}

}  // namespace
}  // namespace holdfast::testing
