#include "src/cli/program.h"

#include <ostream>

#include "src/base/behaviour.h"
#include "src/base/nearest.h"
#include "src/cli/help.h"
#include "src/cli/method_command.h"

namespace holdfast::cli {
namespace {

constexpr char kDescription[] =
    "Holdfast: a replicated log with the building blocks of a commerce back end.";

constexpr char kFooter[] = R"(Examples:
  holdfast serve                                  run a single node, data in ./data
  holdfast status                                 how all nodes are; holdfast top: what they do
  holdfast ledger --help                          the commands of a service
  holdfast ledger pay --help                      one command: its flags, outcomes and HTTP route
  holdfast counter add --name visits --amount 1   call a method
  holdfast counter get --name visits --consistency linearizable

Replies are JSON on the standard output; errors are one line on the standard error.

Exit codes:
  0  done
  1  refused by the state: the outcome in the reply or of one of its items, or nothing has that id
  2  the command line or the request is malformed
  3  no node could answer in time; nothing was done, try again
  4  outcome unknown: repeat it under the same id or --idempotency-key, it is done once only
  5  a fault of a node or of this machine, or the output could not be written)";

// Where a script's variable is not set, its caller would believe in a protection that is not there.
std::string WrongKey(const std::string& key) {
  if (key.empty()) return "is empty; leave the option out, or give a key";
  if (key.starts_with("--")) return "is '" + key + "', which is an option and no key";
  return "";
}

void AddGlobalFlags(CLI::App& app, GlobalFlags* flags) {
  const char* group = "Options of every command";
  app.add_option(
         "--endpoints,--nodes", flags->endpoints,
         "gRPC addresses of the nodes; any of them will do (environment: HOLDFAST_ENDPOINTS)")
      ->type_name("HOST:PORT,...")
      ->envname("HOLDFAST_ENDPOINTS")
      ->capture_default_str()
      ->group(group);
  app.add_option("--consistency", flags->consistency,
                 "Of a read: session (sees what --after saw), linearizable, or stale")
      ->type_name("WORD")
      ->check(CLI::IsMember({"session", "linearizable", "stale"}).description(""))
      ->capture_default_str()
      ->group(group);
  app.add_option("--after", flags->after,
                 "Of a session read: at least this new; a position that -v showed")
      ->type_name("POSITION")
      ->group(group);
  app.add_option("--idempotency-key", flags->idempotency_key,
                 "Of a write: repeating it with the same key does it once only")
      ->type_name("KEY")
      ->check(CLI::Validator(WrongKey, ""))
      ->group(group);
  app.add_option("--timeout", flags->timeout, "For the whole call, such as 500ms or 10s")
      ->type_name("TIME")
      ->capture_default_str()
      ->group(group);
  app.add_flag("--compact", flags->compact, "JSON on one line")->group(group);
  app.add_flag("-v,--verbose", flags->verbose, "Show the reply's log position on standard error")
      ->group(group);
}

void AddServices(CLI::App& app, const state_machine::Registry& registry) {
  std::set<std::string> added;
  for (const auto& method : registry.methods()) {
    if (!added.insert(method->service_name).second) continue;
    const auto& options = method->descriptor->service()->options().GetExtension(holdfast::service);
    app.add_subcommand(method->service_name, options.help())
        ->group("Services")
        ->require_subcommand(1);
  }
}

// The command that the words lead to, as far as they do.
CLI::App* Deepest(CLI::App& root) {
  CLI::App* app = &root;
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  return app;
}

std::string PathOf(const CLI::App* app) {
  if (app->get_parent() == nullptr) return app->get_name();
  return PathOf(app->get_parent()) + " " + app->get_name();
}

std::string HelpText(const CLI::App* app) {
  return app->help(app->get_parent() == nullptr ? "" : PathOf(app->get_parent()));
}

// Which words were not understood, and which one was probably meant.
Error Unknown(const CLI::App& root, const CLI::App* at, const std::vector<std::string>& words) {
  const std::string see = "see " + PathOf(at) + " --help";
  const auto commands = at->get_subcommands([](const CLI::App*) { return true; });
  const auto plain = std::find_if(words.begin(), words.end(),
                                  [](const std::string& word) { return !word.starts_with('-'); });
  std::vector<std::string> candidates;
  std::string word = words.front();
  std::string kind = "option";
  if (!commands.empty() && plain != words.end()) {
    word = *plain;
    kind = "command";
    for (const CLI::App* command : commands) candidates.push_back(command->get_name());
  } else {
    if (!word.starts_with('-')) kind = "argument";
    for (const CLI::App* app : {at, &root}) {
      for (const CLI::Option* option : app->get_options()) {
        for (const std::string& name : option->get_lnames()) candidates.push_back("--" + name);
      }
    }
  }
  word = word.substr(0, word.find('='));
  Error error =
      InvalidArgument("", "there is no " + kind + " '" + word.substr(0, 64) + "' of " + PathOf(at));
  const auto nearest = kind == "argument" ? std::nullopt : Nearest(word, candidates);
  error.hint = nearest ? "did you mean " + *nearest + "? " + see : see;
  return error;
}

// Commands may be written with _ as well: the .proto's method names lead there.
void NormaliseCommands(const CLI::App& root, std::vector<std::string>* words) {
  const CLI::App* app = &root;
  bool after_option = false;  // Then the word may be its value, which is left as it is.
  for (std::string& word : *words) {
    const bool value = std::exchange(after_option, word.starts_with('-'));
    if (value) continue;
    std::string kebab = word;
    std::replace(kebab.begin(), kebab.end(), '_', '-');
    const CLI::App* next = nullptr;
    for (const CLI::App* command : app->get_subcommands([](const CLI::App*) { return true; })) {
      if (command->get_name() == kebab) next = command;
    }
    if (next == nullptr) continue;
    word = kebab;
    app = next;
  }
}

// "--name=" is an option with an empty value; left to CLI11, the next word would be its value.
void KeepEmptyValues(std::vector<std::string>* words) {
  for (size_t i = 0; i < words->size(); ++i) {
    std::string& word = (*words)[i];
    if (!word.starts_with("--") || word.find('=') + 1 != word.size()) continue;
    word.pop_back();
    words->insert(words->begin() + static_cast<std::ptrdiff_t>(++i), "");
  }
}

int RunCommand(const state_machine::Registry& registry, const Extend& extend,
               std::vector<std::string> arguments, Context& context) {
  int exit_code = kExitOk;
  CLI::App app(kDescription, "holdfast");
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_help_flag("-h,--help", "Show this help");
  app.fallthrough();  // The global options may stand anywhere; commands inherit this.
  app.set_version_flag("--version", std::string("holdfast ") + ThisProgram().release,
                       "Show the version");
  app.require_subcommand(1);
  AddServices(app, registry);
  Commands commands(app, context, exit_code);
  AddMethodCommands(registry, commands);
  if (extend) extend(app, commands, &exit_code);
  CLI::App* version = app.add_subcommand("version", "Show the version");
  commands.OnRun(version, [](Context& running) {
    running.out() << "holdfast " << ThisProgram().release << "\n";
    return kExitOk;
  });
  AddGlobalFlags(app, &context.flags());
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
    if (command->get_group() == "Subcommands") command->group("Program");
  }
  app.footer(kFooter);  // Last: a command would inherit it.

  NormaliseCommands(app, &arguments);
  KeepEmptyValues(&arguments);
  std::reverse(arguments.begin(), arguments.end());  // As CLI11 wants them.
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    context.out() << HelpText(Deepest(app));
    return kExitOk;
  } catch (const CLI::CallForVersion& asked) {
    context.out() << asked.what() << "\n";
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    const CLI::App* at = Deepest(app);
    const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
    if (!unknown.empty()) return context.Tell(Unknown(app, at, unknown));
    const bool lacks_command = at->get_require_subcommand_min() > 0;
    if (lacks_command && at->get_subcommands().empty()) {
      context.err() << HelpText(at);
      return kExitUsage;
    }
    Error usage = InvalidArgument("", error.what());
    usage.hint = "see " + PathOf(at) + " --help";
    return context.Tell(usage);
  }
  return exit_code;
}

}  // namespace

int RunProgram(const state_machine::Registry& registry, const Extend& extend,
               std::vector<std::string> arguments, Streams streams) {
  Context context(streams);
  return context.End(RunCommand(registry, extend, std::move(arguments), context));
}

}  // namespace holdfast::cli
