#include "sim/rounds_judge.h"

#include <map>
#include <set>
#include <utility>

#include "services/rounds/model.h"

namespace holdfast::sim {
namespace {

using rounds::Model;

// What users would state of rounds, whatever the model does: it is told of the moves that were
// made, of the rounds that end, and of those that nodes show.
class RoundsPromises {
 public:
  void Created(uint64_t game, const rounds::CreateRequest& rules) {
    if (rules.clock() != rounds::Clock::round) waits_for_a_move_.insert(game);
  }
  void Made(uint64_t game, const rounds::MoveRequest& move) {
    const auto [it, is_new] =
        moves_[{game, move.round()}].emplace(move.participant(), TextOf(move));
    Require(it->second == TextOf(move), move.participant() + " has made two moves in round " +
                                            std::to_string(move.round()) + " of " + move.game());
    Require(move.round() > last_[game] || !is_new, "a move was made in round " +
                                                       std::to_string(move.round()) + " of " +
                                                       move.game() + ", which has ended");
  }
  void Left(uint64_t game, const std::string& participant) {
    moves_[{game, last_[game] + 1}].erase(participant);
  }
  // The rounds of a game come one after the other.
  void Ended(const std::string& name, uint64_t game, const rounds::Round& round) {
    Require(round.round() == ++last_[game],
            "round " + std::to_string(round.round()) + " of " + name + " ends out of turn");
    const std::string wrong = WrongIn(name, game, round);
    Require(wrong.empty(), wrong);
  }
  // What was made is in the round, and nothing else; and it has ended because everyone has moved,
  // or by its time, which begins with a move. What is wrong with it; empty: nothing.
  std::string WrongIn(const std::string& name, uint64_t game, const rounds::Round& round) const {
    const std::string of = "round " + std::to_string(round.round()) + " of " + name;
    std::map<std::string, std::string> made;
    if (const auto it = moves_.find({game, round.round()}); it != moves_.end()) made = it->second;
    if (made.empty() && round.timed_out() && waits_for_a_move_.contains(game)) {
      return of + " has timed out, and nobody had moved";
    }
    for (const rounds::Moved& moved : round.moves()) {
      const auto move = made.find(moved.participant());
      const bool has_moved = !moved.absent() && !moved.by_default();
      if (has_moved != (move != made.end())) {
        return of + (has_moved ? " has a move that " : " lacks the move that ") +
               moved.participant() + (has_moved ? " has not made" : " has made");
      }
      if (!has_moved && !round.timed_out() && !round.aborted()) {
        return of + " has ended before " + moved.participant() + " had moved";
      }
      if (!has_moved) continue;
      const std::string shown = round.aborted() ? "text " : move->second;
      if (TextOf(moved) != shown) return of + " shows another move of " + moved.participant();
      made.erase(move);
    }
    return made.empty() ? "" : of + " lacks a move that was made";
  }

 private:
  template <class Message>
  static std::string TextOf(const Message& move) {
    return move.data().empty() ? "text " + move.move() : "data " + move.data();
  }

  std::map<std::pair<uint64_t, uint64_t>, std::map<std::string, std::string>> moves_;
  std::map<uint64_t, uint64_t> last_;    // The round of each game that has ended last.
  std::set<uint64_t> waits_for_a_move_;  // Games whose rounds' time begins with a move.
};

class RoundsJudge : public Judge {
 public:
  void Begin(const Moment& at) override {
    now_.model.Pass(at);
    SeeWhatHasEnded();
  }

  std::string Execute(const std::string& method, const std::string& body) override {
    if (method == "rounds.Move") {
      const auto move = Parsed<rounds::MoveRequest>(body);
      const uint64_t game = IdOf(move.game());
      const rounds::MoveReply reply = now_.model.Move(move);
      if (reply.has_made()) now_.promises.Made(game, move);
      SeeWhatHasEnded();
      return state_machine::Canonical(reply);
    }
    if (method == "rounds.Leave") {
      const auto leave = Parsed<rounds::LeaveRequest>(body);
      const uint64_t game = IdOf(leave.game());
      const rounds::LeaveReply reply = now_.model.Leave(leave);
      if (reply.outcome() == rounds::LeaveOutcome::left) {
        now_.promises.Left(game, leave.participant());
      }
      SeeWhatHasEnded();
      return state_machine::Canonical(reply);
    }
    std::string reply = ExecuteOther(method, body);
    if (method == "rounds.Create") {
      const auto created = Parsed<rounds::CreateReply>(reply);
      if (created.outcome() == rounds::CreateOutcome::created) {
        now_.promises.Created(created.id(), Parsed<rounds::CreateRequest>(body));
      }
    }
    SeeWhatHasEnded();
    return reply;
  }

