// Rooms, members, messages and read positions through the machine that runs them: every outcome,
// and malformed requests.
#include <set>

#include "services/chat/testing.h"
#include "src/base/bounds.h"

namespace holdfast::chat {
namespace {

class ChatTest : public testing::ChatFixture {
 protected:
  void SetUp() override {
    ASSERT_EQ(Create("r"), "created");
    Join("r", "ann");
    Join("r", "bob");
  }
  // Rows of this table of the chat rooms.
  uint64_t Rows(uint8_t table) {
    uint64_t rows = 0;
    store::Store& store = registry().store();
    absl::ReaderMutexLock lock(&store.mutex());
    store.ForEach([&](store::TableNumber number, std::string_view, std::string_view) {
      rows += number == store::TableNumber{testing::kChat, table} ? 1 : 0;
    });
    return rows;
  }
};

TEST_F(ChatTest, ARoomIsMadeOnceAndItsNameIsNotGivenAgain) {
  EXPECT_EQ(Create("q", "plants"), "created");
  EXPECT_EQ(Create("q", "plants"), "already_exists");
  EXPECT_EQ(Create("q", "stones"), "exists_with_different_topic");
  EXPECT_EQ(Get("q")->topic(), "plants");
  EXPECT_EQ(Delete("none"), "room_not_found");
  EXPECT_EQ(Delete("q"), "deleted");
  EXPECT_EQ(Delete("q"), "already_deleted");
  EXPECT_EQ(Create("q", "plants"), "room_deleted");
  Restart();
  EXPECT_EQ(Create("q", "plants"), "room_deleted");
  EXPECT_EQ(Get("q").error().code, ErrorCode::kNotFound);
}

TEST_F(ChatTest, WhoIsInARoomMayPostAndNobodyElse) {
  EXPECT_EQ(Name(Join("none", "ann")), "room_not_found");
  EXPECT_EQ(Name(Join("r", "ann")), "already_member");
  EXPECT_EQ(Told(Post(TextOf("r", "eve", "m1"))), "not_a_member");
  EXPECT_EQ(Name(Join("r", "eve")), "joined");
  EXPECT_EQ(Told(Post(TextOf("r", "eve", "m1"))), "posted 1");
  EXPECT_EQ(Name(Leave("r", "eve")), "left");
  EXPECT_EQ(Name(Leave("r", "eve")), "not_a_member");
  EXPECT_EQ(Name(Leave("none", "eve")), "room_not_found");
  EXPECT_EQ(Told(Post(TextOf("r", "eve", "m2"))), "not_a_member");
  EXPECT_EQ(Told(Post(TextOf("r", "eve", "m1"))), "already_exists 1") << "it is asked for first";
  EXPECT_EQ(History("r"), "1:m1");
  EXPECT_EQ(Told(Post(TextOf("none", "ann", "m1"))), "room_not_found");
}

TEST_F(ChatTest, AMessageIsPostedOnceAndItsIdMeansNothingElse) {
  PostRequest first = TextOf("r", "ann", "m1");
  EXPECT_EQ(Told(Post(first)), "posted 1");
  PostRequest request = TextOf("r", "ann", "m2", {"m1"});
  EXPECT_EQ(Told(Post(request)), "posted 2");
  const PostReply again = Post(request);
  EXPECT_EQ(Told(again), "already_exists 2");
  EXPECT_EQ(again.message().text(), "text of m2");
  EXPECT_EQ(again.message().follows(0).number(), 1u);
  request.set_hold_ms(1);
  request.set_kind(MessageKind::text);
  EXPECT_EQ(Told(Post(request)), "already_exists 2") << "neither belongs to the message";

  // The first difference is named, in this order.
  PostRequest other = TextOf("r", "ann", "m2", {"m1"});
  other.set_text("other");
  EXPECT_EQ(Told(Post(other)), "exists_with_different_text 2");
  other.clear_follows();
  EXPECT_EQ(Told(Post(other)), "exists_with_different_follows 2");
  other.set_kind(MessageKind::edit);
  other.set_target("m1");
  EXPECT_EQ(Told(Post(other)), "exists_with_different_kind 2");
  other.set_author("bob");
  EXPECT_EQ(Told(Post(other)), "exists_with_different_author 2");
  EXPECT_EQ(Told(Post(EditOf("r", "ann", "e1", "m1"))), "posted 3");
  EXPECT_EQ(Told(Post(EditOf("r", "ann", "e1", "m2"))), "exists_with_different_target 3");
  Restart();
  EXPECT_EQ(Told(Post(first)), "already_exists 1");
  EXPECT_EQ(History("r"), "1:m1 2:m2 3:e1");
}

TEST_F(ChatTest, AMessageWaitsForWhatItFollows) {
  EXPECT_EQ(Told(Post(TextOf("r", "ann", "m3", {"m1", "m2"}))), "held:m1,m2");
  EXPECT_EQ(Told(Post(TextOf("r", "bob", "m2", {"m1"}))), "held:m1");
  EXPECT_EQ(Told(Post(TextOf("r", "bob", "m4", {"m3"}))), "held:m3");
  EXPECT_EQ(Told(Post(TextOf("r", "ann", "m3", {"m1", "m2"}))), "already_held:m1,m2");
  EXPECT_EQ(Told(Post(TextOf("r", "bob", "m3", {"m1", "m2"}))), "exists_with_different_author");
  EXPECT_EQ(Told(Post(TextOf("r", "ann", "m3", {"m1"}))), "exists_with_different_follows");
  EXPECT_EQ(Get("r")->held(), 3u);
  EXPECT_EQ(History("r"), "");
  Restart();
  EXPECT_EQ(Told(Post(TextOf("r", "ann", "m0"))), "posted 1");
  EXPECT_EQ(History("r"), "1:m0") << "nobody waits for this one";
  EXPECT_EQ(Told(Post(TextOf("r", "ann", "m1"))), "posted 2");
  EXPECT_EQ(History("r"), "1:m0 2:m1 3:m2 4:m3 5:m4");
  EXPECT_EQ(Get("r")->held(), 0u);
  EXPECT_EQ(Told(Post(TextOf("r", "ann", "m3", {"m1", "m2"}))), "already_exists 4");
}

TEST_F(ChatTest, WhatWasSetFreeFollowsInTheOrderOfItsComing) {
  for (const char* id : {"c", "a", "b"}) Post(TextOf("r", "ann", id, {"m1"}));
  Post(TextOf("r", "ann", "d", {"b"}));
  Post(TextOf("r", "bob", "m1"));
  EXPECT_EQ(History("r"), "1:m1 2:c 3:a 4:b 5:d");
}

TEST_F(ChatTest, WhatIsNotToBeHeldBackIsRefused) {
  EXPECT_EQ(Told(Post(Held(TextOf("r", "ann", "m2", {"m1"}), 0))), "unknown_dependency:m1");
  EXPECT_EQ(Get("r")->held(), 0u);
  Post(TextOf("r", "ann", "m1"));
  EXPECT_EQ(Told(Post(Held(TextOf("r", "ann", "m2", {"m1"}), 0))), "posted 2");
  // What is held back is not there either.
  Post(TextOf("r", "ann", "m4", {"m3"}));
  EXPECT_EQ(Told(Post(Held(TextOf("r", "ann", "m5", {"m4"}), 0))), "unknown_dependency:m4");
}

TEST_F(ChatTest, WhatNeverComesIsNotWaitedForForever) {
  EXPECT_EQ(Told(Post(Held(TextOf("r", "ann", "m2", {"m1"}), 100))), "held:m1");
  EXPECT_EQ(Told(Post(TextOf("r", "ann", "m3", {"m2"}))), "held:m2");
  PassMs(99);
  EXPECT_EQ(Get("r")->held(), 2u);
  EXPECT_EQ(Told(Post(Held(TextOf("r", "ann", "m2", {"m1"}), 10'000))), "already_held:m1")
      << "which prolongs nothing";
  PassMs(1);
  EXPECT_EQ(Get("r")->held(), 1u);
  EXPECT_EQ(Broken(testing::kChat), "");
  Post(TextOf("r", "ann", "m1"));
  EXPECT_EQ(History("r"), "1:m1") << "as if it had never been posted";
  // Its id is free, and means what is said now.
  EXPECT_EQ(Told(Post(TextOf("r", "bob", "m2"))), "posted 2");
  EXPECT_EQ(History("r"), "1:m1 2:m2 3:m3");
  // Without a word, half a minute.
  Post(TextOf("r", "ann", "m9", {"m8"}));
  PassMs(bounds::kChatHoldMsDefault - 1);
  EXPECT_EQ(Get("r")->held(), 1u);
  PassMs(1);
  EXPECT_EQ(Get("r")->held(), 0u);
}

TEST_F(ChatTest, AFailoverTakesNobodysTimeAway) {
  EXPECT_EQ(Told(Post(Held(TextOf("r", "ann", "m2", {"m1"}), 2'000))), "held:m1");
  EXPECT_EQ(Told(Post(Held(TextOf("r", "ann", "m9", {"m8"}), 2'000))), "held:m8");
  PassMs(1'000);
  NewLeader();
  PassMs(60'000);
  EXPECT_EQ(Get("r")->held(), 2u) << "who was told so could not send the rest";
  Restart();
  EXPECT_EQ(Told(Post(Held(TextOf("r", "ann", "m9", {"m8"}), 2'000))), "already_held:m8");
  PassMs(900);
  EXPECT_EQ(Told(Post(TextOf("r", "ann", "m1"))), "posted 1");
  EXPECT_EQ(History("r"), "1:m1 2:m2");
  PassMs(99);
  EXPECT_EQ(Get("r")->held(), 1u);
  PassMs(1);
  EXPECT_EQ(Get("r")->held(), 0u) << "but it is not held back for ever";
  EXPECT_EQ(Broken(testing::kChat), "");
  // In the very entry in which the new leader begins.
  EXPECT_EQ(Told(Post(Held(TextOf("r", "ann", "m4", {"m3"}), 2'000))), "held:m3");
  NewLeader();
  PassMs(0);
  EXPECT_EQ(Told(Post(TextOf("r", "ann", "m3"))), "posted 3");
  EXPECT_EQ(History("r"), "1:m1 2:m2 3:m3 4:m4");
}

TEST_F(ChatTest, MessagesThatFollowOneAnotherInACircleNeverCome) {
  EXPECT_EQ(Told(Post(TextOf("r", "ann", "m1", {"m2"}))), "held:m2");
  EXPECT_EQ(Told(Post(TextOf("r", "ann", "m2", {"m1"}))), "held:m1");
  PassMs(bounds::kChatHoldMsDefault);
  EXPECT_EQ(Get("r")->held(), 0u);
  EXPECT_EQ(History("r"), "");
}

TEST_F(ChatTest, OnlySoManyAreHeldBack) {
  for (uint32_t i = 0; i < bounds::kChatHeldMax; ++i) {
    Write<PostReply>("chat.Post", TextOf("r", "ann", "m" + std::to_string(i), {"first"}));
  }
  EXPECT_EQ(Told(Post(TextOf("r", "ann", "more", {"first"}))), "too_many_held");
  EXPECT_EQ(Told(Post(Held(TextOf("r", "ann", "more", {"first"}), 0))), "unknown_dependency:first");
  EXPECT_EQ(Told(Post(TextOf("r", "bob", "first"))), "posted 1");
  EXPECT_EQ(Get("r")->last(), bounds::kChatHeldMax + 1);
  EXPECT_EQ(Told(Post(TextOf("r", "ann", "more", {"first"}))), "posted 258");
}

TEST_F(ChatTest, TheAuthorEditsAndDeletesAndTheHistoryStays) {
  Post(TextOf("r", "ann", "m1"));
  Post(TextOf("r", "bob", "m2", {"m1"}));
  EXPECT_EQ(Told(Post(EditOf("r", "bob", "e1", "m1"))), "not_the_author");
  EXPECT_EQ(Told(Post(DeleteOf("r", "bob", "e1", "m1"))), "not_the_author");
  EXPECT_EQ(Told(Post(EditOf("r", "ann", "e1", "m1"))), "posted 3");
  EXPECT_EQ(Told(Post(EditOf("r", "ann", "e2", "e1"))), "target_not_text");
  EXPECT_EQ(Shown("r"), "1 text of e1 (edited 1) | 2 text of m2");
  EXPECT_EQ(Told(Post(EditOf("r", "ann", "e2", "m1"))), "posted 4");
  EXPECT_EQ(Told(Post(DeleteOf("r", "bob", "d1", "m2"))), "posted 5");
  EXPECT_EQ(Told(Post(EditOf("r", "bob", "e3", "m2"))), "target_deleted");
  EXPECT_EQ(Told(Post(DeleteOf("r", "bob", "d2", "m2"))), "target_deleted");
  EXPECT_EQ(Told(Post(DeleteOf("r", "bob", "d2", "d1"))), "target_not_text");
  EXPECT_EQ(Shown("r"), "1 text of e2 (edited 2) | 2 deleted");
  EXPECT_EQ(History("r"), "1:m1 2:m2 3:e1 4:e2 5:d1");
  Restart();
  EXPECT_EQ(Shown("r"), "1 text of e2 (edited 2) | 2 deleted");
  const auto message = Read<Message>("chat.GetMessage", [] {
    GetMessageRequest request;
    request.set_room("r");
    request.set_id("m2");
    return request;
  }());
  EXPECT_EQ(message->text(), "text of m2") << "a deletion is a message, and erases none";
  EXPECT_EQ(Get("r")->texts(), 2u);
}

TEST_F(ChatTest, AnEditThatIsHeldBackIsLookedAtAgain) {
  EXPECT_EQ(Told(Post(EditOf("r", "ann", "e1", "m1"))), "held:m1");
  EXPECT_EQ(Told(Post(EditOf("r", "bob", "e2", "m1"))), "held:m1");
  Post(TextOf("r", "ann", "m1"));
  EXPECT_EQ(History("r"), "1:m1 2:e1") << "the text is not bob's";
  EXPECT_EQ(Told(Post(EditOf("r", "bob", "e2", "m1"))), "not_the_author");
  PostRequest late = EditOf("r", "ann", "e3", "m1");
  late.add_follows("m2");
  EXPECT_EQ(Told(Post(late)), "held:m2");
  Post(DeleteOf("r", "ann", "d1", "m1"));
  Post(TextOf("r", "ann", "m2"));
  EXPECT_EQ(History("r"), "1:m1 2:e1 3:d1 4:m2") << "deleted while it was held back";
  EXPECT_EQ(Told(Post(late)), "target_deleted");
  EXPECT_EQ(Get("r")->held(), 0u);
}

TEST_F(ChatTest, WhoLeavesMeanwhileHasSaidWhatTheySaid) {
  Post(TextOf("r", "bob", "m2", {"m1"}));
  Leave("r", "bob");
  Post(TextOf("r", "ann", "m1"));
  EXPECT_EQ(History("r"), "1:m1 2:m2");
}

TEST_F(ChatTest, ReadPositionsGoForwardOnly) {
  for (const char* id : {"m1", "m2", "m3"}) Post(TextOf("r", "ann", id));
  EXPECT_EQ(Unread("r", "ann"), 0u) << "who had read everything has read what they say";
  EXPECT_EQ(Unread("r", "bob"), 3u);
  EXPECT_EQ(Name(Mark("none", "bob", 1)), "room_not_found");
  EXPECT_EQ(Name(Mark("r", "eve", 1)), "not_a_member");
  EXPECT_EQ(Name(Mark("r", "bob", 4)), "message_not_found");
  MarkReadReply reply = Mark("r", "bob", 2);
  EXPECT_EQ(Name(reply), "marked");
  EXPECT_EQ(reply.read_to(), 2u);
  EXPECT_EQ(reply.unread(), 1u);
  reply = Mark("r", "bob", 1);
  EXPECT_EQ(Name(reply), "already_read");
  EXPECT_EQ(reply.read_to(), 2u);
  EXPECT_EQ(Name(Mark("r", "bob", 2)), "already_read");
  // Bob has not read everything: his own message does not say that he has.
  Post(TextOf("r", "bob", "m4"));
  EXPECT_EQ(Get("r", "bob")->read_to(), 2u);
  EXPECT_EQ(Unread("r", "bob"), 2u);
  // Edits and deletions are none that one reads.
  Post(EditOf("r", "ann", "e1", "m1"));
  EXPECT_EQ(Unread("r", "bob"), 2u);
  EXPECT_EQ(Mark("r", "bob", 5).unread(), 0u);
  // Who comes has read what was before.
  EXPECT_EQ(Join("r", "eve").member().read_to(), 5u);
  Post(TextOf("r", "ann", "m5"));
  EXPECT_EQ(Unread("r", "eve"), 1u);
}

TEST_F(ChatTest, RoomsAndMembersAreListedByName) {
  for (const char* room : {"c", "a", "b"}) {
    Create(room);
    Join(room, "ann");
  }
  Post(TextOf("b", "ann", "m1"));
  Join("c", "bob");
  Post(TextOf("c", "ann", "m1"));
  Delete("b");
  const auto rooms = [&](const std::string& member, const std::string& after, uint32_t limit) {
    ListRoomsRequest request;
    request.set_member(member);
    request.set_after(after);
    request.set_limit(limit);
    std::string all;
    const auto reply = Read<ListRoomsReply>("chat.ListRooms", request);
    for (const Room& room : reply->rooms()) {
      all += room.room() + (room.has_unread() ? std::to_string(room.unread()) : "") + " ";
    }
    return all + (reply->next_after().empty() ? "" : "> " + reply->next_after());
  };
  EXPECT_EQ(rooms("", "", 0), "a c r ");
  EXPECT_EQ(rooms("bob", "", 0), "c1 r0 ");
  EXPECT_EQ(rooms("ann", "", 2), "a0 c0 > c");
  EXPECT_EQ(rooms("ann", "c", 2), "r0 ");
  EXPECT_EQ(rooms("", "", 1), "a > a");
  EXPECT_EQ(rooms("", "a", 1), "c > c");
  EXPECT_EQ(rooms("", "c", 1), "r ");
  EXPECT_EQ(rooms("nobody", "", 0), "");
  const auto members = [&](const std::string& after, uint32_t limit) {
    auto request = Of<ListMembersRequest>("r");
    request.set_after(after);
    request.set_limit(limit);
    std::string all;
    const auto reply = Read<ListMembersReply>("chat.ListMembers", request);
    for (const Member& member : reply->members()) all += member.member() + " ";
    return all + (reply->next_after().empty() ? "" : "> " + reply->next_after());
  };
  EXPECT_EQ(members("", 0), "ann bob ");
  EXPECT_EQ(members("", 1), "ann > ann");
  EXPECT_EQ(members("ann", 1), "bob ");
  EXPECT_EQ(Read<ListMembersReply>("chat.ListMembers", Of<ListMembersRequest>("b")).error().code,
            ErrorCode::kNotFound);
  EXPECT_EQ(Get("r", "eve").error().code, ErrorCode::kNotFound);
}

TEST_F(ChatTest, ADeletedRoomIsEmptyAtOnceAndSweptBitByBit) {
  for (int i = 0; i < 600; ++i) {
    Write<PostReply>("chat.Post", TextOf("r", "ann", "m" + std::to_string(i)));
  }
  Post(EditOf("r", "ann", "e1", "m1"));
  Post(TextOf("r", "ann", "h1", {"never"}));
  EXPECT_EQ(Delete("r"), "deleted");
  EXPECT_EQ(Receive(ReceiveOf("r")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(Told(Post(TextOf("r", "ann", "m1"))), "room_not_found");
  EXPECT_EQ(Name(Join("r", "ann")), "room_not_found");
  EXPECT_EQ(Create("q"), "created");
  EXPECT_EQ(Delete("q"), "deleted");
  for (int i = 0; i < 12; ++i) {
    PassMs(bounds::kChatSweepPauseMs);
    EXPECT_EQ(Broken(testing::kChat), "") << i;
  }
  // Nothing but the names of both, and what counts them.
  for (uint8_t table = 2; table <= 10; ++table) EXPECT_EQ(Rows(table), 0u) << int{table};
  EXPECT_EQ(Rows(1), 2u);
  PassMs(bounds::kChatHoldMsDefault);
}

TEST_F(ChatTest, HoweverManyAreInARoomItIsDeletedInSmallPortions) {
  for (uint32_t i = 0; i < 1'500; ++i) {
    Write<MemberReply>("chat.Join", Of<JoinRequest>("r", "m" + std::to_string(i)));
  }
  Checkpoint();
  for (uint32_t i = 0; i < 1'500; i += 2) {  // Erased and not written yet: walked over.
    Write<MemberReply>("chat.Leave", Of<LeaveRequest>("r", "m" + std::to_string(i)));
  }
  for (uint32_t i = 0; i < bounds::kChatHeldMax; ++i) {
    Write<PostReply>("chat.Post", TextOf("r", "ann", "m" + std::to_string(i), {"first"}));
  }
  // Small ones before and behind it; of several the rest waits for its turn.
  for (const char* room : {"a", "p", "q"}) {
    ASSERT_EQ(Create(room), "created");
    if (room != std::string("p")) Join(room, "ann");
  }
  Post(TextOf("q", "ann", "m1"));
  const auto rows = [&] {
    uint64_t all = 0;
    for (const uint8_t table : {2, 4, 6}) all += Rows(table);
    return all;
  };
  const uint64_t before = rows();
  EXPECT_EQ(Delete("p"), "deleted");
  PassMs(0);
  EXPECT_EQ(Delete("r"), "deleted");
  EXPECT_EQ(Delete("q"), "deleted");
  EXPECT_GE(rows() + 2 * bounds::kChatSweptPerEntry, before) << "not at once";
  ListRoomsRequest of_ann;
  of_ann.set_member("ann");
  of_ann.set_limit(1);
  const auto hers = Read<ListRoomsReply>("chat.ListRooms", of_ann);
  ASSERT_EQ(hers->rooms_size(), 1);
  EXPECT_EQ(hers->rooms(0).room(), "a");
  EXPECT_EQ(hers->next_after(), "") << "the page does not tell of those that are not swept yet";
  // Never more than a portion an entry, whoever deletes what meanwhile.
  for (int i = 0; rows() > 1; ++i) {  // But for ann, who is in "a".
    ASSERT_LT(i, 40);
    const uint64_t left = rows();
    PassMs(bounds::kChatSweepPauseMs);
    EXPECT_LE(left, rows() + bounds::kChatSweptPerEntry);
    EXPECT_EQ(Broken(testing::kChat), "") << i;
    if (i == 1) Restart();
  }
  for (uint8_t table = 2; table <= 10; ++table)
    EXPECT_EQ(Rows(table), table <= 3 ? 1u : 0u) << int{table};
  PassMs(bounds::kChatHoldMsDefault);
}

// Which rows are erased and not yet written hangs on a node's own checkpoints: the sweep must not.
class Twin : public ChatTest {
 public:
  using ChatTest::SetUp;
  void TestBody() override {}
  // The chain of digests while a room is swept, of whose members half have left.
  std::vector<uint64_t> Sweep(bool checkpoint) {
    EXPECT_EQ(Create("twins"), "created");
    for (uint32_t i = 0; i < 1'200; ++i) Join("twins", "m" + std::to_string(i));
    Checkpoint();
    for (uint32_t i = 0; i < 1'200; i += 2) {
      Write<MemberReply>("chat.Leave", Of<LeaveRequest>("twins", "m" + std::to_string(i)));
    }
    if (checkpoint) Checkpoint();
    EXPECT_EQ(Delete("twins"), "deleted");
    std::vector<uint64_t> digests;
    for (int i = 0; i < 8; ++i) {
      PassMs(bounds::kChatSweepPauseMs);
      digests.push_back(machine().position().digest);
    }
    return digests;
  }
};

TEST(ChatTwinsTest, ACheckpointOfOneNodeChangesNoSweep) {
  Twin one;
  Twin other;
  one.SetUp();
  other.SetUp();
  EXPECT_EQ(one.Sweep(false), other.Sweep(true));
}

TEST_F(ChatTest, PagesOverWhatIsErasedEndAndGoOn) {
  // Not written yet: a walk has to pass each.
  const uint64_t gone = bounds::kPageStepsMax + 10;
  for (const char* method : {"chat.Join", "chat.Leave"}) {
    for (uint64_t i = 0; i < gone; ++i) {
      Write<MemberReply>(method, Of<JoinRequest>("r", "b" + std::to_string(10'000 + i)));
    }
    if (method == std::string("chat.Join")) Checkpoint();
  }
  Join("r", "zoe");
  auto request = Of<ListMembersRequest>("r");
  std::string all;
  int pages = 0;
  do {
    const auto page = Read<ListMembersReply>("chat.ListMembers", request);
    for (const Member& member : page->members()) all += member.member() + " ";
    ASSERT_LT(++pages, 5);
    request.set_after(page->next_after());
  } while (!request.after().empty());
  EXPECT_EQ(all, "ann bob zoe ");
  EXPECT_EQ(pages, 2);
}

TEST_F(ChatTest, FullIsSaidAndChangesNothing) {
  for (uint32_t i = 0; i < bounds::kChatMembersMax - 2; ++i) {
    Write<MemberReply>("chat.Join", Of<JoinRequest>("r", "m" + std::to_string(i)));
  }
  EXPECT_EQ(Name(Join("r", "eve")), "too_many_members");
  EXPECT_EQ(Name(Join("r", "ann")), "already_member");
  Leave("r", "bob");
  EXPECT_EQ(Name(Join("r", "eve")), "joined");
  EXPECT_EQ(Delete("r"), "deleted");
}

TEST_F(ChatTest, RoomsThatWereDeletedCount) {
  for (uint64_t i = 1; i < bounds::kChatRoomsMax; ++i) {
    Write<RoomReply>("chat.CreateRoom", Of<CreateRoomRequest>("r" + std::to_string(i)));
  }
  EXPECT_EQ(Name(Write<RoomReply>("chat.CreateRoom", Of<CreateRoomRequest>("more")).outcome()),
            "too_many_rooms");
  Write<RoomReply>("chat.DeleteRoom", Of<DeleteRoomRequest>("r1"));
  EXPECT_EQ(Name(Write<RoomReply>("chat.CreateRoom", Of<CreateRoomRequest>("more")).outcome()),
            "too_many_rooms");
  EXPECT_EQ(Name(Write<RoomReply>("chat.CreateRoom", Of<CreateRoomRequest>("r2")).outcome()),
            "already_exists");
}

TEST_F(ChatTest, MalformedRequestsNameTheField) {
  const auto field = [&]<class Request>(const char* method, Request request, auto spoil) {
    spoil(request);
    return FieldOf(std::string("chat.") + method, request);
  };
  const auto fine = [](auto&) {};
  const auto no_room = [](auto& r) { r.clear_room(); };
  const auto long_room = [](auto& r) { r.set_room(std::string(129, 'r')); };
  const auto room = [](auto& r) { r.set_room("a\x1b[2J"); };
  const auto rooms = [&]<class Request>(const char* method, const Request& request) {
    EXPECT_EQ(field(method, request, fine), "fine") << method;
    EXPECT_EQ(field(method, request, no_room), "room") << method;
    EXPECT_EQ(field(method, request, long_room), "room") << method;
    EXPECT_EQ(field(method, request, room), "room") << method;
  };
  rooms("CreateRoom", Of<CreateRoomRequest>("r"));
  rooms("DeleteRoom", Of<DeleteRoomRequest>("r"));
  rooms("Join", Of<JoinRequest>("r", "ann"));
  rooms("Leave", Of<LeaveRequest>("r", "ann"));
  rooms("GetRoom", Of<GetRoomRequest>("r"));
  rooms("ListMembers", Of<ListMembersRequest>("r"));
  rooms("Receive", Of<ReceiveRequest>("r"));
  rooms("ListMessages", Of<ListMessagesRequest>("r"));
  rooms("Post", TextOf("r", "ann", "m1"));

  const auto create = Of<CreateRoomRequest>("r");
  EXPECT_EQ(field("CreateRoom", create, [](auto& r) { r.set_topic("a\nb"); }), "topic");
  EXPECT_EQ(field("CreateRoom", create, [](auto& r) { r.set_topic(std::string(257, 't')); }),
            "topic");

  const auto members = [&]<class Request>(const char* method, const Request& request) {
    EXPECT_EQ(field(method, request, [](auto& r) { r.set_member("\x7f"); }), "member") << method;
    EXPECT_EQ(field(method, request, [](auto& r) { r.set_member(std::string(129, 'm')); }),
              "member")
        << method;
  };
  members("Join", Of<JoinRequest>("r", "ann"));
  members("Leave", Of<LeaveRequest>("r", "ann"));
  members("GetRoom", Of<GetRoomRequest>("r"));
  members("ListRooms", ListRoomsRequest());
  EXPECT_EQ(field("Join", Of<JoinRequest>("r"), fine), "member");
  EXPECT_EQ(field("Leave", Of<LeaveRequest>("r"), fine), "member");
  auto mark = Of<MarkReadRequest>("r", "ann");
  EXPECT_EQ(field("MarkRead", mark, fine), "up_to");
  mark.set_up_to(1);
  rooms("MarkRead", mark);
  members("MarkRead", mark);
  EXPECT_EQ(field("MarkRead", mark, [](auto& r) { r.clear_member(); }), "member");

  const PostRequest text = TextOf("r", "ann", "m1", {"m0"});
  const PostRequest edit = EditOf("r", "ann", "e1", "m1");
  const PostRequest deletion = DeleteOf("r", "ann", "d1", "m1");
  EXPECT_EQ(field("Post", text, fine), "fine");
  EXPECT_EQ(field("Post", edit, fine), "fine");
  EXPECT_EQ(field("Post", deletion, fine), "fine");
  EXPECT_EQ(field("Post", text, [](auto& r) { r.clear_id(); }), "id");
  EXPECT_EQ(field("Post", text, [](auto& r) { r.set_id(std::string(129, 'i')); }), "id");
  EXPECT_EQ(field("Post", text, [](auto& r) { r.set_id("a\nb"); }), "id");
  EXPECT_EQ(field("Post", text, [](auto& r) { r.clear_author(); }), "author");
  EXPECT_EQ(field("Post", text, [](auto& r) { r.set_author(std::string(129, 'i')); }), "author");
  EXPECT_EQ(field("Post", text, [](auto& r) { r.set_author("a\tb"); }), "author");
  EXPECT_EQ(field("Post", text, [](auto& r) { r.set_kind(static_cast<MessageKind::Code>(7)); }),
            "kind");
  EXPECT_EQ(field("Post", text, [](auto& r) { r.clear_text(); }), "text");
  EXPECT_EQ(field("Post", text, [](auto& r) { r.set_text(std::string(8'193, 't')); }), "text");
  EXPECT_EQ(field("Post", text, [](auto& r) { r.set_text("\x1b[2J\n\t\x01 any text"); }), "fine");
  EXPECT_EQ(field("Post", edit, [](auto& r) { r.clear_text(); }), "text");
  EXPECT_EQ(field("Post", deletion, [](auto& r) { r.set_text("why"); }), "text");
  EXPECT_EQ(field("Post", text, [](auto& r) { r.add_follows(""); }), "follows[1]");
  EXPECT_EQ(field("Post", text, [](auto& r) { r.add_follows(std::string(129, 'f')); }),
            "follows[1]");
  EXPECT_EQ(field("Post", text, [](auto& r) { r.add_follows("a\nb"); }), "follows[1]");
  EXPECT_EQ(field("Post", text, [](auto& r) { r.add_follows("m0"); }), "follows[1]");
  EXPECT_EQ(field("Post", text, [](auto& r) { r.add_follows("m1"); }), "follows[1]");
  EXPECT_EQ(field("Post", text,
                  [](auto& r) {
                    for (int i = 1; i <= 16; ++i) r.add_follows("f" + std::to_string(i));
                  }),
            "follows");
  EXPECT_EQ(field("Post", text, [](auto& r) { r.set_target("m0"); }), "target");
  EXPECT_EQ(field("Post", edit, [](auto& r) { r.clear_target(); }), "target");
  EXPECT_EQ(field("Post", deletion, [](auto& r) { r.clear_target(); }), "target");
  EXPECT_EQ(field("Post", edit, [](auto& r) { r.set_target("e1"); }), "target");
  EXPECT_EQ(field("Post", edit, [](auto& r) { r.set_target("a\nb"); }), "target");
  EXPECT_EQ(field("Post", edit, [](auto& r) { r.set_target(std::string(129, 't')); }), "target");
  EXPECT_EQ(field("Post", text, [](auto& r) { r.set_hold_ms(600'001); }), "hold_ms");

  const auto after = [](auto& r) { r.set_after("a\nb"); };
  const auto long_after = [](auto& r) { r.set_after(std::string(129, 'a')); };
  const auto limit = [](auto& r) { r.set_limit(1'001); };
  EXPECT_EQ(field("ListRooms", ListRoomsRequest(), fine), "fine");
  EXPECT_EQ(field("ListRooms", ListRoomsRequest(), after), "after");
  EXPECT_EQ(field("ListRooms", ListRoomsRequest(), long_after), "after");
  EXPECT_EQ(field("ListRooms", ListRoomsRequest(), limit), "limit");
  EXPECT_EQ(field("ListMembers", Of<ListMembersRequest>("r"), after), "after");
  EXPECT_EQ(field("ListMembers", Of<ListMembersRequest>("r"), long_after), "after");
  EXPECT_EQ(field("ListMembers", Of<ListMembersRequest>("r"), limit), "limit");
  EXPECT_EQ(field("ListMessages", Of<ListMessagesRequest>("r"), limit), "limit");
  const auto receive = Of<ReceiveRequest>("r");
  EXPECT_EQ(field("Receive", receive, limit), "limit");
  EXPECT_EQ(field("Receive", receive, [](auto& r) { r.set_wait_ms(60'001); }), "wait_ms");
  EXPECT_EQ(field("Receive", receive, [](auto& r) { r.set_delay_ms_max(10'001); }), "delay_ms_max");
  EXPECT_EQ(field("Receive", receive, [](auto& r) { r.set_duplicate_percent(101); }),
            "duplicate_percent");
  EXPECT_EQ(field("Receive", receive, [](auto& r) { r.set_lose_percent(101); }), "lose_percent");
  GetMessageRequest get;
  get.set_room("r");
  EXPECT_EQ(field("GetMessage", get, fine), "id");
  get.set_id("m1");
  rooms("GetMessage", get);
  EXPECT_EQ(field("GetMessage", get, [](auto& r) { r.set_id("a\nb"); }), "id");
  EXPECT_EQ(field("GetMessage", get, [](auto& r) { r.set_id(std::string(129, 'i')); }), "id");
  EXPECT_EQ(Read<Message>("chat.GetMessage", get).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace holdfast::chat
