// Rounds in the plainest words: a game remembers every round that was ever played, and looks
// through everyone to see who has yet to move. It knows no bound in bytes.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "services/rounds/describe.h"
#include "services/rounds/rounds.pb.h"
#include "services/sessions/moment.h"
#include "src/base/bounds.h"
#include "src/base/timestamp.h"

namespace holdfast::rounds {

class Model {
 public:
  // Time passes: rounds end whose time is over.
  void Pass(const sessions::Moment& now) {
    now_ = now;
    for (auto& [name, game] : games_) {
      if (game.until_us && *game.until_us <= now_.lease_us()) TimeIsOver(game);
    }
  }

  // --- Writes
  CreateReply Create(const CreateRequest& request) {
    CreateReply reply;
    if (games_.contains(request.game())) {
      const Played& game = games_[request.game()];
      reply.set_differs(Difference(game.rules, Complete(request)));
      reply.set_outcome(reply.differs().empty() ? CreateOutcome::already_exists
                                                : CreateOutcome::exists_with_other_rules);
      reply.set_id(game.id);
      reply.set_state(StateOf(game));
      return reply;
    }
    if (games_.size() >= bounds::kRoundsGamesMax) {
      reply.set_outcome(CreateOutcome::too_many_games);
      return reply;
    }
    Played& game = games_[request.game()];
    game.rules = Complete(request);
    game.id = ++last_id_;
    game.created_us = now_.log_us;
    for (const std::string& name : request.participants()) Enter(game, name);
    GoOn(game);
    reply.set_outcome(CreateOutcome::created);
    reply.set_id(game.id);
    reply.set_state(StateOf(game));
    return reply;
  }

  JoinReply Join(const JoinRequest& request) {
    JoinReply reply;
    Played* game = Find(request.game(), request.id());
    if (game == nullptr) {
      reply.set_outcome(JoinOutcome::game_not_found);
      return reply;
    }
    if (game->people.contains(request.participant())) {
      reply.set_outcome(JoinOutcome::already_joined);
    } else if (game->end != End::unspecified) {
      reply.set_outcome(JoinOutcome::game_over);
    } else if (game->begun) {
      reply.set_outcome(JoinOutcome::game_full);
    } else {
      Enter(*game, request.participant());
      GoOn(*game);
      reply.set_outcome(JoinOutcome::joined);
    }
    reply.set_id(game->id);
    const auto person = game->people.find(request.participant());
    if (person != game->people.end()) reply.set_place(person->second.place);
    reply.set_round(UnderWay(*game));
    return reply;
  }

  LeaveReply Leave(const LeaveRequest& request) {
    LeaveReply reply;
    Played* game = Find(request.game(), request.id());
    if (game == nullptr) {
      reply.set_outcome(LeaveOutcome::game_not_found);
    } else if (game->end != End::unspecified) {
      reply.set_outcome(LeaveOutcome::game_over);
    } else if (game->people.erase(request.participant()) == 0) {
      reply.set_outcome(LeaveOutcome::not_a_participant);
    } else {
      reply.set_outcome(LeaveOutcome::left);
      GoOn(*game);
    }
    return reply;
  }

  MoveReply Move(const MoveRequest& request) {
    MoveReply reply = Await(request);
    reply.clear_result();
    Played* game = Find(request.game(), request.id());
    if (reply.outcome() == MoveOutcome::not_moved) {
      Moved move;
      move.set_participant(request.participant());
      move.set_move(request.move());
      move.set_data(request.data());
      FillTime(now_.log_us, move.mutable_made());
      game->people[request.participant()].move = move;
      *reply.mutable_made() = move.made();
      reply.set_outcome(MoveOutcome::moved);
      GoOn(*game);
    } else if (reply.outcome() == MoveOutcome::waiting ||
               reply.outcome() == MoveOutcome::round_over) {
      reply.set_outcome(MoveOutcome::already_moved);
    } else {
      return reply;
    }
    if (request.wait_ms() != 0) reply.set_outcome(MoveOutcome::waiting);
    reply.set_current_round(UnderWay(*game));
    return reply;
  }

