// Games through the machine that runs them: every outcome, secrecy, history and its pages, and
// waiting.
#include "holdfast/atomic.pb.h"
#include "services/rounds/testing.h"
#include "src/base/bounds.h"
#include "src/state_machine/topic.h"

namespace holdfast::rounds {
namespace {

class RoundsTest : public testing::RoundsFixture {
 protected:
  // What the last entry woke.
  bool Touched() {
    for (const auto& each : touched()) {
      if (each.topic == state_machine::TopicOf(testing::kRounds, "g")) return true;
    }
    return false;
  }
  // Whether a read waits for the game.
  template <class Reply>
  bool Waits(const std::string& method, const google::protobuf::Message& request) {
    std::optional<state_machine::Topic> topic;
    Read<Reply>("rounds." + method, request, &topic);
    return topic == state_machine::TopicOf(testing::kRounds, "g");
  }
  // Everything that a read tells about the game, as bytes.
  std::string AllThatIsTold() {
    std::string all = Get().SerializeAsString() + Results().SerializeAsString();
    all += Read<ListReply>("rounds.List", ListRequest())->SerializeAsString();
    for (const char* who : {"a", "b", "c"}) {
      all += Await(who, 1, "guess").SerializeAsString();
      all += Move(Moves(who, 2, "guess", 100)).SerializeAsString();
    }
    return all;
  }
};

TEST_F(RoundsTest, NobodySeesAnythingBeforeEveryoneHasMoved) {
  EXPECT_EQ(Create("abc"), CreateOutcome::created);
  EXPECT_EQ(Move("a", 1, "secret-1"), MoveOutcome::moved);
  EXPECT_EQ(Move("b", 1, "secret-2", 100), MoveOutcome::waiting);
  EXPECT_EQ(Move("a", 1, "guess"), MoveOutcome::moved_differently);
  const std::string told = AllThatIsTold();
  EXPECT_EQ(told.find("secret"), std::string::npos);
  EXPECT_EQ(Get().moved(), 2u);
  EXPECT_TRUE(Get().participants(0).moved());
  EXPECT_FALSE(Get().participants(2).moved());
  EXPECT_EQ(History(), "");
  EXPECT_EQ(Await("b", 1, "secret-2").outcome(), MoveOutcome::waiting);
  EXPECT_FALSE(Await("b", 1, "secret-2").has_result());

  const MoveReply last = Move(Moves("c", 1, "secret-3"));
  EXPECT_EQ(last.outcome(), MoveOutcome::moved);
  EXPECT_EQ(last.current_round(), 2u);
  EXPECT_FALSE(last.has_result()) << "what a write says is kept; results are for reads";
  EXPECT_EQ(History(), "1 a:secret-1 b:secret-2 c:secret-3");
  const MoveReply a = Await("a", 1, "secret-1"), c = Await("c", 1, "secret-3");
  EXPECT_EQ(a.outcome(), MoveOutcome::round_over);
  EXPECT_EQ(a.result().SerializeAsString(), c.result().SerializeAsString());
  EXPECT_EQ(a.result().SerializeAsString(), Results().rounds(0).SerializeAsString());
  Restart();
  EXPECT_EQ(History(), "1 a:secret-1 b:secret-2 c:secret-3");
}

TEST_F(RoundsTest, AMoveIsMadeOnce) {
  Create("ab");
  const MoveReply first = Move(Moves("a", 1, "x"));
  PassMs(5);
  const MoveReply again = Move(Moves("a", 1, "x"));
  EXPECT_EQ(again.outcome(), MoveOutcome::already_moved);
  EXPECT_EQ(again.made().SerializeAsString(), first.made().SerializeAsString());
  EXPECT_EQ(Move("a", 1, "x", 100), MoveOutcome::waiting);
  EXPECT_EQ(Move("a", 1, "y"), MoveOutcome::moved_differently);
  MoveRequest as_bytes = Moves("a", 1, "");
  as_bytes.set_data("x");
  EXPECT_EQ(Move(as_bytes).outcome(), MoveOutcome::moved_differently);
  EXPECT_EQ(Get().moved(), 1u);
  Move("b", 1, "z");
  // And after its end.
  EXPECT_EQ(Move(Moves("a", 1, "x")).made().SerializeAsString(), first.made().SerializeAsString());
  EXPECT_EQ(Move("a", 1, "x"), MoveOutcome::already_moved);
  EXPECT_EQ(Move("a", 1, "x", 100), MoveOutcome::waiting);
  EXPECT_EQ(Await("a", 1, "x").outcome(), MoveOutcome::round_over);
  EXPECT_EQ(Move("a", 1, "y"), MoveOutcome::moved_differently);
  EXPECT_EQ(Await("a", 1, "y").outcome(), MoveOutcome::moved_differently);
  EXPECT_EQ(History(), "1 a:x b:z");
}

TEST_F(RoundsTest, WhatAMoveIsToldInOrderOfPrecedence) {
  EXPECT_EQ(Move("a", 1, "x"), MoveOutcome::game_not_found);
  CreateRequest rules = Rules("ab");
  rules.set_rounds(3);
  rules.set_keep(1);
  const uint64_t id = Create(rules).id();
  MoveRequest other = Moves("a", 1, "x");
  other.set_id(id + 1);
  EXPECT_EQ(Move(other).outcome(), MoveOutcome::game_not_found);
  EXPECT_EQ(Move("c", 2, "x"), MoveOutcome::not_a_participant) << "before round_not_begun";
  EXPECT_EQ(Move("a", 2, "x"), MoveOutcome::round_not_begun);
  EXPECT_EQ(Move(Moves("a", 2, "x")).current_round(), 1u);
  EXPECT_EQ(Await("a", 1, "x").outcome(), MoveOutcome::not_moved);
  other.set_id(id);
  EXPECT_EQ(Move(other).outcome(), MoveOutcome::moved);
  Move("b", 1, "x");
  EXPECT_EQ(Move("c", 1, "x"), MoveOutcome::too_late);
  Move("a", 2, "x");
  Move("b", 2, "x");
  EXPECT_EQ(Move("a", 1, "x"), MoveOutcome::forgotten);
  EXPECT_EQ(Await("c", 1, "x").outcome(), MoveOutcome::forgotten);
  Close();
  EXPECT_EQ(Move("a", 3, "x"), MoveOutcome::round_aborted);
  EXPECT_TRUE(Await("a", 3, "x").has_result());
  EXPECT_EQ(Move("a", 4, "x"), MoveOutcome::game_over);
  EXPECT_EQ(Move("c", 4, "x"), MoveOutcome::game_over) << "before not_a_participant";
  EXPECT_EQ(Move(Moves("a", 4, "x")).current_round(), 0u);
}

TEST_F(RoundsTest, AGameIsCreatedOnce) {
  CreateRequest rules = Rules("ab", 3);
  rules.set_round_ms(1'000);
  rules.set_absent(Absent::default_move);
  rules.set_default_move("pass");
  const CreateReply first = Create(rules);
  EXPECT_EQ(first.outcome(), CreateOutcome::created);
  EXPECT_EQ(first.state(), State::gathering);
  Join("c");
  const CreateReply again = Create(rules);
  EXPECT_EQ(again.outcome(), CreateOutcome::already_exists);
  EXPECT_EQ(again.id(), first.id());
  EXPECT_EQ(again.state(), State::playing);
  // What is the default anyway may be said.
  rules.set_clock(Clock::first_move);
  rules.set_keep(bounds::kRoundsKeptDefault);
  EXPECT_EQ(Create(rules).outcome(), CreateOutcome::already_exists);

  const auto differs = [&](auto change) {
    CreateRequest changed = rules;
    change(changed);
    const CreateReply reply = Create(changed);
    EXPECT_EQ(reply.outcome(), CreateOutcome::exists_with_other_rules);
    return reply.differs();
  };
  EXPECT_EQ(differs([](auto& it) { it.add_participants("d"); }), "participants");
  EXPECT_EQ(differs([](auto& it) { it.set_places(4); }), "places");
  EXPECT_EQ(differs([](auto& it) { it.set_rounds(1); }), "rounds");
  EXPECT_EQ(differs([](auto& it) { it.set_round_ms(1); }), "round_ms");
  EXPECT_EQ(differs([](auto& it) { it.set_clock(Clock::round); }), "clock");
  EXPECT_EQ(differs([](auto& it) {
              it.set_absent(Absent::goes);
              it.clear_default_move();
            }),
            "absent");
  EXPECT_EQ(differs([](auto& it) { it.set_default_move(""); }), "default_move");
  EXPECT_EQ(differs([](auto& it) { it.set_keep(1); }), "keep");
  rules.clear_default_move();
  rules.set_default_data("pass");
  EXPECT_EQ(Create(rules).differs(), "default_move");
}

TEST_F(RoundsTest, PlacesAreTakenUntilThereIsNone) {
  EXPECT_EQ(Join("a").outcome(), JoinOutcome::game_not_found);
  Create("a", 3);
  EXPECT_EQ(Join("a").outcome(), JoinOutcome::already_joined);
  const JoinReply b = Join("b");
  EXPECT_EQ(b.outcome(), JoinOutcome::joined);
  EXPECT_EQ(b.place(), 2u);
  EXPECT_EQ(b.round(), 1u);
  // Moves are made while the game gathers; the round waits for the last place.
  Move("a", 1, "x");
  Move("b", 1, "y");
  EXPECT_EQ(Get().state(), State::gathering);
  EXPECT_EQ(Get().moved(), 2u);
  // Who leaves takes back its move, and frees its place.
  EXPECT_EQ(Leave("a"), LeaveOutcome::left);
  EXPECT_EQ(Leave("a"), LeaveOutcome::not_a_participant);
  EXPECT_EQ(Get().moved(), 1u);
  EXPECT_EQ(Join("c").place(), 1u);
  EXPECT_EQ(Join("d").place(), 3u);
  EXPECT_EQ(Get().state(), State::playing);
  EXPECT_EQ(Join("e").outcome(), JoinOutcome::game_full);
  EXPECT_EQ(Join("b").place(), 2u);
  Move("c", 1, "z");
  EXPECT_EQ(History(), "");
  Move("d", 1, "!");
  EXPECT_EQ(History(), "1 b:y c:z d:!");
  // Once it has begun, a place is not free any more.
  Leave("d");
  EXPECT_EQ(Join("d").outcome(), JoinOutcome::game_full);
  Close();
  EXPECT_EQ(Join("b").outcome(), JoinOutcome::already_joined);
  EXPECT_EQ(Join("e").outcome(), JoinOutcome::game_over);
}

TEST_F(RoundsTest, PlacesThatWereLeftAreTakenFirstTheSmallestOfThemFirst) {
  Create("abcdef", 9);
  for (const char* each : {"e", "b", "f", "c"}) Leave(each);
  Restart();
  std::string places;
  for (const char* each : {"p", "q", "r"}) places += std::to_string(Join(each).place()) + " ";
  Leave("a");
  for (const char* each : {"s", "t", "u", "v", "w"}) {
    places += std::to_string(Join(each).place()) + " ";
  }
  EXPECT_EQ(places, "2 3 5 1 6 7 8 9 ");
  EXPECT_EQ(Get().state(), State::playing);
}

TEST_F(RoundsTest, WhatIsMeantForAnEarlierGameIsNotDoneInThisOne) {
  const uint64_t id = Create(Rules("a", 3)).id();
  JoinRequest join = Of<JoinRequest>("b");
  join.set_id(id);
  EXPECT_EQ(Do<JoinReply>("Join", join).outcome(), JoinOutcome::joined);
  EXPECT_EQ(Do<JoinReply>("Join", join).outcome(), JoinOutcome::already_joined);
  LeaveRequest leave = Of<LeaveRequest>("a");
  leave.set_id(id);
  Delete();
  Create(Rules("a", 3));
  EXPECT_EQ(Do<JoinReply>("Join", join).outcome(), JoinOutcome::game_not_found);
  EXPECT_EQ(Do<LeaveReply>("Leave", leave).outcome(), LeaveOutcome::game_not_found);
  EXPECT_EQ(Get().joined(), 1u);
  leave.set_id(id + 1);
  EXPECT_EQ(Do<LeaveReply>("Leave", leave).outcome(), LeaveOutcome::left);
}

TEST_F(RoundsTest, TheOthersWaitNoLongerForWhoLeaves) {
  EXPECT_EQ(Leave("a"), LeaveOutcome::game_not_found);
  Create("abc");
  Move("a", 1, "x");
  Move("b", 1, "y");
  EXPECT_EQ(Leave("d"), LeaveOutcome::not_a_participant);
  EXPECT_EQ(Leave("c"), LeaveOutcome::left);
  EXPECT_TRUE(Touched());
  EXPECT_EQ(History(), "1 a:x b:y");
  Move("a", 2, "x");
  Leave("a");
  EXPECT_EQ(Get().current_round(), 2u) << "its move is taken back";
  EXPECT_EQ(Move("a", 2, "x"), MoveOutcome::not_a_participant);
  EXPECT_EQ(Await("a", 2, "x").outcome(), MoveOutcome::not_a_participant);
  Move("b", 2, "y");
  EXPECT_EQ(History(), "1 a:x b:y, 2 b:y");
  EXPECT_EQ(Leave("b"), LeaveOutcome::left);
  EXPECT_EQ(Get().end(), End::deserted);
  EXPECT_EQ(History(), "1 a:x b:y, 2 b:y, 3 aborted");
  EXPECT_EQ(Leave("b"), LeaveOutcome::game_over);
}

TEST_F(RoundsTest, AGameWithoutAnyoneYetGoesOnGathering) {
  Create("", 2);
  Join("a");
  Leave("a");
  EXPECT_EQ(Get().state(), State::gathering);
  EXPECT_EQ(Join("b").place(), 1u);
}

TEST_F(RoundsTest, AGameEndsWithItsLastRound) {
  CreateRequest rules = Rules("ab");
  rules.set_rounds(2);
  Create(rules);
  for (const uint64_t round : {1, 2}) {
    Move("a", round, "x");
    Move("b", round, "y");
  }
  EXPECT_EQ(Get().state(), State::over);
  EXPECT_EQ(Get().end(), End::played);
  EXPECT_TRUE(Get().has_ended());
  EXPECT_EQ(Get().rounds_ended(), 2u);
  EXPECT_EQ(Get().current_round(), 0u);
  EXPECT_EQ(Move("a", 3, "x"), MoveOutcome::game_over);
  EXPECT_EQ(Close(), CloseOutcome::already_over);
  EXPECT_EQ(Get().end(), End::played);
}

TEST_F(RoundsTest, WhatWasMovedInARoundThatIsAbortedNobodySees) {
  EXPECT_EQ(Close(), CloseOutcome::game_not_found);
  Create("abc");
  Move("b", 1, "secret");
  EXPECT_EQ(Close(), CloseOutcome::closed);
  EXPECT_TRUE(Touched());
  EXPECT_EQ(Get().end(), End::closed);
  EXPECT_EQ(History(), "1 aborted a:? b: c:?");
  EXPECT_EQ(AllThatIsTold().find("secret"), std::string::npos);
  EXPECT_EQ(Await("b", 1, "secret").outcome(), MoveOutcome::round_aborted);
  EXPECT_EQ(Close(), CloseOutcome::already_over);
}

TEST_F(RoundsTest, WhatIsDeletedIsGoneAndTheNextOfItsNameIsAnother) {
  EXPECT_EQ(Delete(), DeleteOutcome::game_not_found);
  CreateRequest rules = Rules("ab");
  rules.set_round_ms(1'000);
  const uint64_t id = Create(rules).id();
  Move("a", 1, "x");
  Move("b", 1, "y");
  Move("a", 2, "x");
  EXPECT_EQ(Delete(id + 1), DeleteOutcome::game_not_found);
  EXPECT_EQ(Delete(id), DeleteOutcome::deleted);
  EXPECT_TRUE(Touched()) << "whoever waits for it is told";
  EXPECT_EQ(Await("a", 2, "x").outcome(), MoveOutcome::game_not_found);
  EXPECT_EQ(Read<ListReply>("rounds.List", ListRequest())->games_size(), 0);
  GetRequest get;
  get.set_game("g");
  EXPECT_EQ(Read<Game>("rounds.Get", get).error().code, ErrorCode::kNotFound);
  PassMs(2'000);  // Its timer is gone.
  EXPECT_GT(Create(rules).id(), id);
  EXPECT_EQ(History(), "");
  EXPECT_EQ(Get().current_round(), 1u);
  EXPECT_EQ(Get().moved(), 0u);
  ResultsRequest results;
  results.set_game("g");
  results.set_id(id);
  EXPECT_EQ(Read<ResultsReply>("rounds.Results", results).error().code, ErrorCode::kNotFound);
  Restart();
  EXPECT_EQ(Get().id(), id + 1);
}

TEST_F(RoundsTest, HistoryComesInPagesAndSaysWhatIsForgotten) {
  CreateRequest rules = Rules("a");
  rules.set_keep(5);
  Create(rules);
  for (uint64_t round = 1; round <= 12; ++round) Move("a", round, std::to_string(round));
  EXPECT_EQ(Get().rounds_forgotten(), 7u);
  EXPECT_EQ(History(), "8 a:8, 9 a:9, 10 a:10, 11 a:11, 12 a:12");
  ResultsReply page = Results(3, 2);
  EXPECT_EQ(page.forgotten(), 4u) << "4, 5, 6 and 7";
  EXPECT_EQ(Text(page.rounds(0)), "8 a:8");
  EXPECT_EQ(page.cursor(), 9u);
  EXPECT_TRUE(page.more());
  page = Results(page.cursor(), 3);
  EXPECT_EQ(page.forgotten(), 0u);
  EXPECT_EQ(page.rounds_size(), 3);
  EXPECT_EQ(page.cursor(), 12u);
  EXPECT_FALSE(page.more() || page.over());
  page = Results(page.cursor());
  EXPECT_EQ(page.rounds_size(), 0);
  EXPECT_EQ(page.cursor(), 12u);
  EXPECT_EQ(Results(100).cursor(), 100u);
  Restart();
  EXPECT_EQ(History(), "8 a:8, 9 a:9, 10 a:10, 11 a:11, 12 a:12");
}

TEST_F(RoundsTest, AWatcherMissesAndRepeatsNothing) {
  Create("ab");
  uint64_t cursor = 0;
  std::string seen;
  const auto look = [&] {
    const ResultsReply page = Results(cursor, 2);
    EXPECT_EQ(page.forgotten(), 0u);
    for (const Round& round : page.rounds()) seen += std::to_string(round.round()) + " ";
    cursor = page.cursor();
  };
  for (uint64_t round = 1; round <= 9; ++round) {
    Move("a", round, "x");
    if (round % 3 == 0) look();
    Move("b", round, "y");
    if (round % 2 == 0) look();
  }
  for (int i = 0; i < 4; ++i) look();
  EXPECT_EQ(seen, "1 2 3 4 5 6 7 8 9 ");
}

TEST_F(RoundsTest, AWatcherIsToldWhenItsCursorIsOfAnEarlierGame) {
  const uint64_t id = Create(Rules("a")).id();
  for (uint64_t round = 1; round <= 5; ++round) Move("a", round, "x");
  EXPECT_FALSE(Results(5).ahead());
  Delete();
  Create(Rules("a"));
  Move("a", 1, "x");
  ResultsRequest results;
  results.set_game("g");
  results.set_after(5);
  EXPECT_TRUE(Results(5).ahead());
  EXPECT_EQ(Results(5).id(), id + 1);
  EXPECT_FALSE(Waits<ResultsReply>("Results", results)) << "it would miss round 2 and more";
  results.set_id(id + 1);
  EXPECT_TRUE(Waits<ResultsReply>("Results", results)) << "for round 6 of this game";
  results.set_after(1);
  EXPECT_FALSE(Read<ResultsReply>("rounds.Results", results)->ahead());
  results.set_id(id);
  EXPECT_EQ(Read<ResultsReply>("rounds.Results", results).error().code, ErrorCode::kNotFound);
}

TEST_F(RoundsTest, ReadsWaitForTheEndOfTheRoundAndForNothingElse) {
  Create("ab");
  ResultsRequest results;
  results.set_game("g");
  EXPECT_TRUE(Waits<ResultsReply>("Results", results));
  EXPECT_FALSE(Waits<MoveReply>("AwaitMove", Moves("a", 1, "x"))) << "it has not moved";
  Move("a", 1, "x");
  EXPECT_FALSE(Touched());
  EXPECT_TRUE(Waits<MoveReply>("AwaitMove", Moves("a", 1, "x")));
  EXPECT_FALSE(Waits<MoveReply>("AwaitMove", Moves("a", 1, "y")));
  Move("b", 1, "y");
  EXPECT_TRUE(Touched());
  EXPECT_FALSE(Waits<MoveReply>("AwaitMove", Moves("a", 1, "x")));
  EXPECT_FALSE(Waits<ResultsReply>("Results", results));
  results.set_after(1);
  EXPECT_TRUE(Waits<ResultsReply>("Results", results));
  Close();
  results.set_after(2);
  EXPECT_FALSE(Waits<ResultsReply>("Results", results)) << "nothing more will come";
  EXPECT_TRUE(Results(2).over());
}

TEST_F(RoundsTest, GamesAreListedByName) {
  for (const char* name : {"c", "a", "b"}) {
    CreateRequest request = Rules("xy");
    request.set_game(name);
    Create(request);
  }
  ListRequest request;
  request.set_limit(2);
  auto page = Read<ListReply>("rounds.List", request);
  EXPECT_EQ(page->games(0).game() + page->games(1).game(), "ab");
  EXPECT_EQ(page->games(0).participants_size(), 0);
  EXPECT_EQ(page->games(0).joined(), 2u);
  EXPECT_TRUE(page->more());
  request.set_after("b");
  page = Read<ListReply>("rounds.List", request);
  EXPECT_EQ(page->games_size(), 1);
  EXPECT_EQ(page->games(0).game(), "c");
  EXPECT_FALSE(page->more());
}

TEST_F(RoundsTest, AMoveInAListIsMadeAndWaitsForNothing) {
  Create("ab");
  atomic::ExecuteRequest list;
  for (const char* who : {"a", "b"}) {
    atomic::Write* write = list.add_writes();
    write->set_method("rounds.Move");
    write->set_request(Moves(who, 1, who, 1'000).SerializeAsString());
  }
  const auto reply = Write<atomic::ExecuteReply>("atomic.Execute", list);
  EXPECT_EQ(reply.outcome(), atomic::ExecuteOutcome::done) << reply.ShortDebugString();
  EXPECT_EQ(History(), "1 a:a b:b");
  // Not at all, when another one is refused.
  list.mutable_writes(0)->set_request(Moves("a", 2, "a").SerializeAsString());
  list.mutable_writes(1)->set_request(Moves("b", 3, "b").SerializeAsString());
  EXPECT_EQ(Write<atomic::ExecuteReply>("atomic.Execute", list).outcome(),
            atomic::ExecuteOutcome::rejected);
  EXPECT_EQ(Get().moved(), 0u);
}

}  // namespace
}  // namespace holdfast::rounds
