// Random requests: the service must answer as the model does, word for word, and hold its
// invariants.
#include "services/chat/model.h"

#include <random>
#include <set>
#include <type_traits>

#include "services/chat/testing.h"

namespace holdfast::chat {
namespace {

// Few rooms, members and ids, so that everything meets everything.
class ChatModelTest : public testing::ChatFixture {
 protected:
  template <class Request, class Ask>
  void Compare(const std::string& method, const Request& request, Ask ask) {
    using Reply = std::invoke_result_t<Ask>;
    const Reply reply = Do<Reply>(method, request);
    model_.PassTo(moment());
    const Reply wanted = ask();
    EXPECT_EQ(reply.ShortDebugString(), wanted.ShortDebugString())
        << method << " " << request.ShortDebugString();
    const auto* field = reply.GetDescriptor()->FindFieldByName("outcome");
    seen_.insert(method + " " + reply.GetReflection()->GetEnum(reply, field)->name());
  }

  void Step() {
    const std::string room = ARoom();
    if (Below(30) == 0) NewLeader();
    switch (Below(20)) {
      case 0:
        if (Below(4) == 0 || !model_.GetRoom(Of<GetRoomRequest>(room))) {
          auto request = Of<CreateRoomRequest>(room);
          if (Below(4) == 0) request.set_topic("t");
          Compare("CreateRoom", request, [&] { return model_.CreateRoom(request); });
        }
        break;
      case 1:
        // Now and then, so that rooms fill before they go.
        if (Below(40) == 0) {
          const auto request = Of<DeleteRoomRequest>(room);
          Compare("DeleteRoom", request, [&] { return model_.DeleteRoom(request); });
          if (room == "r" + std::to_string(rooms_)) ++rooms_;
        }
        break;
      case 2: {
        const auto request = Of<JoinRequest>(room, AMember());
        Compare("Join", request, [&] { return model_.Join(request); });
        break;
      }
      case 3:
        if (Below(3) == 0) {
          const auto request = Of<LeaveRequest>(room, AMember());
          Compare("Leave", request, [&] { return model_.Leave(request); });
        }
        break;
      case 4:
      case 5: {
        auto request = Of<MarkReadRequest>(room, AMember());
        request.set_up_to(1 + Below(Last(room) + 2));
        Compare("MarkRead", request, [&] { return model_.MarkRead(request); });
        break;
      }
      case 6: PassMs(static_cast<int64_t>(1 + Below(300))); break;
      default: {
        // At times the same once more.
        const PostRequest request = Below(5) == 0 && last_.room() == room ? last_ : APost(room);
        if (Below(3) == 0) last_ = request;
        Compare("Post", request, [&] { return model_.Post(request); });
      }
    }
    CompareReads();
  }

  template <class Reply, class Request>
  void CompareRead(const char* method, const Request& request, const std::optional<Reply>& wanted) {
    const auto reply = Read<Reply>(std::string("chat.") + method, request);
    ASSERT_EQ(reply ? reply->ShortDebugString() : "none",
              wanted ? wanted->ShortDebugString() : "none")
        << method << " " << request.ShortDebugString();
  }