  CloseReply Close(const CloseRequest& request) {
    CloseReply reply;
    Played* game = Find(request.game(), request.id());
    if (game == nullptr) {
      reply.set_outcome(CloseOutcome::game_not_found);
    } else if (game->end != End::unspecified) {
      reply.set_outcome(CloseOutcome::already_over);
    } else {
      Abort(*game, false, End::closed);
      reply.set_outcome(CloseOutcome::closed);
    }
    return reply;
  }

  DeleteReply Delete(const DeleteRequest& request) {
    DeleteReply reply;
    const bool found = Find(request.game(), request.id()) != nullptr;
    if (found) games_.erase(request.game());
    reply.set_outcome(found ? DeleteOutcome::deleted : DeleteOutcome::game_not_found);
    return reply;
  }

  // --- Reads
  MoveReply Await(const MoveRequest& request) const {
    MoveReply reply;
    const Played* game = Find(request.game(), request.id());
    if (game == nullptr) {
      reply.set_outcome(MoveOutcome::game_not_found);
      return reply;
    }
    reply.set_current_round(UnderWay(*game));
    if (request.round() <= game->rounds.size()) {
      if (request.round() <= Forgotten(*game)) {
        reply.set_outcome(MoveOutcome::forgotten);
        return reply;
      }
      const Round& round = game->rounds[request.round() - 1];
      *reply.mutable_result() = round;
      reply.set_outcome(round.aborted() ? MoveOutcome::round_aborted : MoveOutcome::too_late);
      for (const Moved& move : round.moves()) {
        if (move.participant() != request.participant()) continue;
        if (round.aborted() || move.absent() || move.by_default()) continue;
        Judge(move, request, MoveOutcome::round_over, &reply);
      }
      return reply;
    }
    const auto person = game->people.find(request.participant());
    if (game->end != End::unspecified) {
      reply.set_outcome(MoveOutcome::game_over);
    } else if (person == game->people.end()) {
      reply.set_outcome(MoveOutcome::not_a_participant);
    } else if (request.round() > UnderWay(*game)) {
      reply.set_outcome(MoveOutcome::round_not_begun);
    } else if (!person->second.move) {
      reply.set_outcome(MoveOutcome::not_moved);
    } else {
      Judge(*person->second.move, request, MoveOutcome::waiting, &reply);
    }
    return reply;
  }

  std::optional<Game> Get(const GetRequest& request) const {
    const Played* played = Find(request.game(), 0);
    if (played == nullptr) return std::nullopt;
    Game game = Described(request.game(), *played);
    for (const auto& [name, person] : played->people) {
      Participant* participant = game.add_participants();
      participant->set_participant(name);
      participant->set_place(person.place);
      participant->set_moved(person.move.has_value());
    }
    return game;
  }

  std::optional<ResultsReply> Results(const ResultsRequest& request) const {
    const Played* game = Find(request.game(), request.id());
    if (game == nullptr) return std::nullopt;
    ResultsReply reply;
    reply.set_id(game->id);
    reply.set_over(game->end != End::unspecified);
    reply.set_cursor(std::max<uint64_t>(request.after(), Forgotten(*game)));
    reply.set_forgotten(reply.cursor() - request.after());
    reply.set_ahead(request.after() > game->rounds.size());
    const int limit = request.limit() == 0 ? 100 : static_cast<int>(request.limit());
    while (reply.cursor() < game->rounds.size() && reply.rounds_size() < limit) {
      *reply.add_rounds() = game->rounds[reply.cursor()];
      reply.set_cursor(reply.cursor() + 1);
    }
    reply.set_more(reply.cursor() < game->rounds.size());
    return reply;
  }

  ListReply List(const ListRequest& request) const {
    ListReply reply;
    const int limit = request.limit() == 0 ? 100 : static_cast<int>(request.limit());
    for (const auto& [name, game] : games_) {
      if (name <= request.after()) continue;
      if (reply.games_size() == limit) {
        reply.set_more(true);
        break;
      }
      *reply.add_games() = Described(name, game);
    }
    return reply;
  }

