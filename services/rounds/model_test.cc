// Random requests: the service must answer as the model does, word for word, and hold its
// invariants.
#include "services/rounds/model.h"

#include <random>
#include <set>
#include <type_traits>

#include "services/rounds/testing.h"

namespace holdfast::rounds {
namespace {

// Few games and participants, so that everything meets everything.
class RoundsModelTest : public testing::RoundsFixture {
 protected:
  template <class Request, class Ask>
  auto Compare(const std::string& method, const Request& request, Ask ask) {
    using Reply = std::invoke_result_t<Ask>;
    Pass(now_us() + 1);
    const Reply wanted = ask();
    const Reply reply = Do<Reply>(method, request);
    EXPECT_EQ(reply.ShortDebugString(), wanted.ShortDebugString())
        << method << " " << request.ShortDebugString();
    seen_.insert(method + " " + Name(reply));
    return reply;
  }

  void Step() {
    switch (Below(20)) {
      case 0: {
        CreateRequest request = ARules();
        Compare("Create", request, [&] { return model_.Create(request); });
        break;
      }
      case 1:
      case 2: {
        auto request = Named<JoinRequest>();
        request.set_id(AnId());
        Compare("Join", request, [&] { return model_.Join(request); });
        break;
      }
      case 3: {
        if (Below(3) != 0) break;
        auto request = Named<LeaveRequest>();
        request.set_id(AnId());
        Compare("Leave", request, [&] { return model_.Leave(request); });
        break;
      }
      case 4: {
        CloseRequest request;
        request.set_game(AGame());
        request.set_id(AnId());
        if (Below(6) == 0) Compare("Close", request, [&] { return model_.Close(request); });
        break;
      }
      case 5: {
        DeleteRequest request;
        request.set_game(AGame());
        request.set_id(AnId());
        const Game game = GameOf(request.game());
        if (game.state() != State::over && Below(6) != 0) break;
        Compare("Delete", request, [&] { return model_.Delete(request); });
        break;
      }
      case 6:
      case 7: {
        const int64_t ms = Below(3) == 0 ? 300 : static_cast<int64_t>(Below(40));
        if (Below(4) == 0) {
          NewLeader();
          new_leader_ = true;
        }
        PassMs(ms + 1);
        Pass(now_us());
        EXPECT_EQ(Broken(testing::kRounds), "");
        break;
      }
      default: {
        const MoveRequest request = AMove();
        const MoveReply reply = Compare("Move", request, [&] { return model_.Move(request); });
        seen_.insert(std::string("Await ") +
                     MoveOutcome::Code_Name(model_.Await(request).outcome()));
        if (reply.has_made()) ++moves_;
      }
    }
    CompareReads();
  }

  void CompareReads() {
    const MoveRequest await = AMove();
    EXPECT_EQ(Read<MoveReply>("rounds.AwaitMove", await)->ShortDebugString(),
              model_.Await(await).ShortDebugString())
        << await.ShortDebugString();
    GetRequest get;
    get.set_game(AGame());
    const auto game = Read<Game>("rounds.Get", get);
    const auto wanted = model_.Get(get);
    EXPECT_EQ(game ? game->ShortDebugString() : "none",
              wanted ? wanted->ShortDebugString() : "none");
    ResultsRequest results;
    results.set_game(get.game());
    results.set_id(AnId());
    results.set_limit(static_cast<uint32_t>(Below(4)));
    if (Below(2) == 0) results.set_after(Below(12));
    const auto page = Read<ResultsReply>("rounds.Results", results);
    const auto wanted_page = model_.Results(results);
    EXPECT_EQ(page ? page->ShortDebugString() : "none",
              wanted_page ? wanted_page->ShortDebugString() : "none")
        << results.ShortDebugString();
    if (page && page->forgotten() > 0) seen_.insert("Results forgotten");
    if (page && page->ahead()) seen_.insert("Results ahead");
    ListRequest list;
    list.set_limit(static_cast<uint32_t>(Below(3)));
    if (Below(2) == 0) list.set_after(AGame());
    EXPECT_EQ(Read<ListReply>("rounds.List", list)->ShortDebugString(),
              model_.List(list).ShortDebugString());
    if (wanted) seen_.insert(std::string("end ") + End::Code_Name(wanted->end()));
  }