  void CompareReads() {
    model_.PassTo(moment());
    const std::string room = ARoom();
    const uint64_t after = Below(Last(room) + 2);
    auto receive = ReceiveOf(room, after);
    receive.set_limit(static_cast<uint32_t>(Below(6)));
    if (Below(2) == 0) {
      receive.set_delay_ms_max(static_cast<uint32_t>(Below(3) * 100));
      receive.set_shuffle(Below(2) == 0);
      receive.set_duplicate_percent(static_cast<uint32_t>(Below(3) * 30));
      receive.set_lose_percent(static_cast<uint32_t>(Below(3) * 20));
      receive.set_seed(Below(1'000));
    }
    CompareRead("Receive", receive, model_.Receive(receive));
    auto list = Of<ListMessagesRequest>(room);
    list.set_after(after);
    list.set_limit(static_cast<uint32_t>(Below(4)));
    CompareRead("ListMessages", list, model_.ListMessages(list));
    const auto get = Of<GetRoomRequest>(room, Below(2) == 0 ? "" : AMember());
    CompareRead("GetRoom", get, model_.GetRoom(get));
    ListRoomsRequest rooms;
    rooms.set_member(Below(2) == 0 ? "" : AMember());
    rooms.set_after(Below(2) == 0 ? "" : ARoom());
    rooms.set_limit(static_cast<uint32_t>(Below(4)));
    CompareRead("ListRooms", rooms, std::optional(model_.ListRooms(rooms)));
    auto members = Of<ListMembersRequest>(room);
    members.set_limit(static_cast<uint32_t>(Below(3)));
    CompareRead("ListMembers", members, model_.ListMembers(members));
    GetMessageRequest message;
    message.set_room(room);
    message.set_id(AnId());
    CompareRead("GetMessage", message, model_.GetMessage(message));
  }

  PostRequest APost(const std::string& room) {
    const uint64_t kind = Below(8);
    PostRequest request = TextOf(room, AMember(), Below(3) == 0 ? AnId() : ANewId());
    request.set_text("t" + std::to_string(Below(2)));
    if (kind <= 1) request = EditOf(room, request.author(), request.id(), ATarget(room));
    if (kind == 2) request = DeleteOf(room, request.author(), request.id(), ATarget(room));
    if (request.target() == request.id()) request.set_target(request.id() + "x");
    // Mostly by its author.
    GetMessageRequest target;
    target.set_room(room);
    target.set_id(request.target());
    const auto there = model_.GetMessage(target);
    if (there && Below(3) != 0) request.set_author(there->author());
    for (uint64_t i = Below(3); i > 0; --i) {
      const std::string other = AnId();
      const auto& follows = request.follows();
      if (other == request.id()) continue;
      if (std::find(follows.begin(), follows.end(), other) == follows.end()) {
        request.add_follows(other);
      }
    }
    if (Below(3) == 0) request.set_hold_ms(static_cast<uint32_t>(Below(4) * 200));
    return request;
  }

  // Mostly one of the last that are there.
  std::string ATarget(const std::string& room) {
    const uint64_t last = Last(room);
    const auto page = model_.Receive(ReceiveOf(room, last > 6 ? last - 6 : 0));
    if (last == 0 || Below(3) == 0) return AnId();
    return page->messages(static_cast<int>(Below(static_cast<uint64_t>(page->messages_size()))))
        .id();
  }
  uint64_t Below(uint64_t bound) { return random_() % bound; }
  uint64_t Last(const std::string& room) {
    const auto there = model_.GetRoom(Of<GetRoomRequest>(room));
    return there ? there->last() : 0;
  }
  // Names of rooms are used up: every so often there are new ones.
  std::string ARoom() { return "r" + std::to_string(rooms_ + Below(2)); }
  std::string AMember() { return std::string(1, static_cast<char>('a' + Below(4))); }
  std::string ANewId() { return "m" + std::to_string(++last_id_); }
  // Of the near past, or one of those to come.
  std::string AnId() {
    return "m" + std::to_string(last_id_ < 12 ? Below(14) : last_id_ - 11 + Below(14));
  }

  std::set<std::string> seen_;  // Methods and outcomes.

 private:
  sessions::Moment moment() { return {now_us(), now_us() - lease_now_us()}; }

  std::mt19937_64 random_{1};
  uint64_t rooms_ = 0;  // That are not asked for any more.
  uint64_t last_id_ = 0;
  PostRequest last_;  // To be repeated.
  Model model_;
};

TEST_F(ChatModelTest, DoesWhatTheModelDoes) {
  for (int step = 0; step < 8'000; ++step) {
    Step();
    ASSERT_FALSE(HasFailure()) << "step " << step;
    if (step % 500 == 0) Restart();
  }
  for (const char* outcome : {"CreateRoom room_deleted",
                              "CreateRoom exists_with_different_topic",
                              "CreateRoom already_exists",
                              "CreateRoom created",
                              "DeleteRoom deleted",
                              "Join room_not_found",
                              "Join already_member",
                              "Join joined",
                              "Leave not_a_member",
                              "Leave left",
                              "MarkRead not_a_member",
                              "MarkRead message_not_found",
                              "MarkRead already_read",
                              "MarkRead marked",
                              "Post room_not_found",
                              "Post exists_with_different_author",
                              "Post exists_with_different_kind",
                              "Post exists_with_different_follows",
                              "Post exists_with_different_text",
                              "Post already_exists",
                              "Post already_held",
                              "Post not_a_member",
                              "Post target_not_text",
                              "Post not_the_author",
                              "Post target_deleted",
                              "Post unknown_dependency",
                              "Post held",
                              "Post posted"}) {
    EXPECT_TRUE(seen_.contains(outcome)) << outcome << " was never reached";
  }
}

}  // namespace
}  // namespace holdfast::chat
