#include <algorithm>

#include "services/rounds/describe.h"
#include "services/rounds/rounds.h"
#include "src/base/bounds.h"

namespace holdfast::rounds {

// In the order of precedence.
Rounds::Standing Rounds::StandingOf(const MoveRequest& request) const {
  Standing standing;
  const auto game = tables_.games.Get(request.game());
  if (!game || (request.id() != 0 && request.id() != game->id)) return standing;
  standing.current_round = game->over() ? 0 : game->current();
  if (request.round() <= game->ended) {
    standing.outcome = MoveOutcome::forgotten;
    if (request.round() <= game->forgotten) return standing;
    standing.result = tables_.rounds.Get({request.game(), request.round()});
    standing.outcome = MoveOutcome::round_aborted;
    if (standing.result->aborted) return standing;
    standing.outcome = MoveOutcome::too_late;
    const auto& moves = standing.result->moves;
    const auto own = std::lower_bound(moves.begin(), moves.end(), request.participant(),
                                      [](const MovedRow& row, const std::string& participant) {
                                        return row.participant < participant;
                                      });
    if (own == moves.end() || own->participant != request.participant()) return standing;
    if (own->how != How::kMoved) return standing;
    standing.made_us = own->made_us;
    standing.outcome =
        own->move == PayloadOf(request) ? MoveOutcome::round_over : MoveOutcome::moved_differently;
    return standing;
  }
  standing.outcome = MoveOutcome::game_over;
  if (game->over()) return standing;
  standing.outcome = MoveOutcome::not_a_participant;
  const auto own = tables_.participants.Get({request.game(), request.participant()});
  if (!own) return standing;
  standing.outcome = MoveOutcome::round_not_begun;
  if (request.round() != game->current()) return standing;
  standing.outcome = MoveOutcome::not_moved;
  if (own->round != request.round()) return standing;
  standing.made_us = own->made_us;
  standing.outcome =
      own->move == PayloadOf(request) ? MoveOutcome::waiting : MoveOutcome::moved_differently;
  return standing;
}

Result<void> Rounds::AwaitMove(const MoveRequest& request, const ReadContext& context,
                               MoveReply* reply) const {
  const Standing standing = StandingOf(request);
  reply->set_outcome(standing.outcome);
  reply->set_current_round(standing.current_round);
  if (standing.result) FillRound(request.round(), *standing.result, reply->mutable_result());
  if (standing.outcome == MoveOutcome::waiting || standing.outcome == MoveOutcome::round_over) {
    FillTime(standing.made_us, reply->mutable_made());
  }
  if (standing.outcome == MoveOutcome::waiting) context.WaitFor(TopicOf(request.game()));
  return {};
}

Result<void> Rounds::Get(const GetRequest& request, const ReadContext& context, Game* reply) const {
  const std::string& name = request.game();
  const auto game = tables_.games.Get(name);
  if (!game) return Fail(NotFound("there is no game " + name));
  FillGame(name, *tables_.rules.Get(name), *game, context.lease_now.us, reply);
  tables_.participants.Scan({name, ""}, [&](const ParticipantKey& key, const ParticipantRow& row) {
    if (std::get<0>(key) != name) return false;
    Participant* participant = reply->add_participants();
    participant->set_participant(std::get<1>(key));
    participant->set_place(row.place);
    participant->set_moved(!game->over() && row.round == game->current());
    return true;
  });
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
  if (reply->cursor() >= game->ended) {
    if (!game->over()) context.WaitFor(TopicOf(name));
    return {};
  }
  size_t bytes = 0;
  tables_.rounds.Scan({name, reply->cursor() + 1}, [&](const RoundKey& key, const RoundRow& row) {
    const auto& [of, number] = key;
    if (of != name) return false;
    if (static_cast<size_t>(reply->rounds_size()) == limit || bytes > bounds::kRoundsPageBytesMax) {
      reply->set_more(true);
      return false;
    }
    Round* round = reply->add_rounds();
    FillRound(number, row, round);
    bytes += round->ByteSizeLong();
    reply->set_cursor(number);
    return true;
  });
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
