#include <algorithm>

#include "services/rounds/describe.h"
#include "services/rounds/rounds.h"
#include "src/base/bounds.h"
#include "src/base/timestamp.h"

namespace holdfast::rounds {
namespace {

bool IsSmall(const RoundRow& row, const RulesRow& rules) {
  size_t bytes = 0;
  for (const MovedRow& move : row.moves) {
    const Payload& payload = move.how == How::kByDefault ? rules.default_move : move.move;
    bytes += 32 + move.participant.size() + payload.bytes.size();
    if (bytes > bounds::kRoundsToldBytesMax) return false;
  }
  return true;
}

}  // namespace

// In the order of precedence.
Rounds::Standing Rounds::StandingOf(const MoveRequest& request, const GameRow& game,
                                    const RoundRow* round, const ParticipantRow* own) {
  Standing standing;
  if (request.round() <= game.ended) {
    if (round == nullptr) return standing;
    standing.outcome = MoveOutcome::round_aborted;
    if (round->aborted) return standing;
    standing.outcome = MoveOutcome::too_late;
    const auto& moves = round->moves;
    const auto move = std::lower_bound(moves.begin(), moves.end(), request.participant(),
                                       [](const MovedRow& row, const std::string& participant) {
                                         return row.participant < participant;
                                       });
    if (move == moves.end() || move->participant != request.participant()) return standing;
    if (move->how != How::kMoved) return standing;
    standing.made_us = move->made_us;
    standing.outcome =
        move->move == PayloadOf(request) ? MoveOutcome::round_over : MoveOutcome::moved_differently;
    return standing;
  }
  standing.outcome = MoveOutcome::game_over;
  if (game.over()) return standing;
  standing.outcome = MoveOutcome::not_a_participant;
  if (own == nullptr) return standing;
  standing.outcome = MoveOutcome::round_not_begun;
  if (request.round() != game.current()) return standing;
  standing.outcome = MoveOutcome::not_moved;
  if (own->round != request.round()) return standing;
  standing.made_us = own->made_us;
  standing.outcome =
      own->move == PayloadOf(request) ? MoveOutcome::waiting : MoveOutcome::moved_differently;
  return standing;
}

Result<void> Rounds::AwaitMove(const MoveRequest& request, const ReadContext& context,
                               MoveReply* reply) const {
  reply->set_outcome(MoveOutcome::game_not_found);
  const auto game = tables_.games.Get(request.game());
  if (!game || (request.id() != 0 && request.id() != game->id)) return {};
  if (!game->over()) reply->set_current_round(game->current());
  const auto tell = [&](const RoundRow* round, const ParticipantRow* own) {
    const Standing standing = StandingOf(request, *game, round, own);
    reply->set_outcome(standing.outcome);
    if (standing.outcome == MoveOutcome::waiting || standing.outcome == MoveOutcome::round_over) {
      FillTime(standing.made_us, reply->mutable_made());
    }
  };
  if (game->keeps(request.round())) {
    // All who wait look at it at once, so nobody takes a copy.
    const auto rules = tables_.rules.Get(request.game());
    tables_.rounds.Scan({game->id, request.round()}, [&](const RoundKey&, const RoundRow& round) {
      tell(&round, nullptr);
      if (IsSmall(round, *rules)) {
        FillRound(request.round(), round, *rules, reply->mutable_result());
      } else {
        reply->set_result_left_out(true);
      }
      return false;
    });
    return {};
  }
  const auto own = tables_.participants.Get({game->id, request.participant()});
  tell(nullptr, own ? &*own : nullptr);
  if (reply->outcome() == MoveOutcome::waiting) context.WaitFor(TopicOf(request.game()));
  return {};
}

Result<void> Rounds::Get(const GetRequest& request, const ReadContext& context, Game* reply) const {
  const std::string& name = request.game();
  const auto game = tables_.games.Get(name);
  if (!game) return Fail(NotFound("there is no game " + name));
  FillGame(name, *tables_.rules.Get(name), *game, context.lease_now.us, reply);
  const auto show = [&](const ParticipantKey& key, const ParticipantRow& row) {
    if (std::get<0>(key) != game->id) return false;
    Participant* participant = reply->add_participants();
    participant->set_participant(std::get<1>(key));
    participant->set_place(row.place);
    participant->set_moved(!game->over() && row.round == game->current());
    return static_cast<uint32_t>(reply->participants_size()) < game->joined;
  };
  // Of an empty game there is nothing to find, but what was erased of others to walk over.
  if (game->joined > 0) tables_.participants.Scan({game->id, ""}, show);
  return {};
}

Result<void> Rounds::Results(const ResultsRequest& request, const ReadContext& context,
                             ResultsReply* reply) const {
  const std::string& name = request.game();
  const auto game = tables_.games.Get(name);
  if (!game || (request.id() != 0 && request.id() != game->id)) {
    return Fail(NotFound("there is no game " + name +
                         (request.id() == 0 ? "" : " of id " + std::to_string(request.id()))));
  }
  const size_t limit = request.limit() == 0 ? bounds::kPageRowsDefault : request.limit();
  reply->set_id(game->id);
  reply->set_over(game->over());
  reply->set_cursor(std::max(request.after(), game->forgotten));
  reply->set_forgotten(reply->cursor() - request.after());
  reply->set_ahead(request.after() > game->ended);
  if (reply->cursor() >= game->ended) {
    // Who does not say which game it follows may have come from another one, and is told at once.
    const bool waits = !reply->ahead() || request.id() != 0;
    if (!game->over() && waits) context.WaitFor(TopicOf(name));
    return {};
  }
  size_t bytes = 0;
  const auto rules = tables_.rules.Get(name);
  const auto show = [&](const RoundKey& key, const RoundRow& row) {
    const auto& [of, number] = key;
    if (of != game->id) return false;
    if (static_cast<size_t>(reply->rounds_size()) == limit || bytes > bounds::kRoundsPageBytesMax) {
      reply->set_more(true);
      return false;
    }
    Round* round = reply->add_rounds();
    FillRound(number, row, *rules, round);
    bytes += round->ByteSizeLong();
    reply->set_cursor(number);
    return true;
  };
  tables_.rounds.Scan({game->id, reply->cursor() + 1}, show);
  return {};
}

Result<void> Rounds::List(const ListRequest& request, const ReadContext& context,
                          ListReply* reply) const {
  const size_t limit = request.limit() == 0 ? bounds::kPageRowsDefault : request.limit();
  tables_.games.Scan(request.after(), [&](const std::string& name, const GameRow& row) {
    if (name == request.after()) return true;
    if (static_cast<size_t>(reply->games_size()) == limit) {
      reply->set_more(true);
      return false;
    }
    FillGame(name, *tables_.rules.Get(name), row, context.lease_now.us, reply->add_games());
    return true;
  });
  return {};
}

}  // namespace holdfast::rounds
