// Reading a room: pages, waiting, and networks that are played.
#include <algorithm>
#include <set>

#include "services/chat/testing.h"
#include "src/base/bounds.h"

namespace holdfast::chat {
namespace {

class ReceiveTest : public testing::ChatFixture {
 protected:
  void SetUp() override {
    Create("r");
    Join("r", "ann");
  }
  void PostMany(int count, size_t bytes = 5) {
    for (int i = 0; i < count; ++i) {
      PostRequest request = TextOf("r", "ann", "m" + std::to_string(++posted_));
      request.set_text(std::string(bytes, 'x'));
      Write<PostReply>("chat.Post", request);
    }
  }
  ReceiveReply Play(uint32_t delay_ms_max, bool shuffle, uint32_t duplicate_percent,
                    uint32_t lose_percent, uint64_t seed, uint64_t after = 0) {
    ReceiveRequest request = ReceiveOf("r", after);
    request.set_limit(1'000);
    request.set_delay_ms_max(delay_ms_max);
    request.set_shuffle(shuffle);
    request.set_duplicate_percent(duplicate_percent);
    request.set_lose_percent(lose_percent);
    request.set_seed(seed);
    return *Receive(request);
  }

  int posted_ = 0;
};

TEST_F(ReceiveTest, PagesFollowOneAnotherWithoutAGap) {
  PostMany(7);
  ReceiveRequest request = ReceiveOf("r");
  request.set_limit(3);
  std::string all;
  for (const char* wanted : {"1:m1 2:m2 3:m3", "4:m4 5:m5 6:m6", "7:m7", ""}) {
    const ReceiveReply page = *Receive(request);
    EXPECT_EQ(IdsOf(page), wanted);
    EXPECT_EQ(page.last(), 7u);
    EXPECT_GE(page.next_after(), request.after());
    for (const Message& message : page.messages()) {
      EXPECT_FALSE(message.has_delay_ms() || message.has_again());
    }
    request.set_after(page.next_after());
  }
  EXPECT_EQ(request.after(), 7u);
  EXPECT_EQ(IdsOf(*Receive(ReceiveOf("r", UINT64_MAX))), "") << "does not begin anew";
  EXPECT_EQ(Receive(ReceiveOf("r", UINT64_MAX))->next_after(), UINT64_MAX);
}

TEST_F(ReceiveTest, APageIsBoundedByBytes) {
  PostMany(300, bounds::kChatTextBytesMax);
  ReceiveRequest request = ReceiveOf("r");
  request.set_limit(1'000);
  const ReceiveReply page = *Receive(request);
  EXPECT_LT(page.messages_size(), 300);
  EXPECT_GE(page.ByteSizeLong(), bounds::kChatPageBytesMax);
  EXPECT_LT(page.ByteSizeLong(), bounds::kChatPageBytesMax + 2 * bounds::kChatTextBytesMax);
  request.set_duplicate_percent(100);
  const ReceiveReply twice = *Receive(request);
  EXPECT_EQ(twice.messages_size(), 2 * page.messages_size());
  EXPECT_EQ(twice.next_after(), page.next_after());
  EXPECT_LT(twice.ByteSizeLong(), bounds::kReplyBytesMax);
  auto list = Of<ListMessagesRequest>("r");
  list.set_limit(1'000);
  const auto shown = Read<ListMessagesReply>("chat.ListMessages", list);
  EXPECT_LT(shown->messages_size(), 300);
  EXPECT_EQ(shown->next_after(), static_cast<uint64_t>(shown->messages_size()));
}

TEST_F(ReceiveTest, TheViewGoesOnBehindWhatItDoesNotShow) {
  Write<PostReply>("chat.Post", TextOf("r", "ann", "m1"));
  for (int i = 0; i < 1'100; ++i) {
    Write<PostReply>("chat.Post", EditOf("r", "ann", "e" + std::to_string(i), "m1"));
  }
  Write<PostReply>("chat.Post", TextOf("r", "ann", "m2"));
  auto list = Of<ListMessagesRequest>("r");
  list.set_after(1);
  auto page = Read<ListMessagesReply>("chat.ListMessages", list);
  EXPECT_EQ(page->messages_size(), 0);
  EXPECT_EQ(page->next_after(), 1'001u);
  list.set_after(page->next_after());
  page = Read<ListMessagesReply>("chat.ListMessages", list);
  ASSERT_EQ(page->messages_size(), 1);
  EXPECT_EQ(page->messages(0).id(), "m2");
  EXPECT_EQ(page->next_after(), 0u);
  list.set_after(0);
  list.set_limit(1);
  page = Read<ListMessagesReply>("chat.ListMessages", list);
  EXPECT_EQ(page->messages(0).text(), "text of e1099");
  EXPECT_EQ(page->messages(0).edits(), 1'100u);
  EXPECT_EQ(page->next_after(), 1u);
}

TEST_F(ReceiveTest, WhoHasSeenAllWaitsForTheNextMessageOfThisRoom) {
  Create("q");
  Join("q", "ann");
  PostMany(2);
  const auto waits = [&](uint64_t after) {
    std::optional<state_machine::Topic> topic;
    EXPECT_TRUE(Read<ReceiveReply>("chat.Receive", ReceiveOf("r", after), &topic));
    return topic;
  };
  EXPECT_FALSE(waits(1));
  const auto topic = waits(2);
  ASSERT_TRUE(topic);
  const auto touches = [&] {
    return std::any_of(touched().begin(), touched().end(),
                       [&](const auto& touched) { return touched.topic == *topic; });
  };
  Post(TextOf("q", "ann", "m1"));
  EXPECT_FALSE(touches());
  Post(TextOf("r", "ann", "h1", {"h0"}));
  EXPECT_FALSE(touches()) << "there is nothing to see of what is held back";
  Post(TextOf("r", "ann", "h0"));
  EXPECT_TRUE(touches());
  Delete("r");
  EXPECT_TRUE(touches()) << "who waits hears that the room is gone";
}

TEST_F(ReceiveTest, ANetworkFollowsFromItsSeed) {
  PostMany(200);
  const ReceiveReply played = Play(500, true, 30, 10, 7);
  EXPECT_EQ(played.ShortDebugString(), Play(500, true, 30, 10, 7).ShortDebugString());
  EXPECT_NE(IdsOf(played), IdsOf(Play(500, true, 30, 10, 8)));
  Restart();
  EXPECT_EQ(played.ShortDebugString(), Play(500, true, 30, 10, 7).ShortDebugString());
  EXPECT_EQ(played.next_after(), 200u) << "what is lost is behind";
  std::map<uint64_t, std::vector<uint32_t>> delays;
  uint32_t last = 0;
  for (const Message& message : played.messages()) {
    EXPECT_LE(message.delay_ms(), 500u);
    EXPECT_GE(message.delay_ms(), last) << "they come as they arrive";
    last = message.delay_ms();
    delays[message.number()].push_back(message.delay_ms());
    EXPECT_EQ(message.text(), "xxxxx");
  }
  const auto twice = static_cast<size_t>(std::count_if(
      delays.begin(), delays.end(), [](const auto& d) { return d.second.size() == 2; }));
  EXPECT_GT(delays.size(), 160u);
  EXPECT_LT(delays.size(), 195u);
  EXPECT_GT(twice, 30u);
  EXPECT_LT(twice, 90u);
  // What becomes of a message does not hang on the page that it is on.
  const ReceiveReply half = Play(500, true, 30, 10, 7, 100);
  for (const Message& message : half.messages()) {
    const auto& known = delays[message.number()];
    EXPECT_NE(std::find(known.begin(), known.end(), message.delay_ms()), known.end());
  }
}

TEST_F(ReceiveTest, EachFaultOfANetworkComesAlone) {
  PostMany(100);
  const auto numbers = [](const ReceiveReply& reply) {
    std::vector<uint64_t> all;
    for (const Message& message : reply.messages()) all.push_back(message.number());
    return all;
  };
  std::vector<uint64_t> in_order(100);
  for (size_t i = 0; i < 100; ++i) in_order[i] = i + 1;
  // Late, and nothing overtakes anything.
  const ReceiveReply late = Play(100, false, 0, 0, 1);
  EXPECT_EQ(numbers(late), in_order);
  EXPECT_GT(late.messages(99).delay_ms(), 50u);
  // Shuffled, at once.
  const ReceiveReply shuffled = Play(0, true, 0, 0, 1);
  std::vector<uint64_t> sorted = numbers(shuffled);
  EXPECT_NE(sorted, in_order);
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(sorted, in_order);
  for (const Message& message : shuffled.messages()) EXPECT_EQ(message.delay_ms(), 0u);
  // All of it twice, the second time right behind the first.
  const ReceiveReply twice = Play(0, false, 100, 0, 1);
  ASSERT_EQ(twice.messages_size(), 200);
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(twice.messages(i).number(), static_cast<uint64_t>(i / 2 + 1));
    EXPECT_EQ(twice.messages(i).again(), i % 2 == 1);
  }
  EXPECT_EQ(Play(0, false, 0, 100, 1).messages_size(), 0);
  EXPECT_EQ(Play(0, false, 0, 100, 1).next_after(), 100u);
  const auto lost = Play(0, false, 0, 20, 1).messages_size();
  EXPECT_TRUE(lost > 60 && lost < 95) << lost;
}

}  // namespace
}  // namespace holdfast::chat
