// The time of a round, what becomes of who is absent when it is over, and barriers.
#include "services/rounds/testing.h"
#include "src/base/bounds.h"

namespace holdfast::rounds {
namespace {

class TimesTest : public testing::RoundsFixture {
 protected:
  CreateReply Create(const std::string& participants, Absent::Code absent,
                     Clock::Code clock = Clock::first_move, uint32_t places = 0) {
    CreateRequest request = Rules(participants, places);
    request.set_round_ms(1'000);
    request.set_absent(absent);
    request.set_clock(clock);
    if (absent == Absent::default_move) request.set_default_move("pass");
    return RoundsFixture::Create(request);
  }
};

TEST_F(TimesTest, WhoStaysIsAbsentAndMayMoveInTheNextRound) {
  Create("abc", Absent::stays);
  Move("a", 1, "x");
  EXPECT_EQ(Get().left_ms(), 1'000u);
  PassMs(999);
  EXPECT_EQ(History(), "");
  EXPECT_EQ(Move("b", 1, "y"), MoveOutcome::moved);
  PassMs(1);
  EXPECT_EQ(History(), "1 timed out a:x b:y c:?");
  EXPECT_EQ(Move("c", 1, "z"), MoveOutcome::too_late);
  EXPECT_EQ(Await("a", 1, "x").outcome(), MoveOutcome::round_over);
  EXPECT_EQ(Move("c", 2, "z"), MoveOutcome::moved);
}

TEST_F(TimesTest, WhoGoesIsOutOfTheGame) {
  Create("abc", Absent::goes);
  Move("a", 1, "x");
  Move("b", 1, "y");
  PassMs(1'000);
  EXPECT_EQ(History(), "1 timed out a:x b:y c:?");
  EXPECT_EQ(Get().joined(), 2u);
  EXPECT_EQ(Move("c", 1, "z"), MoveOutcome::too_late);
  EXPECT_EQ(Move("c", 2, "z"), MoveOutcome::not_a_participant);
  EXPECT_EQ(Join("c").outcome(), JoinOutcome::game_full);
  Move("a", 2, "x");
  Move("b", 2, "y");
  EXPECT_EQ(Get().current_round(), 3u) << "nobody waits for who is out";
}

TEST_F(TimesTest, AGameThatEverybodyGoesFromIsOver) {
  Create("ab", Absent::goes, Clock::round);
  PassMs(1'000);
  EXPECT_EQ(History(), "1 timed out a:? b:?");
  EXPECT_EQ(Get().end(), End::deserted);
  EXPECT_EQ(Move("a", 2, "x"), MoveOutcome::game_over);
}

TEST_F(TimesTest, TheDefaultMoveCountsForWhoIsAbsent) {
  Create("ab", Absent::default_move);
  Move("a", 1, "x");
  PassMs(1'000);
  EXPECT_EQ(History(), "1 timed out a:x b:pass!");
  EXPECT_EQ(Move("b", 1, "pass"), MoveOutcome::too_late) << "it was not b who made it";
  Move("a", 2, "x");
  Move("b", 2, "y");
  EXPECT_EQ(Text(Results(1).rounds(0)), "2 a:x b:y");
}

TEST_F(TimesTest, TheDefaultMoveIsKeptOnceHoweverOftenItCounts) {
  CreateRequest rules = Rules("");
  for (int i = 0; i < 200; ++i) rules.add_participants("p" + std::to_string(i));
  rules.set_round_ms(1);
  rules.set_absent(Absent::default_move);
  rules.set_default_data(std::string(bounds::kRoundsMoveBytesMax, 'd'));
  RoundsFixture::Create(rules);
  const size_t before = Bytes(5);
  Move("p7", 1, "x");
  PassMs(1);
  const ResultsReply page = Results();
  ASSERT_EQ(page.rounds_size(), 1);
  EXPECT_EQ(page.rounds(0).moves(0).data(), rules.default_data());
  EXPECT_GT(page.ByteSizeLong(), 199 * bounds::kRoundsMoveBytesMax);
  EXPECT_LT(Bytes(5) - before, 20'000u) << "rounds that have ended";
  Restart();
  EXPECT_EQ(Results().SerializeAsString(), page.SerializeAsString());
  EXPECT_TRUE(Await("p7", 1, "x").result_left_out()) << "of that size it is told";
}

TEST_F(TimesTest, AnAbsenceAbortsTheGameAndShowsNoMove) {
  Create("abc", Absent::abort);
  Move("a", 1, "x");
  Move("b", 1, "y");
  Move("c", 1, "z");
  Move("a", 2, "secret");
  PassMs(1'000);
  EXPECT_EQ(History(), "1 a:x b:y c:z, 2 timed out aborted a: b:? c:?");
  EXPECT_EQ(Get().end(), End::aborted);
  EXPECT_EQ(Await("a", 2, "secret").outcome(), MoveOutcome::round_aborted);
  EXPECT_EQ(Move("b", 2, "y"), MoveOutcome::round_aborted);
  EXPECT_EQ(Move("b", 3, "y"), MoveOutcome::game_over);
  PassMs(10'000);
  EXPECT_EQ(Results().rounds_size(), 2);
}

TEST_F(TimesTest, TheTimeBeginsWithTheFirstMove) {
  Create("ab", Absent::stays);
  PassMs(60'000);
  EXPECT_EQ(Get().left_ms(), 0u);
  EXPECT_EQ(Get().current_round(), 1u);
  Move("b", 1, "y");
  PassMs(1'000);
  EXPECT_EQ(History(), "1 timed out a:? b:y");
  PassMs(60'000);
  EXPECT_EQ(Get().current_round(), 2u);
}

TEST_F(TimesTest, TheTimeStopsWithTheOnlyMoveWhenItIsTakenBack) {
  for (const auto absent : {Absent::stays, Absent::goes, Absent::abort}) {
    Create("abc", absent);
    Move("a", 1, "x");
    EXPECT_EQ(Get().left_ms(), 1'000u);
    PassMs(10);
    Leave("a");
    EXPECT_EQ(Get().left_ms(), 0u);
    PassMs(60'000);
    EXPECT_EQ(History(), "") << "nobody waits for anybody";
    EXPECT_EQ(Get().state(), State::playing);
    // It begins anew with the next one.
    Move("b", 1, "y");
    EXPECT_EQ(Get().left_ms(), 1'000u);
    PassMs(999);
    Move("c", 1, "z");
    EXPECT_EQ(History(), "1 b:y c:z");
    Delete();
  }
  // While the move of somebody else stands, it goes on; and a round's own time goes on anyway.
  Create("abc", Absent::stays);
  Move("a", 1, "x");
  PassMs(500);
  Move("b", 1, "y");
  Leave("a");
  EXPECT_EQ(Get().left_ms(), 500u);
  Delete();
  Create("abc", Absent::stays, Clock::round);
  Move("a", 1, "x");
  PassMs(500);
  Leave("a");
  EXPECT_EQ(Get().left_ms(), 500u);
}

TEST_F(TimesTest, TheTimeBeginsWithTheRoundUnlessNobodyMovedInTheOneBefore) {
  Create("ab", Absent::stays, Clock::round);
  PassMs(999);
  Move("a", 1, "x");
  PassMs(1);
  EXPECT_EQ(History(), "1 timed out a:x b:?");
  EXPECT_EQ(Get().left_ms(), 1'000u) << "the next one has begun at once";
  PassMs(1'000);
  EXPECT_EQ(History(), "1 timed out a:x b:?, 2 timed out a:? b:?");
  // Everybody has forgotten it: it stands still.
  EXPECT_EQ(Get().left_ms(), 0u);
  PassMs(60'000);
  EXPECT_EQ(Get().current_round(), 3u);
  Move("b", 3, "y");
  EXPECT_EQ(Get().left_ms(), 1'000u);
  PassMs(1'000);
  EXPECT_EQ(Get().current_round(), 4u);
  EXPECT_EQ(Get().left_ms(), 1'000u);
}

TEST_F(TimesTest, NoTimeRunsWhileTheGameGathers) {
  for (const auto clock : {Clock::first_move, Clock::round}) {
    Create("a", Absent::abort, clock, 2);
    Move("a", 1, "x");
    PassMs(60'000);
    EXPECT_EQ(Get().state(), State::gathering);
    EXPECT_EQ(Get().left_ms(), 0u);
    Join("b");
    EXPECT_EQ(Get().left_ms(), 1'000u) << "for b to move";
    PassMs(1'000);
    EXPECT_EQ(Get().end(), End::aborted);
    Delete();
  }
}

TEST_F(TimesTest, AFailoverTakesNobodysTimeAway) {
  Create("ab", Absent::stays);
  Move("a", 1, "x");
  PassMs(500);
  NewLeader();
  PassMs(60'000);
  EXPECT_EQ(Get().left_ms(), 500u);
  PassMs(499);
  EXPECT_EQ(History(), "");
  PassMs(1);
  EXPECT_EQ(History(), "1 timed out a:x b:?");
}

TEST_F(TimesTest, AMoveThatComesTooLateIsNotInTheResultThoughTheTimerIsStillToFire) {
  // More rounds end at once than timers fire with two entries.
  CreateRequest rules = Rules("ab");
  rules.set_round_ms(1'000);
  const auto many = static_cast<int>(2 * bounds::kTimersPerEntryMax) + 16;
  for (int i = 0; i < many; ++i) {
    rules.set_game("g" + std::to_string(i));
    Write<CreateReply>("rounds.Create", rules);
  }
  Create("ab", Absent::stays);
  Move("a", 1, "x");
  for (int i = 0; i < many; ++i) {
    MoveRequest move = Moves("a", 1, "x");
    move.set_game("g" + std::to_string(i));
    Write<MoveReply>("rounds.Move", move);
  }
  // All of them are due, the one of "g" first; so another one is looked at.
  PassMs(1'001);
  int late = 0;
  for (int i = many - 1; i > many - 20; --i) {
    MoveRequest move = Moves("b", 1, "y");
    move.set_game("g" + std::to_string(i));
    GetRequest get;
    get.set_game(move.game());
    const bool open = Read<Game>("rounds.Get", get)->current_round() == 1;
    const auto outcome = Write<MoveReply>("rounds.Move", move).outcome();
    if (open && outcome == MoveOutcome::too_late) ++late;
  }
  EXPECT_GT(late, 0);
}

TEST_F(TimesTest, ACyclicBarrierLetsNobodyThroughBeforeAllHaveCome) {
  CreateRequest rules = Rules("", 3);
  RoundsFixture::Create(rules);
  for (const char* process : {"p", "q", "r"}) {
    EXPECT_EQ(RoundsFixture::Create(rules).outcome(), CreateOutcome::already_exists);
    Join(process);
  }
  for (uint64_t round = 1; round <= 3; ++round) {
    EXPECT_EQ(Move("p", round, "", 60'000), MoveOutcome::waiting);
    EXPECT_EQ(Move("q", round, "", 60'000), MoveOutcome::waiting);
    EXPECT_EQ(Await("p", round, "").outcome(), MoveOutcome::waiting);
    EXPECT_EQ(Move("r", round, "", 60'000), MoveOutcome::waiting);
    for (const char* process : {"p", "q", "r"}) {
      EXPECT_EQ(Await(process, round, "").outcome(), MoveOutcome::round_over);
    }
  }
}

TEST_F(TimesTest, ADoubleBarrierIsTwoRounds) {
  RoundsFixture::Create("pq");
  Move("p", 1, "");  // p enters ...
  EXPECT_EQ(Move("p", 2, ""), MoveOutcome::round_not_begun) << "... and cannot leave before q has";
  Move("q", 1, "");
  EXPECT_EQ(Await("p", 1, "").outcome(), MoveOutcome::round_over);
  Move("q", 2, "");
  EXPECT_EQ(Await("q", 2, "").outcome(), MoveOutcome::waiting) << "p is still inside";
  Move("p", 2, "");
  EXPECT_EQ(Await("q", 2, "").outcome(), MoveOutcome::round_over);
}

}  // namespace
}  // namespace holdfast::rounds