  std::string Difference(const ReadRecord& read) const override {
    using namespace rounds;  // NOLINT: the messages of this one service.
    if (read.method == "rounds.AwaitMove") {
      const auto request = Parsed<MoveRequest>(read.request);
      const auto reply = Parsed<MoveReply>(read.reply);
      std::string seen;
      if (reply.has_result()) seen = Seen(request.game(), IdOf(request.game()), reply.result());
      return seen.empty() ? Differ(std::optional(now_.model.Await(request)), read) : seen;
    }
    if (read.method == "rounds.Get") {
      return Differ(now_.model.Get(Parsed<GetRequest>(read.request)), read);
    }
    if (read.method == "rounds.Results") {
      const auto request = Parsed<ResultsRequest>(read.request);
      const std::string seen = read.found ? Seen(request, Parsed<ResultsReply>(read.reply)) : "";
      return seen.empty() ? Differ(now_.model.Results(request), read) : seen;
    }
    if (read.method == "rounds.List") {
      return Differ(std::optional(now_.model.List(Parsed<ListRequest>(read.request))), read);
    }
    throw Violation("the model does not know the read " + read.method);
  }

  Saved Save() const override { return std::make_shared<const Now>(now_); }
  void Restore(const Saved& saved) override { now_ = *static_cast<const Now*>(saved.get()); }

  std::vector<Asked> Everything() const override {
    rounds::ListRequest list;
    list.set_limit(1'000);
    std::vector<Asked> all{AskedOf("rounds.List", list)};
    for (const std::string& name : now_.model.Games()) {
      rounds::GetRequest get;
      get.set_game(name);
      all.push_back(AskedOf("rounds.Get", get));
      rounds::ResultsRequest results;
      results.set_game(name);
      results.set_limit(1'000);
      all.push_back(AskedOf("rounds.Results", results));
    }
    return all;
  }

 private:
  std::string ExecuteOther(const std::string& method, const std::string& body) {
    if (method == "rounds.Create") return Do(&Model::Create, body);
    if (method == "rounds.Join") return Do(&Model::Join, body);
    if (method == "rounds.Close") return Do(&Model::Close, body);
    if (method == "rounds.Delete") return Do(&Model::Delete, body);
    throw Violation("the model does not know the method " + method);
  }

  template <class Request, class Reply>
  std::string Do(Reply (Model::*method)(const Request&), const std::string& body) {
    return Answer<Request>(body,
                           [&](const Request& request) { return (now_.model.*method)(request); });
  }

  // What no node may show, whatever the model says; empty: nothing.
  std::string Seen(const rounds::ResultsRequest& request, const rounds::ResultsReply& page) const {
    uint64_t last = request.after() + page.forgotten();
    for (const rounds::Round& round : page.rounds()) {
      if (round.round() != ++last) {
        return "saw round " + std::to_string(round.round()) + " of " + request.game() +
               " instead of " + std::to_string(last);
      }
      std::string seen = Seen(request.game(), page.id(), round);
      if (!seen.empty()) return seen;
    }
    return page.cursor() == last ? "" : "a cursor that is not behind the page's last round";
  }
  // Everyone sees the same of a round, and in it what was made.
  std::string Seen(const std::string& name, uint64_t game, const rounds::Round& round) const {
    const std::string bytes = state_machine::Canonical(round);
    if (shown_.try_emplace({game, round.round()}, bytes).first->second != bytes) {
      return "somebody has seen another round " + std::to_string(round.round()) + " of " + name;
    }
    return now_.promises.WrongIn(name, game, round);
  }

  uint64_t IdOf(const std::string& name) const {
    rounds::GetRequest get;
    get.set_game(name);
    const auto game = now_.model.Get(get);
    return game ? game->id() : 0;
  }

  void SeeWhatHasEnded() {
    for (const std::string& name : now_.model.Games()) {
      const uint64_t game = IdOf(name);
      rounds::ResultsRequest request;
      request.set_game(name);
      request.set_after(now_.seen[game]);
      const auto results = now_.model.Results(request);
      for (const rounds::Round& round : results->rounds()) {
        now_.promises.Ended(name, game, round);
        now_.seen[game] = round.round();
      }
    }
  }

  struct Now {
    Model model;
    RoundsPromises promises;
    std::map<uint64_t, uint64_t> seen;  // By game: its round that has ended last.
  };
  Now now_;
  mutable std::map<std::pair<uint64_t, uint64_t>, std::string> shown_;  // By game and number.
};

}  // namespace

std::shared_ptr<Judge> MakeRoundsJudge() { return std::make_shared<RoundsJudge>(); }

}  // namespace holdfast::sim