  // Time passes for the model as it does for the machine.
  void Pass(int64_t now_us) {
    if (std::exchange(new_leader_, false)) now_.left_out_us += now_us - now_.log_us;
    now_.log_us = now_us;
    model_.Pass(now_);
  }
  uint64_t Below(uint64_t bound) { return random_() % bound; }

  std::set<std::string> seen_;  // Methods and outcomes, and how games ended.
  int moves_ = 0;

 private:
  template <class Reply>
  static std::string Name(const Reply& reply) {
    const auto* field = reply.GetDescriptor()->FindFieldByName("outcome");
    return reply.GetReflection()->GetEnum(reply, field)->name();
  }
  std::string AGame() { return "g" + std::to_string(Below(3)); }
  std::string AParticipant() { return std::string(1, static_cast<char>('a' + Below(4))); }
  Game GameOf(const std::string& name) {
    GetRequest get;
    get.set_game(name);
    return model_.Get(get).value_or(Game());
  }
  uint64_t AnId() { return Below(4) == 0 ? 1 + Below(30) : 0; }
  template <class Request>
  Request Named() {
    Request request;
    request.set_game(AGame());
    request.set_participant(AParticipant());
    return request;
  }
  CreateRequest ARules() {
    CreateRequest request;
    request.set_game(AGame());
    const uint64_t named = Below(4);
    for (uint64_t i = 0; i < named; ++i) {
      request.add_participants(std::string(1, static_cast<char>('a' + i)));
    }
    if (named == 0 || Below(2) == 0) {
      request.set_places(static_cast<uint32_t>(std::max<uint64_t>(named, 1) + Below(2)));
    }
    if (Below(3) == 0) request.set_rounds(1 + Below(6));
    if (Below(4) != 0) request.set_round_ms(static_cast<uint32_t>(1 + Below(60)));
    request.set_clock(static_cast<Clock::Code>(Below(3)));
    if (request.round_ms() != 0) request.set_absent(static_cast<Absent::Code>(Below(5)));
    if (request.absent() == Absent::default_move) {
      if (Below(2) == 0) {
        request.set_default_move("d");
      } else {
        request.set_default_data("d");
      }
    }
    if (Below(2) == 0) request.set_keep(static_cast<uint32_t>(1 + Below(3)));
    return request;
  }
  // Mostly of the round under way.
  MoveRequest AMove() {
    MoveRequest request = Named<MoveRequest>();
    const uint64_t current = GameOf(request.game()).rounds_ended() + 1;
    request.set_round(std::max<uint64_t>(1, current + 1 - (Below(3) == 0 ? Below(4) : 1)));
    const std::string move(1, static_cast<char>('x' + Below(2)));
    switch (Below(5)) {
      case 0: request.set_data(move); break;
      case 1: break;
      default: request.set_move(move);
    }
    if (Below(3) == 0) request.set_wait_ms(1'000);
    request.set_id(AnId());
    return request;
  }

  std::mt19937_64 random_{1};
  Model model_;
  sessions::Moment now_;
  bool new_leader_ = false;
};

TEST_F(RoundsModelTest, DoesWhatTheModelDoes) {
  for (int step = 0; step < 20'000; ++step) {
    Step();
    ASSERT_FALSE(HasFailure()) << "step " << step;
    if (step % 1'000 == 0) Restart();
  }
  EXPECT_GT(moves_, 1'000);
  for (const char* outcome : {"Create exists_with_other_rules",
                              "Create created",
                              "Join game_not_found",
                              "Join already_joined",
                              "Join game_over",
                              "Join game_full",
                              "Join joined",
                              "Leave game_not_found",
                              "Leave game_over",
                              "Leave not_a_participant",
                              "Leave left",
                              "Move game_not_found",
                              "Move forgotten",
                              "Move round_aborted",
                              "Move too_late",
                              "Move game_over",
                              "Move not_a_participant",
                              "Move round_not_begun",
                              "Move moved_differently",
                              "Move already_moved",
                              "Move moved",
                              "Move waiting",
                              "Await waiting",
                              "Await round_over",
                              "Close game_not_found",
                              "Close already_over",
                              "Close closed",
                              "Delete game_not_found",
                              "Delete deleted",
                              "Results forgotten",
                              "Results ahead",
                              "end played",
                              "end aborted",
                              "end deserted",
                              "end closed"}) {
    EXPECT_TRUE(seen_.contains(outcome)) << outcome << " was never reached";
  }
}

}  // namespace
}  // namespace holdfast::rounds
