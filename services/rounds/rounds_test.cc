// Games through the machine that runs them: every outcome, secrecy, history and its pages, and
// waiting.
#include <ctime>

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

// A name for each place is looked at once, whoever has come before.
TEST_F(RoundsTest, AThousandPlacesCostAThousandTimesOne) {
  const auto create = [&](uint32_t places, uint32_t times) {
    CreateRequest rules = Rules("");
    for (uint32_t i = 0; i < places; ++i) rules.add_participants("p" + std::to_string(i));
    const std::clock_t before = std::clock();
    for (uint32_t i = 0; i < times; ++i) {
      rules.set_game(std::to_string(places) + "-" + std::to_string(i));
      EXPECT_EQ(Write<CreateReply>("rounds.Create", rules).outcome(), CreateOutcome::created);
    }
    return std::clock() - before;
  };
  const auto small = create(100, 400), large = create(1'000, 40);
  EXPECT_LT(2 * large, 5 * small)
      << "as many places; to look through all for each one takes four times as long";
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

// What it had is swept away by the way, and a game of its name has nothing to do with that.
TEST_F(RoundsTest, WhatIsDeletedIsSweptAwayInPortions) {
  const auto left = [&] { return Rows(4) + Rows(5) + Rows(7); };  // participants, rounds, places
  CreateRequest rules = Rules("", 900);
  for (int i = 0; i < 800; ++i) rules.add_participants("p" + std::to_string(i));
  Create(rules);
  for (int i = 0; i < 700; ++i)
    Write<LeaveReply>("rounds.Leave", Of<LeaveRequest>("p" + std::to_string(i)));
  EXPECT_EQ(left(), 800u);
  CreateRequest played = Rules("a");
  played.set_game("played");
  played.set_keep(1'000);
  Create(played);
  for (uint64_t round = 1; round <= 900; ++round) {
    MoveRequest move = Moves("a", round, "x");
    move.set_game("played");
    Write<MoveReply>("rounds.Move", move);
  }
  const size_t before = left();
  EXPECT_EQ(before, 800u + 901u);
  atomic::ExecuteRequest both;  // In one entry.
  for (const char* game : {"g", "played"}) {
    DeleteRequest one;
    one.set_game(game);
    atomic::Write* write = both.add_writes();
    write->set_method("rounds.Delete");
    write->set_request(one.SerializeAsString());
  }
  Write<atomic::ExecuteReply>("atomic.Execute", both);
  EXPECT_EQ(left(), before);
  EXPECT_EQ(Read<ListReply>("rounds.List", ListRequest())->games_size(), 0);
  Create(Rules("ab"));
  EXPECT_GE(left(), before + 2 - 1'000) << "the first portion; and a and b are there";
  EXPECT_LT(left(), before);
  Move("a", 1, "x");
  Restart();
  size_t entries = 1;
  for (size_t rows = left(); rows > 2 && entries < 10; ++entries) {
    PassMs(5);
    EXPECT_EQ(Broken(testing::kRounds), "");
    EXPECT_LE(rows - left(), 1'000u) << "one entry erases a bounded portion";
    rows = left();
    Restart();
  }
  EXPECT_GE(entries, 2u);
  EXPECT_EQ(left(), 2u) << "a and b of the new game";
  EXPECT_EQ(Rows(8), 0u) << "trash";
  Move("b", 1, "y");
  EXPECT_EQ(History(), "1 a:x b:y");
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

TEST_F(RoundsTest, ABarrierForAThousandAndMovesOfFullSizeFitIntoOneReply) {
  CreateRequest rules = Rules("");
  for (uint32_t i = 0; i < bounds::kRoundsPlacesMax; ++i) {
    std::string name = std::to_string(i);
    name.insert(0, 128 - name.size(), 'n');
    rules.add_participants(name);
  }
  ASSERT_EQ(FieldOf("rounds.Create", rules), "fine");
  Create(rules);
  const std::string move(bounds::kRoundsMoveBytesMax, 'm');
  for (const std::string& name : rules.participants()) {
    ASSERT_EQ(Write<MoveReply>("rounds.Move", Moves(name, 1, move)).outcome(), MoveOutcome::moved);
  }
  const MoveReply reply = Await(rules.participants(0), 1, move);
  EXPECT_EQ(reply.outcome(), MoveOutcome::round_over);
  EXPECT_TRUE(reply.result_left_out());
  const ResultsReply all = Results(0, 1);
  EXPECT_EQ(all.rounds(0).moves_size(), 1'000);
  EXPECT_LT(all.ByteSizeLong(), bounds::kReplyBytesMax / 2);
  // So large ones are kept up to a bound in bytes, and pages end before they are too large.
  for (uint64_t round = 2; round <= 16; ++round) {
    for (const std::string& name : rules.participants()) {
      Write<MoveReply>("rounds.Move", Moves(name, round, move));
    }
  }
  EXPECT_EQ(Broken(testing::kRounds), "");
  EXPECT_GE(Get().rounds_ended() - Get().rounds_forgotten(), 10u);
  EXPECT_GT(Get().rounds_forgotten(), 0u);
  const ResultsReply page = Results();
  EXPECT_EQ(page.rounds_size(), 2);
  EXPECT_TRUE(page.more());
  EXPECT_LT(page.ByteSizeLong(), bounds::kReplyBytesMax);
  EXPECT_EQ(Delete(), DeleteOutcome::deleted);
}

// The answers of as many as may wait fit into a node's memory: a write is never refused its own.
TEST_F(RoundsTest, WhatWaitersAreToldIsSmallWhateverWasPlayed) {
  for (const size_t size : {1U, 200U, 1'000U, 1'024U}) {
    for (const size_t players : {2U, 4U, 60U, 200U}) {
      CreateRequest rules = Rules("");
      for (size_t i = 0; i < players; ++i) rules.add_participants("p" + std::to_string(i));
      Create(rules);
      const std::string move(size, 'm');
      for (const std::string& name : rules.participants()) {
        Write<MoveReply>("rounds.Move", Moves(name, 1, move));
      }
      const MoveReply reply = Await("p0", 1, move);
      EXPECT_EQ(reply.outcome(), MoveOutcome::round_over);
      EXPECT_LE(reply.ByteSizeLong(), 4'200u);
      EXPECT_NE(reply.has_result(), reply.result_left_out()) << size << " bytes of " << players;
      EXPECT_TRUE(reply.has_result() || (players != 2 && players * size >= 100));
      EXPECT_TRUE(reply.result_left_out() || players * size <= 4'096);
      EXPECT_LE(Move(Moves("p0", 1, move, 100)).ByteSizeLong(), 100u);
      Close();
      EXPECT_TRUE(Await("p0", 2, "").has_result() || Await("p0", 2, "").result_left_out());
      Delete();
    }
  }
}

// All who wait repeat their move, and nobody else is served meanwhile.
TEST_F(RoundsTest, AMoveThatIsRepeatedCostsTheSameHoweverLargeTheRound) {
  const auto repeat = [&](uint32_t players) {
    CreateRequest rules = Rules("");
    for (uint32_t i = 0; i < players; ++i) rules.add_participants("p" + std::to_string(i));
    Create(rules);
    const std::string move(bounds::kRoundsMoveBytesMax, 'm');
    for (const std::string& name : rules.participants()) {
      Write<MoveReply>("rounds.Move", Moves(name, 1, move));
    }
    const std::clock_t before = std::clock();
    for (int i = 0; i < 1'000; ++i) {
      EXPECT_EQ(Write<MoveReply>("rounds.Move", Moves("p0", 1, move)).outcome(),
                MoveOutcome::already_moved);
    }
    const std::clock_t took = std::clock() - before;
    Delete();
    return took;
  };
  const auto small = repeat(2), large = repeat(1'000);
  EXPECT_LT(2 * large, 5 * small) << "to copy the large one takes five times as long";
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

TEST_F(RoundsTest, TooManyGamesAreRefused) {
  CreateRequest rules = Rules("a");
  for (uint64_t i = 0; i < bounds::kRoundsGamesMax; ++i) {
    rules.set_game(std::to_string(i));
    ASSERT_EQ(Write<CreateReply>("rounds.Create", rules).outcome(), CreateOutcome::created);
  }
  EXPECT_EQ(Write<CreateReply>("rounds.Create", Rules("a")).outcome(),
            CreateOutcome::too_many_games);
  EXPECT_EQ(Write<CreateReply>("rounds.Create", rules).outcome(), CreateOutcome::already_exists);
  DeleteRequest one;
  one.set_game("7");
  Write<DeleteReply>("rounds.Delete", one);
  EXPECT_EQ(Write<CreateReply>("rounds.Create", Rules("a")).outcome(), CreateOutcome::created);
}

}  // namespace
}  // namespace holdfast::rounds
