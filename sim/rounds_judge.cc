#include "sim/rounds_judge.h"

#include <map>
#include <utility>

#include "services/rounds/model.h"

namespace holdfast::sim {
namespace {

using rounds::Model;

// What users would state of rounds, whatever the model does: it is told of moves and results.
class RoundsPromises {
 public:
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
  // The rounds of a game come one after the other. Of each, what was made is in it, and nothing
  // else; and it has ended because everyone has moved, or by its time.
  void Ended(const std::string& name, uint64_t game, const rounds::Round& round) {
    const std::string of = "round " + std::to_string(round.round()) + " of " + name;
    Require(round.round() == ++last_[game], of + " ends out of turn");
    auto made = moves_[{game, round.round()}];
    for (const rounds::Moved& moved : round.moves()) {
      const auto move = made.find(moved.participant());
      const bool has_moved = !moved.absent() && !moved.by_default();
      Require(has_moved == (move != made.end()),
              of + (has_moved ? " has a move that " : " lacks the move that ") +
                  moved.participant() + (has_moved ? " has not made" : " has made"));
      Require(has_moved || round.timed_out() || round.aborted(),
              of + " has ended before " + moved.participant() + " had moved");
      if (!has_moved) continue;
      const std::string shown = round.aborted() ? "text " : move->second;
      Require(TextOf(moved) == shown, of + " shows another move of " + moved.participant());
      made.erase(move);
    }
    Require(made.empty(), of + " lacks a move that was made");
  }

 private:
  template <class Message>
  static std::string TextOf(const Message& move) {
    return move.data().empty() ? "text " + move.move() : "data " + move.data();
  }

  std::map<std::pair<uint64_t, uint64_t>, std::map<std::string, std::string>> moves_;
  std::map<uint64_t, uint64_t> last_;  // The round of each game that has ended last.
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
    SeeWhatHasEnded();
    return reply;
  }

  std::string Difference(const ReadRecord& read) const override {
    using namespace rounds;  // NOLINT: the messages of this one service.
    if (read.method == "rounds.AwaitMove") {
      return Differ(std::optional(now_.model.Await(Parsed<MoveRequest>(read.request))), read);
    }
    if (read.method == "rounds.Get") {
      return Differ(now_.model.Get(Parsed<GetRequest>(read.request)), read);
    }
    if (read.method == "rounds.Results") {
      return Differ(now_.model.Results(Parsed<ResultsRequest>(read.request)), read);
    }
    if (read.method == "rounds.List") {
      return Differ(std::optional(now_.model.List(Parsed<ListRequest>(read.request))), read);
    }
    throw Violation("the model does not know the read " + read.method);
  }

  void Mark() override { before_ = now_; }
  void RollBack() override { now_ = *before_; }

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
  std::optional<Now> before_;
};

}  // namespace

std::shared_ptr<Judge> MakeRoundsJudge() { return std::make_shared<RoundsJudge>(); }

}  // namespace holdfast::sim
