#include "src/cli/completion.h"

#include <ostream>

#include "src/cli/exit_codes.h"

namespace holdfast::cli {
namespace {

struct Word {
  std::string text;
  std::string help;
  bool takes_value = false;
};

// One command of the tree: how to get there, and what may follow.
struct Place {
  std::string path;  // "ledger pay"; empty for the root.
  std::vector<Word> commands;
  std::vector<Word> options;
};

std::vector<Word> OptionsOf(const CLI::App& app) {
  std::vector<Word> options;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_lnames().empty() || option->get_group().empty()) continue;
    options.push_back({"--" + option->get_lnames().front(), option->get_description(),
                       option->get_items_expected_max() > 0});
  }
  return options;
}

void Collect(const CLI::App& app, const std::string& path, std::vector<Place>* places) {
  Place place{path, {}, OptionsOf(app)};
  const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* command : commands) {
    if (!command->get_group().empty()) {
      place.commands.push_back({command->get_name(), command->get_description(), false});
    }
  }
  places->push_back(std::move(place));
  for (const CLI::App* command : commands) {
    const std::string name = command->get_name();
    Collect(*command, path.empty() ? name : path + " " + name, places);
  }
}

std::vector<Place> PlacesOf(const CLI::App& root) {
  std::vector<Place> places;
  Collect(root, "", &places);
  for (size_t i = 1; i < places.size(); ++i) {
    for (const Word& option : places.front().options) {
      const auto same = [&option](const Word& other) { return other.text == option.text; };
      auto& options = places[i].options;
      if (std::none_of(options.begin(), options.end(), same)) options.push_back(option);
    }
  }
  return places;
}

std::string Joined(const std::vector<Word>& words) {
  std::string all;
  for (const Word& word : words) all += (all.empty() ? "" : " ") + word.text;
  return all;
}

// 'it'\''s': within single quotes of a shell.
std::string Quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

// The options with a value, of any command: what follows one is no command.
std::string ValueOptions(const std::vector<Place>& places) {
  std::set<std::string> names;
  for (const Place& place : places) {
    for (const Word& option : place.options) {
      if (option.takes_value) names.insert(option.text);
    }
  }
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : "|") + name;
  return all;
}

}  // namespace

std::string BashCompletion(const CLI::App& root) {
  const std::vector<Place> places = PlacesOf(root);
  std::string cases;
  std::string known;
  for (const Place& place : places) {
    const std::string words = Joined(place.commands);
    const std::string options = Joined(place.options);
    cases += "    " + Quoted(place.path) + ") commands=" + Quoted(words) +
             " options=" + Quoted(options) + " ;;\n";
    if (!place.path.empty()) known += (known.empty() ? "" : "|") + Quoted(place.path);
  }
  return "# bash completion for holdfast: source <(holdfast completion bash)\n"
         "_holdfast() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
         "  local path='' next word i commands='' options=''\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    word=${COMP_WORDS[i]}\n"
         "    case $word in -*) continue ;; esac\n"
         "    next=${path:+$path }$word\n"
         "    case $next in\n"
         "      " +
         known +
         ") path=$next ;;\n"
         "    esac\n"
         "  done\n"
         "  case $previous in\n"
         "    " +
         ValueOptions(places) +
         ") COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n"
         "  esac\n"
         "  case $path in\n" +
         cases +
         "  esac\n"
         "  if [[ $current == -* || -z $commands ]]; then commands=$options; fi\n"
         "  COMPREPLY=($(compgen -W \"$commands\" -- \"$current\"))\n"
         "}\n"
         "complete -F _holdfast holdfast\n";
}

std::string ZshCompletion(const CLI::App& root) {
  return "#compdef holdfast\n"
         "# zsh completion for holdfast: source <(holdfast completion zsh)\n"
         "autoload -U +X bashcompinit && bashcompinit\n" +
         BashCompletion(root);
}

std::string FishCompletion(const CLI::App& root) {
  std::string out =
      "# fish completion for holdfast: holdfast completion fish | source\n"
      "complete -c holdfast -f\n";
  for (const Place& place : PlacesOf(root)) {
    // Each word of the path must stand on the line, in whatever order: commands have unique paths.
    std::string condition;
    std::istringstream words(place.path);
    for (std::string word; words >> word;) {
      condition += (condition.empty() ? "" : "; and ") + ("__fish_seen_subcommand_from " + word);
    }
    std::string not_yet = condition;
    if (!place.commands.empty()) {
      not_yet += (not_yet.empty() ? "" : "; and ") +
                 ("not __fish_seen_subcommand_from " + Joined(place.commands));
    }
    for (const Word& command : place.commands) {
      out += "complete -c holdfast -n " + Quoted(not_yet) + " -a " + command.text + " -d " +
             Quoted(command.help) + "\n";
    }
    for (const Word& option : place.options) {
      out += "complete -c holdfast" + (condition.empty() ? "" : " -n " + Quoted(condition)) +
             " -l " + option.text.substr(2) + (option.takes_value ? " -r" : "") + " -d " +
             Quoted(option.help) + "\n";
    }
  }
  return out;
}

void AddCompletionCommand(CLI::App& root, Commands& commands) {
  CLI::App* completion =
      root.add_subcommand("completion", "Write a script that completes commands in your shell");
  auto shell = std::make_shared<std::string>();
  completion->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}).description(""));
  completion->footer(
      "Examples:\n"
      "  source <(holdfast completion bash)\n"
      "  source <(holdfast completion zsh)\n"
      "  holdfast completion fish | source");
  commands.OnRun(completion, [shell, &root](Context& context) {
    context.out() << (*shell == "bash"  ? BashCompletion(root)
                      : *shell == "zsh" ? ZshCompletion(root)
                                        : FishCompletion(root));
    return static_cast<int>(kExitOk);
  });
}

}  // namespace holdfast::cli
