#include "sim/rounds_requests.h"

#include <algorithm>

namespace holdfast::sim {

uint64_t RoundsRequests::IdOf(size_t game) {
  if (!random_.OneIn(3)) return 0;
  return random_.OneIn(6) ? random_.Between(1, 20) : known_[game].id;
}

rounds::CreateRequest RoundsRequests::Create() {
  rounds::CreateRequest request;
  const size_t game = AGame();
  request.set_game(Name(game));
  // One of a few kinds for each game, so that most are there already.
  const uint64_t kind = random_.Between(0, 3);
  for (uint64_t i = 1; i <= 1 + kind; ++i) request.add_participants("p" + std::to_string(i));
  if (random_.OneIn(4)) request.set_places(static_cast<uint32_t>(kind + random_.Between(1, 2)));
  if (random_.OneIn(3)) request.set_rounds(random_.Between(1, 20));
  if (!random_.OneIn(4)) request.set_round_ms(static_cast<uint32_t>(random_.Between(50, 1'500)));
  request.set_clock(static_cast<rounds::Clock::Code>(random_.Between(0, 2)));
  if (request.round_ms() != 0) {
    request.set_absent(static_cast<rounds::Absent::Code>(random_.Between(0, 4)));
  }
  if (request.absent() == rounds::Absent::default_move && random_.OneIn(2)) {
    request.set_default_move("none");
  }
  if (random_.OneIn(2)) request.set_keep(static_cast<uint32_t>(random_.Between(1, 8)));
  return request;
}

rounds::MoveRequest RoundsRequests::Move() {
  rounds::MoveRequest request;
  const size_t game = AGame();
  request.set_game(Name(game));
  request.set_participant(Participant());
  uint64_t round = known_[game].round;
  if (random_.OneIn(6)) round += 1;
  if (random_.OneIn(6)) round -= std::min(round - 1, random_.Between(1, 4));
  request.set_round(round);
  const std::string move = "m" + std::to_string(random_.Between(1, 3));
  if (random_.OneIn(8)) {
    request.set_data(move);
  } else if (!random_.OneIn(4)) {
    request.set_move(move);
  }
  if (random_.OneIn(2)) {
    const uint64_t longest = random_.OneIn(2) ? 300 : 3'000;
    request.set_wait_ms(static_cast<uint32_t>(random_.Between(1, longest)));
  }
  request.set_id(IdOf(game));
  return request;
}

Asked RoundsRequests::Make() {
  switch (random_.Between(0, 23)) {
    case 0:
    case 1: return AskedOf("rounds.Create", Create());
    case 2:
    case 3: {
      const size_t game = AGame();
      rounds::JoinRequest request;
      request.set_game(Name(game));
      request.set_participant(Participant());
      request.set_id(IdOf(game));
      return AskedOf("rounds.Join", request);
    }
    case 4: {
      if (!random_.OneIn(3)) break;
      const size_t game = AGame();
      rounds::LeaveRequest request;
      request.set_game(Name(game));
      request.set_participant(Participant());
      request.set_id(IdOf(game));
      return AskedOf("rounds.Leave", request);
    }
    case 5: {
      if (!random_.OneIn(4)) break;
      const size_t game = AGame();
      rounds::CloseRequest request;
      request.set_game(Name(game));
      request.set_id(IdOf(game));
      return AskedOf("rounds.Close", request);
    }
    case 6: {
      if (!random_.OneIn(2)) break;
      const size_t game = AGame();
      rounds::DeleteRequest request;
      request.set_game(Name(game));
      request.set_id(IdOf(game));
      return AskedOf("rounds.Delete", request);
    }
    default: break;
  }
  return AskedOf("rounds.Move", Move());
}

Asked RoundsRequests::MakeRead(int64_t /*from_us*/, int64_t /*to_us*/) {
  const size_t game = AGame();
  switch (random_.Between(0, 7)) {
    case 0: {
      rounds::ListRequest request;
      request.set_limit(static_cast<uint32_t>(random_.Between(0, 2)));
      if (random_.OneIn(2)) request.set_after(Name(game));
      return AskedOf("rounds.List", request);
    }
    case 1:
    case 2: return AskedOf("rounds.AwaitMove", Move());
    case 3:
    case 4: {
      rounds::GetRequest request;
      request.set_game(Name(game));
      return AskedOf("rounds.Get", request);
    }
    default: {
      rounds::ResultsRequest request;
      request.set_game(Name(game));
      const uint64_t round = known_[game].round;
      request.set_after(round - std::min(round, random_.Between(0, 6)));
      request.set_limit(static_cast<uint32_t>(random_.Between(0, 3)));
      if (random_.OneIn(2)) {
        request.set_wait_ms(static_cast<uint32_t>(random_.Between(1, 1'000)));
      }
      request.set_id(IdOf(game));
      return AskedOf("rounds.Results", request);
    }
  }
}

std::optional<Asked> RoundsRequests::NextPage(const Asked& asked, const std::string& reply) {
  if (asked.method != "rounds.Results") return std::nullopt;
  rounds::ResultsReply page;
  Require(page.ParseFromString(reply), "a page does not parse");
  if (page.ahead() || (page.over() && !page.more())) return std::nullopt;
  auto request = static_cast<const rounds::ResultsRequest&>(*asked.request);
  request.set_after(page.cursor());
  return AskedOf("rounds.Results", request);
}

void RoundsRequests::Learn(const std::string& method, const google::protobuf::Message& request,
                           const std::string& reply) {
  const auto game_of = [](const std::string& name) {
    return std::min<size_t>(static_cast<size_t>(name.back() - '0'), kGames - 1);
  };
  if (method == "rounds.Create") {
    rounds::CreateReply created;
    if (!created.ParseFromString(reply) || created.id() == 0) return;
    const size_t game = game_of(static_cast<const rounds::CreateRequest&>(request).game());
    if (created.id() > known_[game].id) known_[game] = {1, created.id()};
  } else if (method == "rounds.Move") {
    rounds::MoveReply moved;
    if (!moved.ParseFromString(reply) || moved.current_round() == 0) return;
    known_[game_of(static_cast<const rounds::MoveRequest&>(request).game())].round =
        moved.current_round();
  }
}

}  // namespace holdfast::sim
