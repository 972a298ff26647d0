// Malformed requests, method by method: each names its field.
#include "services/rounds/testing.h"
#include "src/base/bounds.h"

namespace holdfast::rounds {
namespace {

class RoundsValidateTest : public testing::RoundsFixture {};

TEST_F(RoundsValidateTest, MalformedRequestsNameTheirField) {
  const auto create = [&](auto change) {
    CreateRequest request = Rules("ab");
    change(request);
    return FieldOf("rounds.Create", request);
  };
  EXPECT_EQ(create([](auto&) {}), "fine");
  EXPECT_EQ(create([](auto& it) { it.clear_game(); }), "game");
  EXPECT_EQ(create([](auto& it) { it.set_game(std::string(129, 'g')); }), "game");
  EXPECT_EQ(create([](auto& it) { it.set_game("a\nb"); }), "game");
  EXPECT_EQ(create([](auto& it) { it.add_participants(""); }), "participants[2]");
  EXPECT_EQ(create([](auto& it) { it.add_participants(std::string(129, 'p')); }),
            "participants[2]");
  EXPECT_EQ(create([](auto& it) { it.add_participants("\t"); }), "participants[2]");
  EXPECT_EQ(create([](auto& it) { it.add_participants("a"); }), "participants[2]");
  EXPECT_EQ(create([](auto& it) { it.set_places(1); }), "places");
  EXPECT_EQ(create([](auto& it) { it.set_places(bounds::kRoundsPlacesMax + 1); }), "places");
  EXPECT_EQ(create([](auto& it) { it.clear_participants(); }), "places");
  EXPECT_EQ(create([](auto& it) {
              for (int i = 0; i < 999; ++i) it.add_participants(std::to_string(i));
            }),
            "participants");
  EXPECT_EQ(create([](auto& it) { it.set_round_ms(86'400'001); }), "round_ms");
  EXPECT_EQ(create([](auto& it) { it.set_clock(static_cast<Clock::Code>(9)); }), "clock");
  EXPECT_EQ(create([](auto& it) { it.set_absent(static_cast<Absent::Code>(9)); }), "absent");
  for (const auto absent : {Absent::goes, Absent::default_move, Absent::abort}) {
    EXPECT_EQ(create([&](auto& it) { it.set_absent(absent); }), "absent")
        << "nobody would ever be absent";
  }
  EXPECT_EQ(create([](auto& it) { it.set_absent(Absent::stays); }), "fine");
  EXPECT_EQ(create([](auto& it) { it.set_default_move("x"); }), "default_move");
  EXPECT_EQ(create([](auto& it) { it.set_default_data("x"); }), "default_data");
  EXPECT_EQ(create([](auto& it) {
              it.set_round_ms(1);
              it.set_absent(Absent::default_move);
              it.set_default_move("x");
              it.set_default_data("x");
            }),
            "default_data");
  EXPECT_EQ(create([](auto& it) {
              it.set_absent(Absent::default_move);
              it.set_default_move(std::string(bounds::kRoundsMoveBytesMax + 1, 'x'));
            }),
            "default_move");
  EXPECT_EQ(create([](auto& it) {
              it.set_absent(Absent::default_move);
              it.set_default_data(std::string(bounds::kRoundsMoveBytesMax + 1, 'x'));
            }),
            "default_data");
  EXPECT_EQ(create([](auto& it) { it.set_keep(bounds::kRoundsKeptMax + 1); }), "keep");

  for (const char* method : {"rounds.Move", "rounds.AwaitMove"}) {
    const auto move = [&](auto change) {
      MoveRequest request = Moves("a", 1, "x");
      change(request);
      return FieldOf(method, request);
    };
    EXPECT_EQ(move([](auto&) {}), "fine");
    EXPECT_EQ(move([](auto& it) { it.clear_move(); }), "fine") << "as of who comes to a barrier";
    EXPECT_EQ(move([](auto& it) { it.clear_game(); }), "game");
    EXPECT_EQ(move([](auto& it) { it.set_game("\x01"); }), "game");
    EXPECT_EQ(move([](auto& it) { it.clear_participant(); }), "participant");
    EXPECT_EQ(move([](auto& it) { it.set_participant("\x7f"); }), "participant");
    EXPECT_EQ(move([](auto& it) { it.set_participant(std::string(129, 'p')); }), "participant");
    EXPECT_EQ(move([](auto& it) { it.clear_round(); }), "round");
    EXPECT_EQ(
        move([](auto& it) { it.set_move(std::string(bounds::kRoundsMoveBytesMax + 1, 'x')); }),
        "move");
    EXPECT_EQ(move([](auto& it) { it.set_data("x"); }), "data");
    EXPECT_EQ(
        move([](auto& it) { it.set_data(std::string(bounds::kRoundsMoveBytesMax + 1, 'x')); }),
        "data");
    EXPECT_EQ(move([](auto& it) { it.set_wait_ms(60'001); }), "wait_ms");
  }
  const auto name = [&](auto request) {
    const std::string method = request.GetDescriptor()->name();
    return FieldOf("rounds." + method.substr(0, method.size() - sizeof("Request") + 1), request);
  };
  EXPECT_EQ(name(JoinRequest()), "game");
  EXPECT_EQ(name(LeaveRequest()), "game");
  EXPECT_EQ(name(CloseRequest()), "game");
  EXPECT_EQ(name(DeleteRequest()), "game");
  EXPECT_EQ(name(GetRequest()), "game");
  EXPECT_EQ(name(ResultsRequest()), "game");
  EXPECT_EQ(name(Of<JoinRequest>("")), "participant");
  EXPECT_EQ(name(Of<JoinRequest>("a\rb")), "participant");
  EXPECT_EQ(name(Of<LeaveRequest>("")), "participant");
  EXPECT_EQ(name(Of<LeaveRequest>("a\rb")), "participant");
  GetRequest get;
  get.set_game("\x02");
  EXPECT_EQ(name(get), "game");
  ResultsRequest results;
  results.set_game("g");
  results.set_limit(1'001);
  EXPECT_EQ(name(results), "limit");
  results.set_limit(1'000);
  results.set_wait_ms(60'001);
  EXPECT_EQ(name(results), "wait_ms");
  ListRequest list;
  EXPECT_EQ(name(list), "fine");
  list.set_limit(1'001);
  EXPECT_EQ(name(list), "limit");
  list.clear_limit();
  list.set_after("\x03");
  EXPECT_EQ(name(list), "after");
}

}  // namespace
}  // namespace holdfast::rounds
