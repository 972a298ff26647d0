#include "services/journal/cli/commands.h"

#include "services/journal/cli/feed.h"
#include "services/journal/cli/merge.h"
#include "src/base/bounds.h"

namespace holdfast::journal {
namespace {

constexpr char kMergeFooter[] = R"(Examples:
  holdfast journal merge node1.log node2.log node3.log
  holdfast journal merge a.log b.log --offset b.log=-1.5s~20ms --window 5000 --json

Prints the lines of all files in one order, by the times they begin with: RFC 3339, syslog, web
servers' brackets, logfmt, JSON with a member time, timestamp, @timestamp, ts or t, and a node's own
log in all its formats. Nothing but memory for --window is needed, whatever the size of the files.

--offset FILE=OFFSET~ERROR is what must be added to a file's times (as `offset_us` of
`holdfast journal get-source` says of a source), and how wrong that may be. A line without a time
goes with the one before it and is marked [no time]; one that comes when later ones are printed
already is marked [late]; one of more than 64 KiB is [cut].)";

constexpr char kFeedFooter[] = R"(Examples:
  holdfast serve --log-format json ... 2> >(tee node1.log) &
  tail -n +1 -F node1.log | holdfast journal feed --journal ops --source node1
  holdfast journal feed --journal ops --source web1 access.log

Run it on the machine that writes the log: the times are of its clock, and every batch measures how
far that is off. Lines are numbered from 1: fed again from its beginning, a log appends nothing
twice, and a batch whose answer was lost is repeated under the same numbers. A log that was begun
anew under the same name goes on with --go-on; what is repeated then is not recognised. Where records
were removed since, nobody can tell the two apart: then say --trust-removed or --go-on. A last line
without an end is left out.)";

void AddFormat(CLI::App* command, std::string* format, int* year, std::string* zone) {
  command->add_option("--format", *format, "What a line is: auto, jsonl, syslog or holdfast")
      ->type_name("WORD")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "jsonl", "syslog", "holdfast"}).description(""));
  command->add_option("--year", *year, "Of times that name none; default: the last one that fits")
      ->type_name("YEAR")
      ->check(CLI::Range(1970, 9999).description(""));
  command->add_option("--zone", *zone, "Of times that name none: local, UTC, +01:00")
      ->type_name("ZONE")
      ->capture_default_str();
}

}  // namespace

void RegisterCommands(cli::Commands& commands) {
  auto merge_flags = std::make_shared<MergeFlags>();
  CLI::App* merge =
      commands.Add("journal", "merge", "Merges log files of several machines in their true order");
  merge->footer(kMergeFooter);
  merge->add_option("FILE", merge_flags->files, "Log files; -: the standard input")->required();
  merge->add_option("--offset", merge_flags->offsets, "What to add to the times of a file")
      ->type_name("FILE=OFFSET~ERROR")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  merge
      ->add_option("--window", merge_flags->window_ms,
                   "How far out of order lines may be, in milliseconds")
      ->type_name("MS")
      ->capture_default_str()
      ->check(CLI::Range(uint32_t{0}, bounds::kJournalWindowMsMax).description(""));
  AddFormat(merge, &merge_flags->format, &merge_flags->year, &merge_flags->zone);
  merge->add_flag("--json", merge_flags->json, "A JSON object for each line");
  commands.OnRun(merge,
                 [merge_flags](cli::Context& context) { return Merge(*merge_flags, context); });

  auto feed_flags = std::make_shared<FeedFlags>();
  CLI::App* feed =
      commands.Add("journal", "feed", "Appends the lines of a log as they are written");
  feed->footer(kFeedFooter);
  feed->add_option("--journal", feed_flags->journal, "The journal")->type_name("NAME")->required();
  feed->add_option("--source", feed_flags->source, "The name of this log")
      ->type_name("NAME")
      ->required();
  feed->add_option("FILE", feed_flags->file, "The log; -: the standard input")
      ->capture_default_str();
  AddFormat(feed, &feed_flags->format, &feed_flags->year, &feed_flags->zone);
  feed->add_flag("--go-on", feed_flags->go_on,
                 "Number the lines behind what the source has appended before");
  feed->add_flag("--trust-removed", feed_flags->trust_removed,
                 "Take lines for the same whose records were removed since they were appended");
  commands.OnRun(feed, [feed_flags](cli::Context& context) { return Feed(*feed_flags, context); });

  for (const char* line :
       {"holdfast journal create --name ops --window-ms 2000",
        "tail -n +1 -F node1.log | holdfast journal feed --journal ops --source node1",
        "holdfast journal follow --journal ops --wait-ms 5000",
        "holdfast journal query --journal ops --text leads --from 2026-11-30T15:00:00Z",
        "holdfast journal merge node1.log node2.log --offset node2.log=+120ms~5ms"}) {
    commands.AddExample("journal", line);
  }
}

}  // namespace holdfast::journal
