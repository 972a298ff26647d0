#include "services/chat/cli/commands.h"

#include <memory>

#include "services/chat/cli/talk.h"
#include "src/base/bounds.h"
#include "src/cli/exit_codes.h"

namespace holdfast::chat {
namespace {

constexpr char kFooter[] = R"(Examples:
  holdfast chat garden --as ann
  holdfast chat garden --as bob --delay-ms 2000 --shuffle --duplicate-percent 20 --lose-percent 5
  holdfast chat garden --as log --once --since 0
  holdfast chat post --room garden --id m1 --author ann --text hello

With a ROOM, and no method: shows the room as messages arrive, and in causal order beside it, and
posts what is typed. The room is made if there is none, and NAME joins it. --delay-ms, --shuffle,
--duplicate-percent and --lose-percent play a network without guarantees, always the same one for a
seed. A message is held back until those before it are there; what has not come within --patience is
shown as a gap, and the rest goes on.
  /edit NUMBER TEXT, /delete NUMBER   changes a message of your own
  /quit, Ctrl-C                       ends it

Where input or output is no terminal, or with --plain, it is lines, each with a word of what it is:
arrived, again, shown, gap or late. It ends then when its input has ended and all that is there is
shown; exit code 1: something that was typed was not posted.)";

// The last one that may be given is the room's last message, which is known later.
std::string WrongSince(const std::string& text) {
  return text.starts_with('-') ? "must be 0 or the number of a message" : "";
}

}  // namespace

void RegisterCommands(cli::Commands& commands) {
  auto flags = std::make_shared<TalkFlags>();
  CLI::App* chat = commands.Add("chat", "chat", "");
  const char* group = "With a ROOM";
  const auto percent = CLI::Range(0, 100).description("");
  chat->add_option("ROOM", flags->room, "Shows and follows this room")->group(group);
  chat->add_option("--as", flags->as, "Who you are: joins the room, and posts")
      ->type_name("NAME")
      ->group(group);
  chat->add_option("--since", flags->since, "Begins after this message; default: the last hundred")
      ->type_name("NUMBER")
      ->check(CLI::Validator(WrongSince, ""))
      ->group(group);
  chat->add_option("--delay-ms", flags->delay_ms_max, "Messages take up to so long, at most 10000")
      ->type_name("MS")
      ->check(CLI::Range(uint32_t{0}, bounds::kChatDelayMsMax).description(""))
      ->group(group);
  chat->add_flag("--shuffle", flags->shuffle, "Messages overtake one another")->group(group);
  chat->add_option("--duplicate-percent", flags->duplicate_percent, "So many come twice")
      ->type_name("NUMBER")
      ->check(percent)
      ->group(group);
  chat->add_option("--lose-percent", flags->lose_percent, "So many never come")
      ->type_name("NUMBER")
      ->check(percent)
      ->group(group);
  chat->add_option("--seed", flags->seed, "Which network is played")
      ->type_name("NUMBER")
      ->capture_default_str()
      ->group(group);
  chat->add_option("--patience", flags->patience,
                   "How long a message is held back for those before it; default 5s and the delay")
      ->type_name("TIME")
      ->group(group);
  chat->add_flag("--plain", flags->plain, "Lines instead of a screen")->group(group);
  chat->add_flag("--once", flags->once, "Ends when all that is there is shown; implies --plain")
      ->group(group);
  chat->add_option("--duration", flags->duration, "Ends after so long, such as 500ms or 10s")
      ->type_name("TIME")
      ->group(group);
  chat->footer(kFooter);
  commands.OnRun(chat, [chat, flags](cli::Context& context) -> int {
    if (!chat->get_subcommands().empty()) return cli::kExitOk;
    if (!flags->room.empty() && !flags->as.empty()) return Talk(*flags, context);
    Error usage = InvalidArgument("", "a ROOM or a method is missing");
    if (!flags->room.empty()) {
      usage.message = "'" + flags->room + "' is no method, and as a room it needs --as NAME";
    }
    usage.hint = "see holdfast chat --help";
    return context.Tell(usage);
  });
}

}  // namespace holdfast::chat
