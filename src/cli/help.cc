#include "src/cli/help.h"

#include "holdfast/options.pb.h"
#include "src/api/json.h"
#include "src/api/route.h"
#include "src/cli/exit_codes.h"

namespace holdfast::cli {
namespace {

using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

constexpr size_t kLineWidth = 100;
constexpr size_t kNameWidthMax = 34;  // A longer name gets a line to itself.

using Rows = std::vector<std::pair<std::string, std::string>>;

// "  name    what it is", the second column wrapped and aligned.
std::string Table(const Rows& rows) {
  size_t width = 0;
  for (const auto& [name, text] : rows) {
    if (name.size() <= kNameWidthMax) width = std::max(width, name.size());
  }
  const std::string indent(width + 4, ' ');
  std::string out;
  for (const auto& [name, text] : rows) {
    std::string line = "  " + name;
    if (text.empty()) {
      out += line + "\n";
      continue;
    }
    if (line.size() + 2 > indent.size()) {
      out += line + "\n";
      line = indent;
    } else {
      line.resize(indent.size(), ' ');
    }
    std::istringstream words(text);
    bool first = true;
    for (std::string word; words >> word; first = false) {
      if (!first && line.size() + 1 + word.size() > kLineWidth) {
        out += line + "\n";
        line = indent;
        first = true;
      }
      line += (first ? "" : " ") + word;
    }
    out += line + "\n";
  }
  return out;
}

std::string NameOf(const CLI::Option& option) {
  if (option.get_positional()) {
    if (option.get_lnames().empty()) return option.get_name(true);
  }
  std::string name;
  for (const std::string& letter : option.get_snames()) name += "-" + letter + ", ";
  if (!option.get_lnames().empty()) name += "--" + option.get_lnames().front();
  if (option.get_expected_max() > 0 && !option.get_type_name().empty()) {
    name += " " + option.get_type_name();
  }
  return name;
}

std::string TextOf(const CLI::Option& option) {
  std::string text = option.get_description();
  if (!option.get_default_str().empty()) text += " (default " + option.get_default_str() + ")";
  return text;
}

// Adds a row to the group of that name; groups stay in the order of their first row.
void AddTo(std::vector<std::pair<std::string, Rows>>* groups, const std::string& name,
           std::pair<std::string, std::string> row) {
  for (auto& [known, rows] : *groups) {
    if (known == name) return rows.push_back(std::move(row));
  }
  groups->push_back({name, {std::move(row)}});
}

}  // namespace

std::string HelpFormatter::make_help(const CLI::App* app, std::string name,
                                     CLI::AppFormatMode /*mode*/) const {
  std::vector<std::pair<std::string, Rows>> groups;
  const auto commands = app->get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* command : commands) {
    if (command->get_group().empty()) continue;  // Hidden.
    AddTo(&groups, command->get_group(), {command->get_name(), command->get_description()});
  }
  std::string asks;  // Without a command of it.
  bool has_place = commands.empty();
  for (const CLI::Option* option : app->get_options()) {
    if (option->get_group().empty() || option == app->get_help_ptr()) continue;
    const bool is_place = option->get_positional();
    const std::string shown = is_place ? option->get_name(true) : NameOf(*option);
    has_place |= is_place;
    if (option->get_required()) {
      asks += " " + shown;
    } else if (is_place) {
      asks += " [" + shown + "]";
    }
    AddTo(&groups, option->get_group(), {NameOf(*option), TextOf(*option)});
  }
  std::string out = app->get_description() + "\n\nUsage:\n";
  if (!commands.empty()) out += "  " + name + " COMMAND [OPTIONS]\n";
  if (has_place) out += "  " + name + asks + " [OPTIONS]\n";
  for (const auto& [title, rows] : groups) out += "\n" + title + ":\n" + Table(rows);
  if (!app->get_footer().empty()) out += "\n" + app->get_footer() + "\n";
  if (app->get_parent() != nullptr) {
    out +=
        "\nOptions of every command (--endpoints, --timeout, ...) and exit codes: holdfast "
        "--help\n";
  }
  return out;
}

std::string CommandWords(const state_machine::Method& method) {
  const std::string word = ToWord(method.descriptor->name());
  return word == method.service_name ? word : method.service_name + " " + word;
}

FieldNames MoreOfSample(const state_machine::Method& method) {
  const auto& type = *method.request->GetDescriptor();
  FieldNames more;
  for (;;) {
    std::unique_ptr<google::protobuf::Message> request(method.request->New());
    if (!api::ParseJson(SampleJson(type, more), request.get())) return more;
    const auto valid = method.validate(*request);
    if (valid) return more;
    const std::string& at = valid.error().field;
    const std::string name = at.substr(0, at.find_first_of(".["));
    if (type.FindFieldByName(name) == nullptr || !more.insert(name).second) return more;
  }
}

std::string MethodFooter(const state_machine::Method& method, const std::string& command) {
  const auto& type = *method.request->GetDescriptor();
  const FieldNames more = MoreOfSample(method);
  std::string out = "Examples:\n  " + command + SampleFlags(type, more) + "\n";
  if (type.field_count() > 0) {
    out += "  " + command + " --json '" + SampleJson(type, more) + "'\n";
    out += "  " + command + " --json @request.json\n";
  }
  if (method.options.http_size() > 0) {
    Rows routes;
    for (const Route& route : method.options.http()) {
      const api::RouteParts parts = api::PartsOf(route);
      routes.push_back({std::string(parts.verb), parts.path});
    }
    out += "\nThe same over HTTP:\n" + Table(routes);
  }
  if (const FieldDescriptor* field = OutcomeFieldOf(*method.reply->GetDescriptor())) {
    const EnumDescriptor* outcomes = field->enum_type();
    Rows rows;
    for (int i = 0; i < outcomes->value_count(); ++i) {
      const auto* value = outcomes->value(i);
      if (value->number() == 0) continue;  // "Unspecified" is no way to end.
      const OutcomeOptions& options = value->options().GetExtension(holdfast::outcome);
      rows.push_back(
          {value->name(), (options.http_status() >= 400 ? "refused: " : "") + options.help()});
    }
    out += "\nOutcomes (refused: exit code 1):\n" + Table(rows);
  }
  while (out.ends_with('\n')) out.pop_back();
  return out;
}

}  // namespace holdfast::cli
