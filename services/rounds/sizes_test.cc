// What is large stays bounded: answers, rows, and the time that others wait.
#include <ctime>

#include "holdfast/atomic.pb.h"
#include "services/rounds/testing.h"
#include "src/base/bounds.h"

namespace holdfast::rounds {
namespace {

class RoundsSizesTest : public testing::RoundsFixture {};

// A name for each place is looked at once, whoever has come before.
TEST_F(RoundsSizesTest, AThousandPlacesCostAThousandTimesOne) {
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

// What it had is swept away by the way, and a game of its name has nothing to do with that.
TEST_F(RoundsSizesTest, WhatIsDeletedIsSweptAwayInPortions) {
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

TEST_F(RoundsSizesTest, ABarrierForAThousandAndMovesOfFullSizeFitIntoOneReply) {
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
TEST_F(RoundsSizesTest, WhatWaitersAreToldIsSmallWhateverWasPlayed) {
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
TEST_F(RoundsSizesTest, AMoveThatIsRepeatedCostsTheSameHoweverLargeTheRound) {
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

TEST_F(RoundsSizesTest, TooManyGamesAreRefused) {
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