  std::vector<std::string> Games() const {
    std::vector<std::string> names;
    for (const auto& [name, game] : games_) names.push_back(name);
    return names;
  }

 private:
  struct Person {
    uint32_t place = 0;
    std::optional<Moved> move;  // In the round under way.
  };
  struct Played {
    CreateRequest rules;  // With what it left to us.
    uint64_t id = 0;
    int64_t created_us = 0;
    std::map<std::string, Person> people;
    std::vector<Round> rounds;  // All that have ended.
    bool begun = false;
    End::Code end = End::unspecified;
    int64_t end_us = 0;
    std::optional<int64_t> until_us;  // Of the round under way, by lease time.
  };

  static CreateRequest Complete(CreateRequest rules) {
    if (rules.places() == 0) rules.set_places(static_cast<uint32_t>(rules.participants_size()));
    if (rules.clock() == Clock::unspecified) rules.set_clock(Clock::first_move);
    if (rules.absent() == Absent::unspecified) rules.set_absent(Absent::stays);
    if (rules.keep() == 0) rules.set_keep(100);
    return rules;
  }

  // The first field, by number.
  static std::string Difference(const CreateRequest& a, const CreateRequest& b) {
    const auto list = [](const CreateRequest& rules) {
      return std::vector<std::string>(rules.participants().begin(), rules.participants().end());
    };
    if (list(a) != list(b)) return "participants";
    if (a.places() != b.places()) return "places";
    if (a.rounds() != b.rounds()) return "rounds";
    if (a.round_ms() != b.round_ms()) return "round_ms";
    if (a.clock() != b.clock()) return "clock";
    if (a.absent() != b.absent()) return "absent";
    if (a.default_move() != b.default_move()) return "default_move";
    if (a.default_data() != b.default_data()) return "default_data";
    return a.keep() != b.keep() ? "keep" : "";
  }

  const Played* Find(const std::string& name, uint64_t id) const {
    const auto found = games_.find(name);
    if (found == games_.end() || (id != 0 && id != found->second.id)) return nullptr;
    return &found->second;
  }
  Played* Find(const std::string& name, uint64_t id) {
    return const_cast<Played*>(static_cast<const Model*>(this)->Find(name, id));
  }

  static State::Code StateOf(const Played& game) {
    if (game.end != End::unspecified) return State::over;
    return game.begun ? State::playing : State::gathering;
  }
  static uint64_t UnderWay(const Played& game) {
    return game.end != End::unspecified ? 0 : game.rounds.size() + 1;
  }
  static uint64_t Forgotten(const Played& game) {
    return game.rounds.size() - std::min<size_t>(game.rounds.size(), game.rules.keep());
  }

