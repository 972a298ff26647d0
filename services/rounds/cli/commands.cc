#include "services/rounds/cli/commands.h"

#include "services/rounds/cli/pingpong.h"

namespace holdfast::rounds {
namespace {

constexpr char kPingpongFooter[] = R"(Examples:
  holdfast pingpong localhost --player ann        and in another terminal:
  holdfast pingpong localhost --player bob
  holdfast pingpong localhost --player ann --rounds 5

The server waits for both in each round: nobody sees what the other says before having said
something. One says ping in the first round and the other pong, then the other way round; Enter says
that, and anything else may be typed instead. With --rounds it is said without asking. The end of
the input leaves the game.

HOST is one node or several, host[:port],...; a host without a port is asked at 9001 to 9003, as
./dev up gives them out. Without HOST, the nodes of --endpoints are asked. A node that dies does not
end the game: another one is asked, or the same one until it is back, for a minute.
Exit code 0: played, 1: the game is full or of another kind, or was ended by somebody else.)";

void RegisterPingpong(cli::Commands& commands) {
  auto flags = std::make_shared<PingpongFlags>();
  commands.AddGroup("pingpong", "Ping against pong, round by round, in two terminals");
  CLI::App* pingpong = commands.Add("pingpong", "pingpong", "");
  pingpong->footer(kPingpongFooter);
  pingpong->add_option("HOST", flags->host, "A node, or several: host[:port],...");
  pingpong->add_option("--player", flags->player, "Your name in the game")
      ->type_name("NAME")
      ->required();
  pingpong->add_option("--game", flags->game, "The game, for two")
      ->type_name("NAME")
      ->capture_default_str();
  pingpong
      ->add_option("--rounds", flags->rounds,
                   "Plays so many rounds by itself; without it, each move is read from the input")
      ->type_name("N")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000}).description(""));
  commands.OnRun(pingpong, [flags](cli::Context& context) { return Pingpong(*flags, context); });
}

}  // namespace

void RegisterCommands(cli::Commands& commands) {
  RegisterPingpong(commands);
  for (const char* line :
       {"holdfast rounds create --game build --places 3 --round-ms 60000 --absent abort",
        "holdfast rounds join --game build --participant worker-1",
        "holdfast rounds move --game build --participant worker-1 --round 1 --wait-ms 60000",
        "holdfast rounds results --game build --after 0 --wait-ms 60000",
        "holdfast pingpong localhost --player ann"}) {
    commands.AddExample("rounds", line);
  }
}

}  // namespace holdfast::rounds
