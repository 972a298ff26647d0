#include "src/base/batch.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(BatchTest, WithoutABatchWorkRunsAtOnce) {
  int ran = 0;
  EXPECT_FALSE(Batch::IsOpen());
  Batch::AtEnd([&] { ++ran; });
  EXPECT_EQ(ran, 1);
}

TEST(BatchTest, WorkRunsInOrderWhenTheOutermostBatchEnds) {
  std::vector<int> ran;
  {
    Batch outer;
    Batch::AtEnd([&] { ran.push_back(1); });
    {
      Batch inner;
      Batch::AtEnd([&] { ran.push_back(2); });
    }
    EXPECT_TRUE(Batch::IsOpen());
    EXPECT_TRUE(ran.empty());
  }
  EXPECT_EQ(ran, (std::vector<int>{1, 2}));
}

TEST(BatchTest, WhatTheWorkAsksForRunsAtOnce) {
  std::vector<int> ran;
  {
    Batch batch;
    Batch::AtEnd([&] {
      Batch::AtEnd([&] { ran.push_back(1); });
      ran.push_back(2);
    });
  }
  EXPECT_EQ(ran, (std::vector<int>{1, 2}));
}

TEST(BatchTest, EachThreadHasItsOwn) {
  Batch batch;
  bool ran = false;
  std::thread([&] { Batch::AtEnd([&] { ran = true; }); }).join();
  EXPECT_TRUE(ran);
}

}  // namespace
}  // namespace holdfast
