// For the tests of the rounds: the service in the machine that runs it, and short ways to call it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "services/rounds/rounds.h"
#include "src/state_machine/atomic_service.h"
#include "src/state_machine/testing/service_fixture.h"

namespace holdfast::rounds {

void Register(state_machine::Registry& registry);

namespace testing {

inline constexpr uint8_t kRounds = 10;

class RoundsFixture : public state_machine::testing::ServiceFixture {
 protected:
  RoundsFixture() : ServiceFixture({&rounds::Register, &state_machine::RegisterAtomicService}) {}

  // Every write is followed by a look at what must hold.
  template <class Reply>
  Reply Do(const std::string& method, const google::protobuf::Message& request) {
    const Reply reply = Write<Reply>("rounds." + method, request);
    EXPECT_EQ(Broken(kRounds), "") << method << " " << request.ShortDebugString();
    return reply;
  }

  // Of one of the service's tables (tables.h).
  size_t Rows(uint8_t table) {
    return Sum(table, [](std::string_view) { return 1; });
  }
  size_t Bytes(uint8_t table) {
    return Sum(table, [](std::string_view row) { return row.size(); });
  }

  // "ab": the participants a and b.
  static CreateRequest Rules(const std::string& participants, uint32_t places = 0) {
    CreateRequest request;
    request.set_game("g");
    for (const char each : participants) request.add_participants(std::string(1, each));
    request.set_places(places);
    return request;
  }
  CreateReply Create(const CreateRequest& request) { return Do<CreateReply>("Create", request); }
  CreateOutcome::Code Create(const std::string& participants, uint32_t places = 0) {
    return Create(Rules(participants, places)).outcome();
  }
  template <class Request>
  static Request Of(const std::string& participant) {
    Request request;
    request.set_game("g");
    request.set_participant(participant);
    return request;
  }
  JoinReply Join(const std::string& participant) {
    return Do<JoinReply>("Join", Of<JoinRequest>(participant));
  }
  LeaveOutcome::Code Leave(const std::string& participant) {
    return Do<LeaveReply>("Leave", Of<LeaveRequest>(participant)).outcome();
  }
  static MoveRequest Moves(const std::string& participant, uint64_t round, const std::string& move,
                           uint32_t wait_ms = 0) {
    MoveRequest request = Of<MoveRequest>(participant);
    request.set_round(round);
    request.set_move(move);
    request.set_wait_ms(wait_ms);
    return request;
  }
  MoveReply Move(const MoveRequest& request) { return Do<MoveReply>("Move", request); }
  MoveOutcome::Code Move(const std::string& participant, uint64_t round, const std::string& move,
                         uint32_t wait_ms = 0) {
    return Move(Moves(participant, round, move, wait_ms)).outcome();
  }
  MoveReply Await(const std::string& participant, uint64_t round, const std::string& move) {
    return *Read<MoveReply>("rounds.AwaitMove", Moves(participant, round, move));
  }
  CloseOutcome::Code Close() {
    CloseRequest request;
    request.set_game("g");
    return Do<CloseReply>("Close", request).outcome();
  }
  DeleteOutcome::Code Delete(uint64_t id = 0) {
    DeleteRequest request;
    request.set_game("g");
    request.set_id(id);
    return Do<DeleteReply>("Delete", request).outcome();
  }

  Game Get() {
    GetRequest request;
    request.set_game("g");
    const auto game = Read<Game>("rounds.Get", request);
    EXPECT_TRUE(game);
    return game ? *game : Game();
  }
  ResultsReply Results(uint64_t after = 0, uint32_t limit = 0) {
    ResultsRequest request;
    request.set_game("g");
    request.set_after(after);
    request.set_limit(limit);
    return *Read<ResultsReply>("rounds.Results", request);
  }

  // "1 a:ping b:pong", with ? for who was absent, and ! behind a default move.
  static std::string Text(const Round& round) {
    std::string text = std::to_string(round.round());
    if (round.timed_out()) text += " timed out";
    if (round.aborted()) text += " aborted";
    for (const Moved& move : round.moves()) {
      text += " " + move.participant() + ":" + move.move() + move.data();
      if (move.absent()) text += "?";
      if (move.by_default()) text += "!";
    }
    return text;
  }
  // Of all rounds that are kept, with ", " between.
  std::string History() {
    std::string text;
    const ResultsReply reply = Results(0, 1'000);
    for (const Round& round : reply.rounds()) text += (text.empty() ? "" : ", ") + Text(round);
    return text;
  }

 private:
  template <class Of>
  size_t Sum(uint8_t table, Of of) {
    size_t sum = 0;
    store::Store& store = registry().store();
    absl::ReaderMutexLock lock(&store.mutex());
    store.ForEach([&](store::TableNumber number, std::string_view, std::string_view row) {
      if (number == store::TableNumber{kRounds, table}) sum += of(row);
    });
    return sum;
  }
};

}  // namespace testing
}  // namespace holdfast::rounds
