#include "services/rounds/describe.h"

#include <algorithm>

#include "src/base/bounds.h"
#include "src/base/timestamp.h"

namespace holdfast::rounds {

RulesRow RulesOf(const CreateRequest& request) {
  RulesRow rules;
  rules.places =
      request.places() != 0 ? request.places() : static_cast<uint32_t>(request.participants_size());
  rules.rounds = request.rounds();
  rules.round_ms = request.round_ms();
  if (request.clock() != Clock::unspecified) rules.clock = request.clock();
  if (request.absent() != Absent::unspecified) rules.absent = request.absent();
  rules.default_move = request.default_data().empty() ? Payload{request.default_move(), false}
                                                      : Payload{request.default_data(), true};
  rules.keep = request.keep() != 0 ? request.keep() : bounds::kRoundsKeptDefault;
  return rules;
}

NamedRow NamedOf(const CreateRequest& request) {
  return {{request.participants().begin(), request.participants().end()}};
}

std::string FirstDifference(const CreateRequest& request, const RulesRow& rules,
                            const NamedRow& named) {
  const RulesRow others = RulesOf(request);
  if (named.participants != NamedOf(request).participants) return "participants";
  if (rules.places != others.places) return "places";
  if (rules.rounds != others.rounds) return "rounds";
  if (rules.round_ms != others.round_ms) return "round_ms";
  if (rules.clock != others.clock) return "clock";
  if (rules.absent != others.absent) return "absent";
  if (rules.default_move.text() != others.default_move.text()) return "default_move";
  if (rules.default_move.data() != others.default_move.data()) return "default_data";
  if (rules.keep != others.keep) return "keep";
  return "";
}

void FillRound(uint64_t number, const RoundRow& row, const RulesRow& rules, Round* round) {
  round->set_round(number);
  FillTime(row.ended_us, round->mutable_ended());
  round->set_timed_out(row.timed_out);
  round->set_aborted(row.aborted);
  for (const MovedRow& each : row.moves) {
    Moved* moved = round->add_moves();
    moved->set_participant(each.participant);
    const Payload& payload = each.how == How::kByDefault ? rules.default_move : each.move;
    moved->set_move(payload.text());
    moved->set_data(payload.data());
    moved->set_absent(each.how == How::kAbsent);
    moved->set_by_default(each.how == How::kByDefault);
    if (each.how == How::kMoved) FillTime(each.made_us, moved->mutable_made());
  }
}

void FillGame(const std::string& name, const RulesRow& rules, const GameRow& row,
              int64_t lease_now_us, Game* game) {
  game->set_game(name);
  game->set_id(row.id);
  game->set_places(rules.places);
  game->set_rounds(rules.rounds);
  game->set_round_ms(rules.round_ms);
  game->set_clock(rules.clock);
  game->set_absent(rules.absent);
  game->set_default_move(rules.default_move.text());
  game->set_default_data(rules.default_move.data());
  game->set_keep(rules.keep);
  game->set_state(row.state());
  game->set_end(row.end);
  game->set_current_round(row.over() ? 0 : row.current());
  game->set_rounds_ended(row.ended);
  game->set_rounds_forgotten(row.forgotten);
  game->set_joined(row.joined);
  game->set_moved(row.moved);
  if (row.deadline_us != 0) {
    const int64_t left_us = std::max<int64_t>(row.deadline_us - lease_now_us, 0);
    // A time that runs is never 0, which says that it does not.
    game->set_left_ms(static_cast<uint32_t>((left_us + 999) / 1'000));
  }
  FillTime(row.created_us, game->mutable_created());
  if (row.over()) FillTime(row.end_us, game->mutable_ended());
}

}  // namespace holdfast::rounds
