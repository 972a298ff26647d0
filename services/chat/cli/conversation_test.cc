#include "services/chat/cli/conversation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "src/base/bounds.h"

namespace holdfast::chat {
namespace {

Message Of(uint64_t number, const std::vector<uint64_t>& follows = {}, uint32_t delay_ms = 0) {
  Message message;
  message.set_number(number);
  message.set_id("m" + std::to_string(number));
  message.set_author("ann");
  message.set_kind(MessageKind::text);
  message.set_text("t" + std::to_string(number));
  for (const uint64_t other : follows) {
    Named* named = message.add_follows();
    named->set_number(other);
    named->set_id("m" + std::to_string(other));
  }
  message.set_delay_ms(delay_ms);
  return message;
}

ReceiveReply PageOf(const std::vector<Message>& messages) {
  ReceiveReply page;
  for (const Message& message : messages) *page.add_messages() = message;
  return page;
}

// "<" of an arrival, "<<" of a repeat, ">" of what is shown, "!" of a gap, "~" of what is late.
std::string Text(const std::vector<Line>& lines) {
  std::string all;
  for (const Line& line : lines) {
    const char* marks[] = {"<", "<<", ">", "!", "~"};
    all += (all.empty() ? "" : " ") + std::string(marks[static_cast<size_t>(line.what)]) +
           line.text.substr(0, line.text.find(' '));
  }
  return all;
}

TEST(ConversationTest, MessagesArriveWhenTheyAreDueAndAreShownInOrder) {
  Conversation conversation(0, {});
  conversation.Receive(PageOf({Of(2, {1}, 0), Of(1, {}, 100), Of(3, {}, 250)}), 1'000);
  EXPECT_EQ(Text(conversation.Pass(1'000)), "<#2");
  EXPECT_EQ(conversation.next_due_ms(), 1'100);
  EXPECT_EQ(Text(conversation.Pass(1'099)), "");
  EXPECT_EQ(Text(conversation.Pass(1'100)), "<#1 >#1 >#2");
  EXPECT_EQ(conversation.shown_to(), 2u);
  conversation.Receive(PageOf({Of(2, {1}, 0)}), 1'200);
  EXPECT_EQ(Text(conversation.Pass(1'300)), "<<#2 <#3 >#3");
  EXPECT_FALSE(conversation.next_due_ms());
  EXPECT_EQ(conversation.under_way(), 0u);
}

TEST(ConversationTest, WhatNeverComesIsAGapAndItsFollowersSayThatItIsMissing) {
  Conversation conversation(0, {.patience_ms = 500});
  conversation.Receive(PageOf({Of(1), Of(4, {2, 1}), Of(5, {4})}), 0);
  EXPECT_EQ(Text(conversation.Pass(0)), "<#1 >#1 <#4 <#5");
  EXPECT_EQ(conversation.next_due_ms(), 500);
  const std::vector<Line> lines = conversation.Pass(500);
  ASSERT_EQ(Text(lines), "!#2 >#4 >#5");
  EXPECT_EQ(lines[0].text, "#2 to #3 never came");
  EXPECT_EQ(lines[1].text, "#4 ann: t4 (without #2, which never came)");
  EXPECT_EQ(conversation.shown_to(), 5u);
  conversation.Receive(PageOf({Of(2)}), 600);
  EXPECT_EQ(Text(conversation.Pass(600)), "<#2 ~#2");
}

// What went wrong: a loss at the end of what is there was never seen.
TEST(ConversationTest, WhatAPageHasPassedAndDidNotBringIsAGap) {
  Conversation conversation(0, {.patience_ms = 500});
  ReceiveReply page = PageOf({Of(2, {}, 100)});
  page.set_next_after(3);
  conversation.Receive(page, 1'000);
  ReceiveReply empty;
  empty.set_next_after(4);
  conversation.Receive(empty, 1'010);
  EXPECT_EQ(Text(conversation.Pass(1'100)), "<#2");
  EXPECT_EQ(Text(conversation.Pass(1'599)), "");
  EXPECT_EQ(conversation.next_due_ms(), 1'600) << "counted from the last that it brought";
  EXPECT_EQ(Text(conversation.Pass(1'600)), "!#1 >#2 !#3 !#4");
  EXPECT_EQ(conversation.shown_to(), 4u);
  EXPECT_FALSE(conversation.next_due_ms());
}

TEST(ConversationTest, EditsAndDeletionsSayWhatTheyChange) {
  Message edit = Of(2);
  edit.set_kind(MessageKind::edit);
  edit.mutable_target()->set_number(1);
  edit.mutable_target()->set_id("m1");
  Message gone = edit;
  gone.set_number(3);
  gone.set_id("m3");
  gone.set_kind(MessageKind::delete_);
  gone.clear_text();
  Message hostile = Of(4);
  hostile.set_author("a\x1b[31m");
  hostile.set_text("\x1b[2J\nx");
  Conversation conversation(0, {});
  conversation.Receive(PageOf({edit, Of(1), gone, hostile}), 0);
  std::vector<std::string> shown;
  for (const Line& line : conversation.Pass(0)) {
    if (line.what == Line::What::kShown) shown.push_back(line.text);
  }
  EXPECT_EQ(shown, (std::vector<std::string>{"#1 ann: t1", "#2 ann edits #1: t2",
                                             "#3 ann deletes #1", "#4 a^[[31m: ^[[2J x"}));
}

TEST(ConversationTest, WhatIsWrittenFollowsWhatIsShown) {
  using Ids = std::vector<std::string>;
  Conversation conversation(0, {});
  EXPECT_EQ(conversation.Heads(), Ids{});
  conversation.Receive(PageOf({Of(1), Of(2, {1}), Of(3, {1}), Of(9)}), 0);
  conversation.Pass(0);
  EXPECT_EQ(conversation.Heads(), (Ids{"m2", "m3"})) << "9 is not shown, and 1 is followed";
  conversation.Posted("own", 0, {"m2", "m3"});
  EXPECT_EQ(conversation.Heads(), Ids{"own"});
  conversation.Receive(PageOf({Of(4, {3})}), 0);
  conversation.Pass(0);
  EXPECT_EQ(conversation.Heads(), (Ids{"m4", "own"})) << "neither follows the other";
  Message own = Of(5, {2, 3});
  own.set_id("own");
  conversation.Receive(PageOf({own}), 0);
  conversation.Pass(0);
  EXPECT_EQ(conversation.Heads(), (Ids{"m4", "own"}));
  EXPECT_EQ(conversation.IdOf(5), "own");
  EXPECT_FALSE(conversation.IdOf(9));
  Conversation many(0, {});
  for (uint64_t number = 1; number <= 40; ++number) many.Receive(PageOf({Of(number)}), 0);
  many.Pass(0);
  EXPECT_EQ(many.Heads().size(), bounds::kChatFollowsMax);
  EXPECT_EQ(many.Heads().back(), "m40");
}

TEST(ConversationTest, WhatIsShownWhileAPostIsUnderWayStaysAHead) {
  using Ids = std::vector<std::string>;
  Conversation conversation(0, {});
  conversation.Receive(PageOf({Of(1), Of(2, {1})}), 0);
  conversation.Pass(0);
  const Ids follows = conversation.Heads();
  EXPECT_EQ(follows, Ids{"m2"});
  conversation.Receive(PageOf({Of(3, {1})}), 1);
  conversation.Pass(1);
  conversation.Posted("own", 4, follows);
  EXPECT_EQ(conversation.Heads(), (Ids{"m3", "own"})) << "it does not follow m3";
  EXPECT_EQ(conversation.IdOf(4), "own") << "though it is not back, and may never be";
  // What comes back before its answer does is a head once, or none if it was answered already.
  Conversation quick(0, {});
  Message own = Of(1);
  own.set_id("own");
  quick.Receive(PageOf({own}), 0);
  quick.Pass(0);
  quick.Posted("own", 1, {});
  EXPECT_EQ(quick.Heads(), Ids{"own"});
  quick.Receive(PageOf({Of(2, {1})}), 0);
  quick.Pass(0);
  quick.Posted("own", 1, {});
  EXPECT_EQ(quick.Heads(), Ids{"m2"});
}

// Page after page, as long as they fit, over a network that holds each up for up to ten seconds.
TEST(ConversationTest, NoMessageIsGivenUpThatIsOnlyLate) {
  constexpr uint64_t kMessages = 12'000;
  for (const size_t text_bytes : {size_t{3}, bounds::kChatTextBytesMax / 8}) {
    std::mt19937_64 random(2);
    Conversation conversation(0, {.held_max = bounds::kChatInFlightMax, .patience_ms = 15'000});
    const std::string text(text_bytes, 't');
    int64_t now_ms = 0;
    uint64_t received = 0, shown = 0;
    while (shown < kMessages) {
      while (received < kMessages && conversation.TakesPage()) {
        ReceiveReply page;
        size_t bytes = 0;
        while (page.messages_size() < static_cast<int>(bounds::kPageRowsMax) &&
               bytes < bounds::kChatPageBytesMax && received < kMessages) {
          Message message = Of(++received);
          message.set_text(text);
          bytes += message.ByteSizeLong();
          message.set_delay_ms(static_cast<uint32_t>(random() % (bounds::kChatDelayMsMax + 1)));
          *page.add_messages() = message;
        }
        page.set_next_after(received);
        conversation.Receive(page, now_ms);
      }
      ASSERT_TRUE(conversation.next_due_ms()) << "nothing comes any more";
      now_ms = std::max(now_ms, *conversation.next_due_ms());
      for (const Line& line : conversation.Pass(now_ms)) {
        ASSERT_NE(line.what, Line::What::kGap) << line.text;
        if (line.what == Line::What::kShown) ++shown;
      }
    }
  }
}

// Seed 0, part 4, in small: users' messages arrive in random order with random delays.
TEST(ConversationTest, TwoWhoSeeOtherNetworksAgreeOnTheOrder) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 50; ++round) {
    std::vector<Message> all;
    for (uint64_t number = 1; number <= 80; ++number) {
      all.push_back(Of(
          number, number > 1 ? std::vector{1 + random() % (number - 1)} : std::vector<uint64_t>{}));
    }
    const auto causal_of = [&] {
      std::vector<Message> arrivals = all;
      for (size_t i = 0; i < 20; ++i) arrivals.push_back(all[random() % all.size()]);
      std::shuffle(arrivals.begin(), arrivals.end(), random);
      Conversation conversation(0, {});
      for (size_t i = 0; i < arrivals.size(); i += 10) {
        std::vector<Message> page(arrivals.begin() + static_cast<std::ptrdiff_t>(i),
                                  arrivals.begin() + static_cast<std::ptrdiff_t>(i + 10));
        for (Message& message : page) message.set_delay_ms(static_cast<uint32_t>(random() % 2'000));
        conversation.Receive(PageOf(page), static_cast<int64_t>(i));
      }
      std::string causal;
      while (const auto due_ms = conversation.next_due_ms()) {
        for (const Line& line : conversation.Pass(*due_ms)) {
          if (line.what == Line::What::kShown) causal += line.text + "\n";
          EXPECT_NE(line.what, Line::What::kGap);
        }
      }
      return causal;
    };
    const std::string first = causal_of();
    EXPECT_EQ(std::count(first.begin(), first.end(), '\n'), 80);
    ASSERT_EQ(causal_of(), first);
  }
}

}  // namespace
}  // namespace holdfast::chat
