#include "services/rounds/cli/pingpong.h"

#include <chrono>
#include <istream>
#include <optional>
#include <ostream>
#include <string_view>
#include <thread>

#include "services/rounds/rounds.pb.h"
#include "src/api/scalar.h"
#include "src/base/bounds.h"
#include "src/cli/terminal_text.h"

namespace holdfast::rounds {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr uint32_t kPlayers = 2;
// Within what one node may keep a call before another is asked; then it is told that it waits.
constexpr uint32_t kWaitMs = 2'500;
constexpr uint32_t kFirstWaitMs = 500;
constexpr milliseconds kCallTimeout{5'000};
constexpr milliseconds kPause{200};
constexpr std::chrono::seconds kPatience{60};  // With nodes that do not answer.
constexpr int kAttemptsMax = 10;               // To get into a game that others keep ending.

// Whether another attempt may be answered.
bool IsPassing(const Error& error) {
  return error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kDeadlineExceeded ||
         error.code == ErrorCode::kOutcomeUnknown || error.code == ErrorCode::kResourceExhausted;
}

// What others have said is shown on this terminal, and does nothing to it.
std::string Shown(const Moved& moved) {
  if (moved.absent()) return "(absent)";
  if (!moved.data().empty()) return "(" + std::to_string(moved.data().size()) + " bytes)";
  return cli::Harmless(moved.move());
}

// As std::getline, but it does not keep what is longer than a move may be with an end of line.
bool ReadLine(std::istream& in, std::string* line) {
  line->clear();
  bool any = false;
  for (char c = 0; in.get(c);) {
    any = true;
    if (c == '\n') break;
    if (line->size() <= bounds::kRoundsMoveBytesMax + 1) line->push_back(c);
  }
  return any;
}

class Table {
 public:
  Table(const PingpongFlags& flags, client::Client& client, cli::Context& context)
      : flags_(flags), client_(client), context_(context) {}

  int Play() {
    if (const auto code = SitDown()) return *code;
    uint64_t played = 0;
    while (flags_.rounds == 0 || played < flags_.rounds) {
      const auto move = NextMove();
      if (!move) break;
      Result<std::optional<Round>> result = PlayRound(*move);
      if (!result) {
        const int code = context_.Tell(result.error());
        // The other one waits no longer for who cannot move; of nodes that do not answer nobody
        // can tell.
        if (!IsPassing(result.error())) Leave();
        return code;
      }
      if (!*result) return Ended();
      Show(**result);
      ++played;
      round_ = (*result)->round() + 1;
      if ((*result)->moves_size() < static_cast<int>(kPlayers)) {
        context_.out() << "the other one has left" << std::endl;
        break;
      }
    }
    if (const auto left = Leave(); !left) return context_.Tell(left.error());
    context_.out() << played << (played == 1 ? " round" : " rounds") << " played" << std::endl;
    return cli::kExitOk;
  }

 private:
  // Every call of ours may be made twice: the service knows what was done already.
  template <class Reply>
  Result<Reply> Ask(const std::string& method, const google::protobuf::Message& request) {
    client::CallOptions options;
    options.repeatable = true;
    options.timeout = kCallTimeout;
    const auto until = steady_clock::now() + kPatience;
    bool told = false;
    for (;;) {
      auto reply = client_.Call<Reply>("/holdfast.rounds.Rounds/" + method, request, options);
      if (reply) return std::move(reply->message);
      if (!IsPassing(reply.error()) || steady_clock::now() >= until) return Fail(reply.error());
      if (!told) context_.err() << "no node answers; trying again" << std::endl;
      told = true;
      std::this_thread::sleep_for(kPause);
    }
  }

  // Only of the game that we play, however late the call arrives.
  Result<LeaveReply> Leave() {
    LeaveRequest leave;
    leave.set_game(flags_.game);
    leave.set_participant(flags_.player);
    leave.set_id(id_);
    return Ask<LeaveReply>("Leave", leave);
  }

  // Into the game. nullopt: we take part; else the exit code.
  std::optional<int> SitDown() {
    for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
      CreateRequest create;
      create.set_game(flags_.game);
      create.set_places(kPlayers);
      const auto created = Ask<CreateReply>("Create", create);
      if (!created) return context_.Tell(created.error());
      if (created->outcome() == CreateOutcome::too_many_games) {
        return Refuse("there are too many games; delete some that are over");
      }
      if (created->outcome() == CreateOutcome::exists_with_other_rules) {
        return Refuse("the game " + flags_.game + " is of another kind: it has other " +
                      created->differs() + "; choose another --game");
      }
      if (created->state() == State::over) {
        // Of those who played before; this one and no later one.
        DeleteRequest old;
        old.set_game(flags_.game);
        old.set_id(created->id());
        const auto deleted = Ask<DeleteReply>("Delete", old);
        if (!deleted) return context_.Tell(deleted.error());
        continue;
      }
      JoinRequest join;
      join.set_game(flags_.game);
      join.set_participant(flags_.player);
      join.set_id(created->id());
      const auto joined = Ask<JoinReply>("Join", join);
      if (!joined) return context_.Tell(joined.error());
      if (joined->outcome() == JoinOutcome::game_full) return Full();
      const bool takes_part = joined->outcome() == JoinOutcome::joined ||
                              joined->outcome() == JoinOutcome::already_joined;
      if (!takes_part || joined->round() == 0) continue;  // It has ended meanwhile.
      id_ = joined->id();
      place_ = joined->place();
      round_ = joined->round();
      context_.out() << flags_.player << " plays " << flags_.game << std::endl;
      TellWhoIsMissing();
      return std::nullopt;
    }
    return Refuse("the game " + flags_.game + " is ended again and again; choose another --game");
  }

  int Refuse(const std::string& why) {
    context_.err() << "holdfast: " << why << "\n";
    return cli::kExitRefused;
  }

  int Full() {
    std::string who;
    if (const auto game = Look()) {
      for (const Participant& each : game->participants()) {
        who += (who.empty() ? "" : " and ") + each.participant();
      }
    }
    return Refuse("the game " + flags_.game + " is played by " + who +
                  "; choose another --game, or end theirs: holdfast rounds delete --game " +
                  flags_.game);
  }

  int Ended() {
    context_.out() << "the game was ended by somebody else" << std::endl;
    return cli::kExitRefused;
  }

  std::optional<Game> Look() {
    GetRequest get;
    get.set_game(flags_.game);
    const auto game = Ask<Game>("Get", get);
    return game ? std::optional(*game) : std::nullopt;
  }

  void TellWhoIsMissing() {
    const auto game = Look();
    if (!game) return;
    std::string missing;
    if (game->state() == State::gathering) {
      missing = "waiting for another player to join " + flags_.game;
    }
    for (const Participant& each : game->participants()) {
      const bool is_waited_for = game->moved() > 0 && !each.moved();
      if (each.participant() == flags_.player || !is_waited_for) continue;
      missing = "round " + std::to_string(round_) + ": waiting for " + each.participant();
    }
    if (missing.empty() || missing == missing_) return;
    missing_ = missing;
    context_.out() << missing << std::endl;
  }

  // Ping and pong in turn; the first to come begins with ping.
  std::string Suggested() const { return (round_ + place_) % 2 == 0 ? "ping" : "pong"; }

  // nullopt: the input has ended.
  std::optional<std::string> NextMove() {
    if (flags_.rounds != 0) return Suggested();
    for (;;) {
      if (context_.out_is_terminal()) {
        context_.out() << "round " << round_ << ", your move [" << Suggested()
                       << "]: " << std::flush;
      }
      std::string line;
      if (!ReadLine(context_.in(), &line)) return std::nullopt;
      if (line.ends_with('\r')) line.pop_back();
      if (line.empty()) return Suggested();
      if (line.size() > bounds::kRoundsMoveBytesMax) {
        context_.err() << "a move has at most " << bounds::kRoundsMoveBytesMax << " bytes\n";
      } else if (!api::IsValidUtf8(line)) {
        context_.err() << "a move is text in UTF-8, as this is not\n";
      } else {
        return line;
      }
    }
  }

  // The result of the round; nullopt: the game has ended without one.
  Result<std::optional<Round>> PlayRound(const std::string& move) {
    MoveRequest request;
    request.set_game(flags_.game);
    request.set_participant(flags_.player);
    request.set_id(id_);
    request.set_round(round_);
    request.set_move(move);
    const auto moved = Ask<MoveReply>("Move", request);
    if (!moved) return Fail(moved.error());
    switch (moved->outcome()) {
      case MoveOutcome::moved:
      case MoveOutcome::already_moved: break;
      case MoveOutcome::moved_differently:  // From another terminal, or before a restart.
        context_.out() << "round " << round_ << ": you have moved before" << std::endl;
        break;
      default: return std::nullopt;
    }
    return Await();
  }

  Result<std::optional<Round>> Await() {
    ResultsRequest request;
    request.set_game(flags_.game);
    request.set_id(id_);
    request.set_after(round_ - 1);
    request.set_limit(1);
    request.set_wait_ms(kFirstWaitMs);
    for (;;) {
      const auto page = Ask<ResultsReply>("Results", request);
      if (!page && page.error().code == ErrorCode::kNotFound) return std::nullopt;
      if (!page) return Fail(page.error());
      if (page->rounds_size() > 0) {
        const Round& round = page->rounds(0);
        if (round.round() == round_ && !round.aborted()) return round;
      }
      if (page->rounds_size() > 0 || page->over()) return std::nullopt;
      TellWhoIsMissing();
      request.set_wait_ms(kWaitMs);
    }
  }

  void Show(const Round& round) {
    std::string line = "round " + std::to_string(round.round()) + ": ";
    for (int i = 0; i < round.moves_size(); ++i) {
      const Moved& moved = round.moves(i);
      line += (i == 0 ? "" : ", ") + cli::Harmless(moved.participant()) + " " + Shown(moved);
    }
    context_.out() << line << std::endl;
  }

  const PingpongFlags& flags_;
  client::Client& client_;
  cli::Context& context_;
  uint64_t id_ = 0;      // Of the game.
  uint32_t place_ = 0;   // Ours.
  uint64_t round_ = 0;   // The one to play.
  std::string missing_;  // Who was told to be missing last.
};

}  // namespace

std::string EndpointsOf(const std::string& host) {
  std::string endpoints;
  for (size_t at = 0; at <= host.size();) {
    const size_t comma = std::min(host.find(',', at), host.size());
    const std::string one = host.substr(at, comma - at);
    at = comma + 1;
    const size_t colon = one.rfind(':');
    const bool has_port = colon != std::string::npos && one.find(']', colon) == std::string::npos;
    const std::string comma_before = endpoints.empty() ? "" : ",";
    if (has_port || one.empty()) {
      endpoints += comma_before + one;
    } else {
      endpoints += comma_before + one + ":9001," + one + ":9002," + one + ":9003";
    }
  }
  return endpoints;
}

int Pingpong(const PingpongFlags& flags, cli::Context& context) {
  if (!flags.host.empty()) context.flags().endpoints = EndpointsOf(flags.host);
  const auto client = context.Client();
  if (!client) return context.Tell(client.error());
  return Table(flags, **client, context).Play();
}

}  // namespace holdfast::rounds
