#include "src/node/event_loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <future>

namespace holdfast::node {
namespace {

using std::chrono::milliseconds;

TEST(EventLoopTest, RunsInOrderAndAllThatIsQueuedBeforeItStops) {
  std::vector<int> ran;
  {
    EventLoop loop("test");
    for (int i = 0; i < 1'000; ++i) loop.Post([&ran, i] { ran.push_back(i); });
  }
  ASSERT_EQ(ran.size(), 1'000u);
  for (int i = 0; i < 1'000; ++i) EXPECT_EQ(ran[static_cast<size_t>(i)], i);
}

TEST(EventLoopTest, TimedTasksRunInOrderOfTimeAndNotEarlier) {
  EventLoop loop("test");
  std::vector<int> ran;
  std::promise<void> last;
  const auto began = std::chrono::steady_clock::now();
  loop.PostAfter(40, [&] {
    ran.push_back(2);
    last.set_value();
  });
  loop.PostAfter(10, [&] { ran.push_back(1); });
  last.get_future().wait();
  EXPECT_GE(std::chrono::steady_clock::now() - began, milliseconds(40));
  EXPECT_EQ(ran, (std::vector<int>{1, 2}));
}

TEST(EventLoopTest, WhatIsNotDueIsDroppedWhenItStops) {
  EventLoop loop("test");
  const auto held = std::make_shared<int>(0);
  loop.PostAfter(60'000, [held] { FAIL(); });
  loop.Stop();
  EXPECT_EQ(held.use_count(), 1);
  loop.Post([] { FAIL(); });
  EXPECT_FALSE(loop.TryRun([] { FAIL(); }));
}

TEST(EventLoopTest, TheTurnIsLentWhenNothingElseRunsOrWaits) {
  EventLoop loop("test");
  std::vector<int> ran;
  // The thread may still be on its way out of the turn that it began with.
  while (!loop.TryRun([&] {
    EXPECT_FALSE(loop.TryRun([] { FAIL(); })) << "it is ours already";
    loop.Post([&] { ran.push_back(2); });
    ran.push_back(1);
  })) {
  }
  EXPECT_EQ(ran, (std::vector<int>{1, 2})) << "what it posts runs before it returns";
  // What went wrong: the step behind a posted event, with its ticks and saves, ran here as well.
  std::promise<std::thread::id> where;
  while (!loop.TryRun([&] {
    loop.Post([&] { loop.Post([&] { where.set_value(std::this_thread::get_id()); }); });
  })) {
  }
  EXPECT_NE(where.get_future().get(), std::this_thread::get_id()) << "and not what that posts";
}

TEST(EventLoopTest, TheTurnIsNotLentPastWhoWaits) {
  EventLoop loop("test");
  std::promise<void> busy, go;
  loop.Post([&] {
    busy.set_value();
    go.get_future().wait();
  });
  busy.get_future().wait();
  EXPECT_FALSE(loop.TryRun([] { FAIL(); }));
  go.set_value();
  // What others post meanwhile is left to the loop's own thread.
  std::promise<std::thread::id> where;
  while (!loop.TryRun([&] {
    std::thread([&] { loop.Post([&] { where.set_value(std::this_thread::get_id()); }); }).join();
  })) {
  }
  EXPECT_NE(where.get_future().get(), std::this_thread::get_id());
  loop.Stop();
  EXPECT_FALSE(loop.TryRun([] { FAIL(); }));
}

TEST(EventLoopTest, WhatATaskPostsRunsTooWhoeverRanIt) {
  EventLoop loop("test");
  std::promise<void> done;
  std::function<void(int)> chain = [&](int left) {
    if (left == 0) return done.set_value();
    loop.Post([&, left] { chain(left - 1); });
  };
  while (!loop.TryRun([&] { chain(100); })) {
  }
  done.get_future().wait();
}

// Tasks from many threads, and a socket's handlers, never run two at a time.
TEST(EventLoopTest, OneAtATime) {
  using boost::asio::ip::tcp;
  EventLoop loop("test");
  tcp::acceptor acceptor(loop.io(), tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
  tcp::socket out(loop.io());
  out.connect(acceptor.local_endpoint());
  tcp::socket in = acceptor.accept();
  int inside = 0;
  int64_t count = 0;  // Not atomic: tsan and the sum see an overlap.
  const auto enter = [&] {
    EXPECT_EQ(++inside, 1);
    ++count;
    --inside;
  };
  constexpr int kBytes = 2'000;
  std::promise<void> all_read;
  int read = 0;
  char byte = 0;
  std::function<void()> next = [&] {
    in.async_read_some(boost::asio::buffer(&byte, 1),
                       loop.Wrap([&](boost::system::error_code error, size_t) {
                         ASSERT_FALSE(error);
                         enter();
                         if (++read == kBytes) return all_read.set_value();
                         next();
                       }));
  };
  loop.Post([&] { next(); });
  std::vector<std::thread> threads;
  threads.reserve(3);
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 2'000; ++k) {
        if (i == 0 || !loop.TryRun(enter)) loop.Post(enter);
      }
    });
  }
  for (int i = 0; i < kBytes; ++i) out.write_some(boost::asio::buffer("x", 1));
  for (std::thread& thread : threads) thread.join();
  all_read.get_future().wait();
  loop.Stop();
  EXPECT_EQ(count, 3 * 2'000 + kBytes);
}

}  // namespace
}  // namespace holdfast::node
