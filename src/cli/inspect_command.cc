#include "src/cli/inspect_command.h"

#include <charconv>
#include <ostream>

#include "src/api/json.h"
#include "src/cli/exit_codes.h"
#include "src/cli/nodes.h"
#include "src/cli/text.h"
#include "src/server/inspect.h"

namespace holdfast::cli {
namespace {

struct Flags {
  std::string folder;
  std::string entries;
  bool decode = false;
  bool json = false;
};

// "7", "7..12" or "7..": from and to.
Result<InspectOptions> OptionsOf(const Flags& flags) {
  InspectOptions options;
  options.decode = flags.decode;
  if (flags.entries.empty()) return options;
  const auto parse = [](std::string_view text, uint64_t* number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
    return error == std::errc() && end == text.data() + text.size();
  };
  const std::string_view text = flags.entries;
  const size_t dots = text.find("..");
  bool good = parse(text.substr(0, dots), &options.entries_from);
  if (dots == std::string_view::npos) {
    options.entries_to = options.entries_from;
  } else if (text.size() == dots + 2) {
    options.entries_to = UINT64_MAX;
  } else {
    good = good && parse(text.substr(dots + 2), &options.entries_to);
  }
  if (!good || options.entries_from == 0) {
    return Fail(InvalidArgument("entries", "must be positions of the log, such as 7 or 7..12"));
  }
  return options;
}

void ShowLog(const InspectedLog& log, std::ostream& out) {
  out << "log     term " << log.term() << ", vote "
      << (log.vote() == 0 ? "none" : "node " + std::to_string(log.vote()));
  if (log.last() >= log.first()) {
    out << ", entries " << Grouped(log.first()) << " to " << Grouped(log.last());
  } else {
    out << ", no entries, the next is " << Grouped(log.first());
  }
  out << "\n";
  std::vector<std::vector<std::string>> rows;
  for (const InspectedSegment& segment : log.segments()) {
    rows.push_back({segment.name(), BytesText(segment.bytes()), Grouped(segment.first()),
                    Grouped(segment.last())});
  }
  if (!rows.empty()) out << Columns({"SEGMENT", "SIZE", "FIRST", "LAST"}, rows);
  rows.clear();
  for (const InspectedTerm& term : log.terms()) {
    rows.push_back({std::to_string(term.term()), Grouped(term.first()), Grouped(term.last())});
  }
  if (!rows.empty()) out << Columns({"TERM", "FIRST", "LAST"}, rows);
}

void ShowStore(const InspectedStore& store, std::ostream& out) {
  out << "store   position " << Grouped(store.position()) << " of " << store.time() << ", digest "
      << store.digest() << ", behaviour " << store.behaviour() << ", " << store.files()
      << " files, " << BytesText(store.file_bytes()) << "\n";
  std::vector<std::vector<std::string>> rows;
  for (const InspectedTable& table : store.tables()) {
    rows.push_back({table.table(), Grouped(table.rows()), BytesText(table.bytes())});
  }
  if (!rows.empty()) out << Columns({"TABLE", "ROWS", "BYTES"}, rows);
}

void ShowEntry(const InspectedEntry& entry, std::ostream& out) {
  out << entry.index() << "  term " << entry.term() << "  " << entry.kind() << "  " << entry.time()
      << "  " << entry.bytes() << " bytes";
  if (entry.behaviour() != 0) out << "  raises the behaviour to version " << entry.behaviour();
  const bool bodies = entry.requests_size() > 0 && !entry.requests(0).body().empty();
  std::map<std::string, int> methods;
  for (const InspectedRequest& request : entry.requests()) ++methods[request.method()];
  for (const auto& [method, count] : methods) {
    if (!bodies) out << "  " << method << (count > 1 ? " x " + std::to_string(count) : "");
  }
  out << "\n";
  if (!bodies) return;
  for (const InspectedRequest& request : entry.requests()) {
    out << "    " << request.method();
    if (!request.idempotency_key().empty()) out << "  key " << request.idempotency_key();
    out << "  " << request.body() << "\n";
  }
}

void Show(const Inspection& found, std::ostream& out) {
  out << "folder  " << found.folder() << "\n";
  if (found.node() != 0) {
    out << "node    " << found.node() << ", " << found.standing() << ", incarnation "
        << found.incarnation() << "\n";
  }
  if (!found.cluster().empty()) {
    out << "cluster " << found.cluster() << ", founded by nodes";
    for (const uint64_t member : found.members()) out << " " << member;
    out << "\n";
  }
  if (!found.origin().empty()) out << "origin  " << found.origin() << "\n";
  if (found.has_log()) ShowLog(found.log(), out);
  if (found.has_store()) ShowStore(found.store(), out);
  if (!found.checkpoint().empty()) out << "checkpoint  " << found.checkpoint() << "\n";
  for (const InspectedEntry& entry : found.entries()) ShowEntry(entry, out);
  for (const Damage& damage : found.damages()) {
    out << "DAMAGED " << damage.part() << ": " << damage.what() << "\n";
  }
  out << (found.damages().empty() ? "nothing is damaged\n"
                                  : "see holdfast repair --help for what to do\n");
}

int RunInspect(Context& context, const Flags& flags) {
  const auto options = OptionsOf(flags);
  if (!options) return context.Tell(options.error());
  const auto found = Inspect(flags.folder, *options);
  if (!found) return context.Tell(found.error());
  if (flags.json) {
    context.out() << api::ToJson(*found, context.flags().compact ? api::JsonStyle::kCompact
                                                                 : api::JsonStyle::kPretty)
                  << "\n";
  } else {
    Show(*found, context.out());
  }
  return found->damages().empty() ? kExitOk : kExitRefused;
}

}  // namespace

void AddInspectCommand(CLI::App& root, Commands& commands) {
  CLI::App* inspect =
      root.add_subcommand("inspect", "Explain the log and the store of a node that does not run");
  auto flags = std::make_shared<Flags>();
  inspect->add_option("FOLDER", flags->folder, "The node's data folder")->required();
  inspect->add_option("--entries", flags->entries, "List entries of the log: 7, 7..12 or 7..")
      ->type_name("FROM..TO");
  inspect->add_flag("--decode", flags->decode, "Show their requests as JSON");
  inspect->add_flag("--json", flags->json, "Tell it as JSON");
  inspect->footer(
      "Examples:\n"
      "  holdfast inspect /var/lib/holdfast\n"
      "  holdfast inspect data/1 --entries 7..12 --decode\n"
      "Nothing is written, not even what a start would mend. Every record of the log and every "
      "block\n"
      "of the store is read, and its checksum compared.\n"
      "Exit code 0: nothing is damaged. 1: something is; file and place are told.");
  commands.OnRun(inspect, [flags](Context& context) { return RunInspect(context, *flags); });
}

}  // namespace holdfast::cli