  Game Described(const std::string& name, const Played& played) const {
    Game game;
    game.set_game(name);
    game.set_id(played.id);
    game.set_places(played.rules.places());
    game.set_rounds(played.rules.rounds());
    game.set_round_ms(played.rules.round_ms());
    game.set_clock(played.rules.clock());
    game.set_absent(played.rules.absent());
    game.set_default_move(played.rules.default_move());
    game.set_default_data(played.rules.default_data());
    game.set_keep(played.rules.keep());
    game.set_state(StateOf(played));
    game.set_end(played.end);
    game.set_current_round(UnderWay(played));
    game.set_rounds_ended(played.rounds.size());
    game.set_rounds_forgotten(Forgotten(played));
    game.set_joined(static_cast<uint32_t>(played.people.size()));
    for (const auto& [participant, person] : played.people) {
      if (person.move) game.set_moved(game.moved() + 1);
    }
    if (played.until_us) {
      game.set_left_ms(static_cast<uint32_t>((*played.until_us - now_.lease_us() + 999) / 1'000));
    }
    FillTime(played.created_us, game.mutable_created());
    if (played.end != End::unspecified) FillTime(played.end_us, game.mutable_ended());
    return game;
  }

  static void Judge(const Moved& move, const MoveRequest& request, MoveOutcome::Code if_same,
                    MoveReply* reply) {
    const bool same = move.move() == request.move() && move.data() == request.data();
    reply->set_outcome(same ? if_same : MoveOutcome::moved_differently);
    if (same) *reply->mutable_made() = move.made();
  }

  static void Enter(Played& game, const std::string& name) {
    std::set<uint32_t> taken;
    for (const auto& [other, person] : game.people) taken.insert(person.place);
    uint32_t place = 1;
    while (taken.contains(place)) ++place;
    game.people[name].place = place;
  }

  static bool AnyMoved(const Played& game) {
    return std::any_of(game.people.begin(), game.people.end(),
                       [](const auto& each) { return each.second.move.has_value(); });
  }

  // Somebody has come, gone or moved, or a round has ended.
  void GoOn(Played& game) {
    if (game.people.size() == game.rules.places()) game.begun = true;
    if (!game.begun || game.end != End::unspecified) return;
    if (game.people.empty()) return Abort(game, false, End::deserted);
    const bool all_moved =
        std::all_of(game.people.begin(), game.people.end(),
                    [](const auto& each) { return each.second.move.has_value(); });
    if (all_moved) return EndRound(game, false);
    if (game.rules.round_ms() == 0) return;
    bool runs = AnyMoved(game);
    if (game.rules.clock() == Clock::round) {
      // Unless nobody moved in the round before.
      runs = runs || game.rounds.empty();
      if (!game.rounds.empty()) {
        for (const Moved& move : game.rounds.back().moves()) {
          runs = runs || (!move.absent() && !move.by_default());
        }
      }
    }
    if (!runs) game.until_us.reset();
    if (runs && !game.until_us)
      game.until_us = now_.lease_us() + int64_t{game.rules.round_ms()} * 1'000;
  }

  void TimeIsOver(Played& game) {
    if (game.rules.absent() == Absent::abort) return Abort(game, true, End::aborted);
    EndRound(game, true);
  }

  void EndRound(Played& game, bool timed_out) {
    Round round;
    round.set_timed_out(timed_out);
    const auto people = game.people;
    for (const auto& [name, person] : people) {
      if (person.move) {
        *round.add_moves() = *person.move;
        continue;
      }
      Moved* missing = round.add_moves();
      missing->set_participant(name);
      if (game.rules.absent() == Absent::default_move) {
        missing->set_by_default(true);
        missing->set_move(game.rules.default_move());
        missing->set_data(game.rules.default_data());
      } else {
        missing->set_absent(true);
        if (game.rules.absent() == Absent::goes) game.people.erase(name);
      }
    }
    Keep(game, round);
    if (game.people.empty()) {
      Finish(game, End::deserted);
    } else if (game.rounds.size() == game.rules.rounds()) {
      Finish(game, End::played);
    } else {
      GoOn(game);
    }
  }

  void Abort(Played& game, bool timed_out, End::Code end) {
    Round round;
    round.set_timed_out(timed_out);
    round.set_aborted(true);
    for (const auto& [name, person] : game.people) {
      Moved* each = round.add_moves();
      each->set_participant(name);
      each->set_absent(!person.move);
      if (person.move) *each->mutable_made() = person.move->made();
    }
    Keep(game, round);
    Finish(game, end);
  }

  void Keep(Played& game, Round round) {
    round.set_round(game.rounds.size() + 1);
    FillTime(now_.log_us, round.mutable_ended());
    game.rounds.push_back(round);
    for (auto& [name, person] : game.people) person.move.reset();
    game.until_us.reset();
  }

  void Finish(Played& game, End::Code end) {
    game.end = end;
    game.end_us = now_.log_us;
  }

  sessions::Moment now_;
  std::map<std::string, Played> games_;
  uint64_t last_id_ = 0;
};

}  // namespace holdfast::rounds
